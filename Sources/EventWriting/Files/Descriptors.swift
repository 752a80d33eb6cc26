import Glibc

/// The files that a writer holds open.
///
/// A forked child must find them, so they are opened, noted and closed under a lock that a fork waits for, for a second:
/// a disk that hangs in one of these calls must not hang the service that forks. (What is being opened while a fork
/// happens is not in the child: the kernel installs a descriptor when `open` returns.)
///
/// A service may close every descriptor it does not know, as daemons do; the numbers may be files of its own by then.
/// So each file's identity is kept, and a number that stands for another file is forgotten: never written, never closed.
final class Descriptors: @unchecked Sendable {
    /// A file that is open, or was.
    struct File {
        /// -1 where none is open.
        var number: Int32 = -1
        private var device: dev_t = 0
        private var inode: ino_t = 0

        init() {}

        init(_ number: Int32) {
            self.number = number
            var status = stat()
            guard fstat(number, &status) == 0 else { return }
            device = status.st_dev
            inode = status.st_ino
        }

        /// What the number stands for now; nil where that is not this file any more.
        var status: stat? {
            var status = stat()
            guard number >= 0, fstat(number, &status) == 0, status.st_dev == device, status.st_ino == inode
            else { return nil }
            return status
        }

        /// Closes it if it is still this file.
        mutating func close() {
            if status != nil { _ = Glibc.close(number) }
            number = -1
        }
    }

    private let guardian = Lock()
    /// A fork holds the guardian.
    private var isHeldForFork = false
    /// Longest time that a fork waits, in milliseconds.
    static let forkWait_ms = 1000
    /// The lock file.
    private(set) var lockFile = File()
    /// The open segment.
    private(set) var segment = File()

    /// Opens the lock file with `open`, which returns a descriptor or -errno.
    func openLockFile(_ open: () -> Int32) -> Int32 {
        guardian.lock()
        defer { guardian.unlock() }
        let result = open()
        if result >= 0 { lockFile = File(result) }
        return min(result, 0)
    }

    /// Opens the segment with `open`, which returns a descriptor or -errno.
    func openSegment(_ open: () -> Int32) -> Int32 {
        guardian.lock()
        defer { guardian.unlock() }
        let result = open()
        if result >= 0 { segment = File(result) }
        return min(result, 0)
    }

    func closeLockFile() {
        guardian.lock()
        lockFile.close()
        guardian.unlock()
    }

    func closeSegment() {
        guardian.lock()
        segment.close()
        guardian.unlock()
    }

    func beforeFork() { isHeldForFork = guardian.lock(atMost_ms: Self.forkWait_ms) }

    func afterForkInParent() {
        if isHeldForFork { guardian.unlock() }
        isHeldForFork = false
    }

    /// Closes this process's copies.
    ///
    /// Never unlocks: the lock belongs to the open file, which the parent shares.
    func afterForkInChild() {
        lockFile.close()
        segment.close()
        isHeldForFork = false
        guardian.reinitialise()
    }
}
