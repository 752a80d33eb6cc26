import DurableIO
import Glibc

/// What `stat(2)` says of a file, as far as it matters to tell whether it has changed.
struct FileFacts: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
    var size: Int
    var modified_ns: Int64
    var changed_ns: Int64
    var isRegular: Bool
    var isLink = false

    /// When it was last written, milliseconds since the epoch.
    var modified_ms: Int64 { modified_ns / 1_000_000 }

    /// A file's facts, links not followed; nil when there is none.
    static func of(_ path: String) throws(SystemError) -> FileFacts? {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw SystemError.current("stat", path)
        }
        return FileFacts(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int(status.st_size),
            modified_ns: Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec),
            changed_ns: Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec),
            isRegular: status.st_mode & S_IFMT == S_IFREG, isLink: status.st_mode & S_IFMT == S_IFLNK)
    }
}

/// Reads files from start to end in pieces, without keeping them.
enum FileReading {
    /// The size of a piece, in bytes.
    static let pieceBytes = 256 << 10

    /// Hands a part of a file to `body`, piece by piece.
    ///
    /// - Parameters:
    ///   - path: a regular file; a symbolic link is refused.
    ///   - offset: where to begin.
    ///   - count: how many bytes at most; fewer when the file ends before.
    /// - Throws: `SystemError`, or what `body` throws.
    static func pieces(
        of path: String, from offset: Int = 0, count: Int = .max, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw SystemError.current("open", path) }
        defer { close(descriptor) }
        _ = posix_fadvise(descriptor, off_t(offset), 0, POSIX_FADV_SEQUENTIAL)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 16)
        defer { buffer.deallocate() }
        var done = 0
        while done < count {
            let got = pread(descriptor, buffer.baseAddress, min(pieceBytes, count - done), off_t(offset + done))
            if got < 0 {
                if errno == EINTR { continue }
                throw SystemError.current("read", path)
            }
            if got == 0 { return }
            try body(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
            done += got
        }
    }

    /// The last bytes of a file, at most `count`.
    static func tail(of path: String, size: Int, count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try pieces(of: path, from: max(0, size - count), count: count) { bytes.append(contentsOf: $0) }
        return bytes
    }
}

/// Removes files of one or more folders: every name, then one `fsync` for each folder.
enum FileRemoval {
    /// - Returns: the paths that are gone for certain.
    static func remove(_ paths: [String]) -> (removed: [String], failure: SystemError?) {
        var removed: [String] = []
        var failure: SystemError?
        for path in paths {
            if unlink(path) == 0 || errno == ENOENT {
                removed.append(path)
            } else {
                failure = SystemError.current("remove", path)
            }
        }
        for folder in Set(removed.map(DurableFile.folder(of:))) {
            do {
                try DurableFile.syncDirectory(folder)
            } catch {
                failure = error
            }
        }
        return (removed, failure)
    }
}
