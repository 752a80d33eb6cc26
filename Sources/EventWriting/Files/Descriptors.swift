import Glibc

/// The files that a writer holds open.
///
/// A forked child must find them, so they are opened, noted and closed under a lock that a fork waits for, for a second:
/// a disk that hangs in one of these calls must not hang the service that forks. (What is being opened while a fork
/// happens is not in the child: the kernel installs a descriptor when `open` returns.)
final class Descriptors: @unchecked Sendable {
    private let guardian = Lock()
    /// A fork holds the guardian.
    private var isHeldForFork = false
    /// Longest time that a fork waits, in milliseconds.
    static let forkWait_ms = 1000
    /// The lock file; -1 where there is none.
    private(set) var lockFile: Int32 = -1
    /// The open segment; -1 where there is none.
    private(set) var segment: Int32 = -1

    /// Opens the lock file with `open`, which returns a descriptor or -errno.
    func openLockFile(_ open: () -> Int32) -> Int32 {
        guardian.lock()
        defer { guardian.unlock() }
        let result = open()
        if result >= 0 { lockFile = result }
        return min(result, 0)
    }

    /// Opens the segment with `open`, which returns a descriptor or -errno.
    func openSegment(_ open: () -> Int32) -> Int32 {
        guardian.lock()
        defer { guardian.unlock() }
        let result = open()
        if result >= 0 { segment = result }
        return min(result, 0)
    }

    func closeLockFile() {
        guardian.lock()
        let file = lockFile
        lockFile = -1
        if file >= 0 { close(file) }
        guardian.unlock()
    }

    func closeSegment() {
        guardian.lock()
        let file = segment
        segment = -1
        if file >= 0 { close(file) }
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
        if lockFile >= 0 { close(lockFile) }
        if segment >= 0 { close(segment) }
        lockFile = -1
        segment = -1
        isHeldForFork = false
        guardian.reinitialise()
    }
}
