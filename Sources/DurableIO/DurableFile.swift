internal import Glibc
internal import Synchronization

/// Whole-file operations that are on disk when they return: every change of a name is followed by an fsync of its folder.
///
/// All block the calling thread for as long as the disk takes.
package enum DurableFile {
    /// Puts new content under a name: a temporary file beside it, fsync, rename, fsync of the folder.
    ///
    /// A reader sees the old content or the new, and a power cut leaves one or the other.
    /// - Throws: `SystemError`; the old content is then still there, unless only the folder's fsync failed.
    package static func replace(path: String, bytes: [UInt8]) throws(SystemError) {
        let temporary = temporaryPath(beside: path)
        do throws(SystemError) {
            try writeNew(temporary, bytes)
            guard Glibc.rename(temporary, path) == 0 else { throw SystemError.current("rename", temporary) }
        } catch {
            _ = unlink(temporary)
            throw error
        }
        try syncDirectory(folder(of: path))
    }

    /// Puts content under a name that must be free; of several who try, in any process, one wins.
    ///
    /// - Returns: whether the name was free. If not, nothing was changed, but the name that is there is durable: whoever
    ///   made it may have been stopped before.
    package static func create(path: String, bytes: [UInt8]) throws(SystemError) -> Bool {
        let temporary = temporaryPath(beside: path)
        defer { _ = unlink(temporary) }
        try writeNew(temporary, bytes)
        guard link(temporary, path) == 0 else {
            if errno == EEXIST {
                try syncDirectory(folder(of: path))
                return false
            }
            throw .current("link", path)
        }
        try syncDirectory(folder(of: path))
        return true
    }

    /// Renames a file, durably.
    ///
    /// An existing file of the new name is replaced.
    package static func rename(from old: String, to new: String) throws(SystemError) {
        guard Glibc.rename(old, new) == 0 else { throw .current("rename", old) }
        try syncDirectory(folder(of: new))
        if folder(of: old) != folder(of: new) { try syncDirectory(folder(of: old)) }
    }

    /// Removes a file, durably; one that is already gone is no error.
    package static func remove(path: String) throws(SystemError) {
        guard unlink(path) == 0 else {
            if errno == ENOENT { return }
            throw .current("remove", path)
        }
        try syncDirectory(folder(of: path))
    }

    /// Makes the names in a folder durable.
    package static func syncDirectory(_ path: String) throws(SystemError) {
        let directory = try Descriptor(path, O_RDONLY | O_DIRECTORY)
        try directory.sync()
    }

    /// Makes a file's content durable, whoever wrote it.
    package static func syncFile(_ path: String) throws(SystemError) {
        let file = try Descriptor(path, O_RDONLY | O_NOFOLLOW)
        try file.sync()
    }

    /// The whole content of a file, or its first `limit` bytes.
    package static func read(path: String, limit: Int = .max) throws(SystemError) -> [UInt8] {
        try read(path: path, offset: 0, count: limit)
    }

    /// Up to `count` bytes from `offset` on; fewer where the file ends.
    package static func read(path: String, offset: Int, count: Int) throws(SystemError) -> [UInt8] {
        let file = try Descriptor(path, O_RDONLY)
        let size = Int(try file.status().st_size)
        // A size of 0 may be a lie (/proc): read what comes, in steps.
        if size == 0 { return try readUnsized(file, offset: offset, count: count) }
        let wanted = min(count, size - offset)
        guard wanted > 0 else { return [] }
        var failure: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
            do throws(SystemError) {
                filled = try file.readAll(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Makes a folder and those above it that are missing, durably.
    package static func makeDirectory(_ path: String, mode: UInt32 = 0o750) throws(SystemError) {
        if mkdir(path, mode_t(mode)) == 0 {
            try syncDirectory(folder(of: path))
            return
        }
        switch errno {
        case EEXIST:
            var status = stat()
            guard stat(path, &status) == 0 else { throw .current("stat", path) }
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw SystemError(operation: "use as a folder", path: path, code: ENOTDIR)
            }
        case ENOENT where folder(of: path) != path:
            try makeDirectory(folder(of: path), mode: mode)
            guard mkdir(path, mode_t(mode)) == 0 || errno == EEXIST else { throw .current("make folder", path) }
            try syncDirectory(folder(of: path))
        default:
            throw .current("make folder", path)
        }
    }

    /// Makes the names of a folder and of those above it durable, up to a folder that is known to be.
    ///
    /// For folders that somebody else may have made, and have been stopped before he synchronised them. Each costs an
    /// `fsync` of a folder, which does nothing where nothing has changed.
    package static func syncFolders(_ path: String, below root: String) throws(SystemError) {
        var folder = path
        while folder != root, folder.utf8.count > root.utf8.count {
            folder = self.folder(of: folder)
            try syncDirectory(folder)
        }
    }

    /// The folder part of a path: `.` for a bare name.
    package static func folder(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Removes temporary files that killed processes left in a folder, durably; returns their names.
    ///
    /// Only for a folder in which no other process puts files through this type now: theirs would be taken away. Files of
    /// other names stay.
    package static func removeTemporaries(in folder: String) throws(SystemError) -> [String] {
        let names = try list(folder).filter { $0.isRegular && isTemporary($0.name) }.map(\.name)
        for name in names where unlink("\(folder)/\(name)") != 0 && errno != ENOENT {
            throw .current("remove", "\(folder)/\(name)")
        }
        if !names.isEmpty { try syncDirectory(folder) }
        return names
    }

    private static func isTemporary(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[0].isEmpty, parts.last == "tmp" else { return false }
        let mark = parts[parts.count - 2].split(separator: "-", omittingEmptySubsequences: false)
        return mark.count == 2 && UInt64(mark[0], radix: 36) != nil && UInt64(mark[1]) != nil
    }

    private static let temporaryNumber = Atomic<UInt64>(0)
    /// Process numbers are not enough: containers that share a folder may all be number 1.
    private static let processMark = String(UInt64.random(in: 0...UInt64.max), radix: 36)

    /// A name that no listing of segments or objects takes for one of its own: `.name.mark.tmp`, never used twice.
    static func temporaryPath(beside path: String) -> String {
        let number = temporaryNumber.add(1, ordering: .relaxed).newValue
        let name = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path[path.index(after: $0)...] } ?? path[...]
        let stem = name.utf8.count > 180 ? String(decoding: name.utf8.prefix(180), as: UTF8.self) : String(name)
        return "\(folder(of: path))/.\(stem).\(processMark)-\(number).tmp"
    }

    private static func writeNew(_ path: String, _ bytes: [UInt8]) throws(SystemError) {
        let file = try Descriptor(path, O_WRONLY | O_CREAT | O_EXCL)
        var failure: SystemError?
        bytes.withUnsafeBytes { buffer in
            do throws(SystemError) {
                try file.writeAll(buffer)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        try file.sync()
    }

    private static func readUnsized(
        _ file: borrowing Descriptor, offset: Int, count: Int
    ) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var step = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < count {
            let wanted = min(step.count, count - bytes.count)
            var got = 0
            var failure: SystemError?
            step.withUnsafeMutableBytes { buffer in
                do throws(SystemError) {
                    got = try file.readAll(
                        into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: offset + bytes.count)
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            bytes.append(contentsOf: step[..<got])
            if got < wanted { break }
        }
        return bytes
    }
}
