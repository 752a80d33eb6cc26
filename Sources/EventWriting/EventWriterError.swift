import Glibc

/// Why a writer could not be opened.
public struct EventWriterError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of failure.
    public struct Code: Sendable, Hashable {
        private enum Kind { case directory, networkFileSystem, configuration, thread }
        private let kind: Kind

        /// The spool directory is absent, no directory, or not writable.
        public static let directory = Code(kind: .directory)
        /// The spool directory lies on a network file system.
        public static let networkFileSystem = Code(kind: .networkFileSystem)
        /// A setting is out of its range.
        public static let configuration = Code(kind: .configuration)
        /// The writing thread could not be started.
        public static let thread = Code(kind: .thread)
    }

    /// The kind of failure.
    public let code: Code
    /// The directory, or the name of the setting.
    public let subject: String
    /// The system's error number, or 0.
    public let errno: Int32
    private let detail: String

    init(_ code: Code, path: String, errno: Int32) {
        self.code = code
        subject = path
        self.errno = errno
        detail = ""
    }

    init(setting: String, _ detail: String) {
        code = .configuration
        subject = setting
        errno = 0
        self.detail = detail
    }

    /// What failed, why, and what to do about it.
    public var description: String {
        switch code {
        case .directory:
            "cannot log to \(subject): \(String(cString: strerror(errno))); create it, or let this user write to it"
        case .networkFileSystem:
            "cannot log to \(subject): it is on a network file system, where locks do not hold; use a local directory"
        case .thread:
            "cannot start the writing thread: \(String(cString: strerror(errno))); raise the limit on threads"
        default:
            "\(subject): \(detail)"
        }
    }
}
