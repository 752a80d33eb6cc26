internal import Glibc

/// One name in a folder, as `lstat` saw it: symbolic links are not followed.
package struct DirectoryEntry: Hashable, Sendable {
    /// The bare name.
    ///
    /// Bytes that are not UTF-8 are replaced, so that such a name cannot be opened by it.
    package let name: String
    /// Bytes.
    package let size: Int
    /// Last change of the content, milliseconds since the epoch.
    package let modified_ms: Int64
    /// Whether it is a plain file (and not a folder, link, socket or device).
    package let isRegular: Bool
    /// Whether it is a folder.
    package let isDirectory: Bool

    /// Makes an entry from its parts.
    package init(name: String, size: Int, modified_ms: Int64, isRegular: Bool, isDirectory: Bool = false) {
        self.name = name
        self.size = size
        self.modified_ms = modified_ms
        self.isRegular = isRegular
        self.isDirectory = isDirectory
    }
}

extension DurableFile {
    /// Everything in a folder but `.` and `..`, in byte order of the names.
    ///
    /// A name that vanishes during the walk is left out.
    package static func list(_ directory: String) throws(SystemError) -> [DirectoryEntry] {
        guard let stream = opendir(directory) else { throw .current("open folder", directory) }
        defer { closedir(stream) }
        let descriptor = dirfd(stream)
        var entries: [DirectoryEntry] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw .current("read folder", directory) }
                break
            }
            let known = withUnsafePointer(to: &entry.pointee.d_name) { pointer -> (String, stat)? in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { name in
                    var status = stat()
                    guard fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
                    return (String(cString: name), status)
                }
            }
            guard let (name, status) = known, name != ".", name != ".." else { continue }
            let kind = status.st_mode & S_IFMT
            entries.append(
                DirectoryEntry(
                    name: name, size: Int(status.st_size),
                    modified_ms: Int64(status.st_mtim.tv_sec) * 1000 + Int64(status.st_mtim.tv_nsec) / 1_000_000,
                    isRegular: kind == S_IFREG, isDirectory: kind == S_IFDIR))
        }
        entries.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        return entries
    }

    /// What stands under one path, or nil if nothing does; a symbolic link is reported, not followed.
    package static func entry(_ path: String) throws(SystemError) -> DirectoryEntry? {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw .current("stat", path)
        }
        let kind = status.st_mode & S_IFMT
        let name = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path[path.index(after: $0)...] } ?? path[...]
        return DirectoryEntry(
            name: String(name), size: Int(status.st_size),
            modified_ms: Int64(status.st_mtim.tv_sec) * 1000 + Int64(status.st_mtim.tv_nsec) / 1_000_000,
            isRegular: kind == S_IFREG, isDirectory: kind == S_IFDIR)
    }
}
