internal import Glibc

/// A system call that failed: which, on what, why, and what to do about it.
package struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The operation in words or the call's name, such as `open` or `fsync`.
    package let operation: String
    /// The file or directory it was applied to.
    package let path: String
    /// The value of `errno`.
    package let code: Int32

    /// Makes an error from parts already known.
    package init(operation: String, path: String, code: Int32) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    /// Makes an error from the calling thread's `errno`, which must not have been overwritten since the call.
    package static func current(_ operation: String, _ path: String) -> SystemError {
        SystemError(operation: operation, path: path, code: errno)
    }

    /// Whether the file or directory does not exist.
    package var isNotFound: Bool { code == ENOENT }
    /// Whether the name is already taken.
    package var isAlreadyThere: Bool { code == EEXIST }
    /// Whether the file system or the quota is full.
    package var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }

    /// What an operator can do, or nil where the reason says it all.
    package var remedy: String? {
        switch code {
        case EACCES, EPERM: "check the owner and mode of the path and of the folders above it"
        case ENOSPC, EDQUOT: "free space on this file system or raise the quota"
        case ENOENT: "check that the path is spelled right and that its folder exists"
        case EROFS: "the file system is mounted read-only: choose another folder or remount it"
        case EMFILE, ENFILE: "raise the limit on open files (LimitNOFILE= in a systemd unit)"
        case EIO: "the device reports an error: check the kernel log and the disk"
        case ELOOP: "symbolic links are not followed here: name the real path"
        default: nil
        }
    }

    package var description: String {
        let reason = String(cString: strerror(code))
        let hint = remedy.map { ": \($0)" } ?? ""
        return "cannot \(operation) \(path): \(reason) (errno \(code))\(hint)"
    }
}
