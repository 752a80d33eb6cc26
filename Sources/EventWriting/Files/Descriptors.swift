import Glibc

/// The files that a writer holds open.
///
/// A forked child must find them, so they are opened, noted and closed under a lock that a fork waits for.
final class Descriptors: @unchecked Sendable {
    private let guardian = Lock()
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
        if lockFile >= 0 { close(lockFile) }
        lockFile = -1
        guardian.unlock()
    }

    func closeSegment() {
        guardian.lock()
        if segment >= 0 { close(segment) }
        segment = -1
        guardian.unlock()
    }

    func beforeFork() { guardian.lock() }

    func afterForkInParent() { guardian.unlock() }

    /// Closes this process's copies.
    ///
    /// Never unlocks: the lock belongs to the open file, which the parent shares.
    func afterForkInChild() {
        if lockFile >= 0 { close(lockFile) }
        if segment >= 0 { close(segment) }
        lockFile = -1
        segment = -1
        guardian.reinitialise()
    }
}
