internal import Glibc

/// An exclusive `flock` on a file, held until `release` or until the last reference goes.
///
/// It is released by closing the descriptor, never by unlocking: a forked child that shares the descriptor must not be
/// able to free its parent's lock. Works between processes and between two locks of one process.
package final class FileLock: Sendable {
    /// The locked file.
    package let path: String
    /// Which file it is.
    package let identity: FileIdentity
    private let descriptor: Int32

    private init(path: String, descriptor: Int32) throws(SystemError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .current("stat", path) }
        self.path = path
        self.descriptor = descriptor
        identity = FileIdentity(status)
    }

    deinit {
        _ = close(descriptor)
    }

    /// Whether the locked file or directory was removed: no name leads to it any more.
    package var isUnlinked: Bool {
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_nlink == 0
    }

    /// Takes the lock if it is free, without waiting.
    ///
    /// - Parameters:
    ///   - path: the file to lock. Its content is neither read nor changed.
    ///   - create: whether a missing file is made (empty).
    /// - Returns: the lock, or nil while somebody else holds it.
    /// - Throws: `SystemError`, with `isNotFound` for a missing file that is not to be made.
    package static func attempt(path: String, create: Bool = true) throws(SystemError) -> FileLock? {
        try take(path: path, create: create, wait: false)
    }

    /// Takes the lock, blocking the calling thread until it is free.
    package static func hold(path: String, create: Bool = true) throws(SystemError) -> FileLock {
        guard let lock = try take(path: path, create: create, wait: true) else {
            throw SystemError(operation: "lock", path: path, code: EWOULDBLOCK)
        }
        return lock
    }

    /// Whether somebody holds the lock of an existing file at this moment.
    package static func isHeld(path: String) throws(SystemError) -> Bool {
        try attempt(path: path, create: false) == nil
    }

    private static func take(path: String, create: Bool, wait: Bool) throws(SystemError) -> FileLock? {
        var number: Int32
        repeat {
            // Reading suffices for flock, and a shipper may only be allowed to read its writers' files.
            number = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0o640)
        } while number < 0 && errno == EINTR
        guard number >= 0 else { throw .current("open", path) }
        while flock(number, LOCK_EX | (wait ? 0 : LOCK_NB)) != 0 {
            let code = errno
            if code == EINTR { continue }
            _ = close(number)
            if code == EWOULDBLOCK { return nil }
            throw SystemError(operation: "lock", path: path, code: code)
        }
        return try FileLock(path: path, descriptor: number)
    }
}
