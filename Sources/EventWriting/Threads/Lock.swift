import Glibc

/// A `pthread_mutex_t`. (`Synchronization.Mutex` remembers the owner's thread id, so that a forked child could not
/// unlock what its parent's thread had locked.)
final class Lock: @unchecked Sendable {
    fileprivate let handle: UnsafeMutablePointer<pthread_mutex_t>

    init() {
        handle = .allocate(capacity: 1)
        handle.initialize(to: pthread_mutex_t())
        reinitialise()
    }

    deinit {
        pthread_mutex_destroy(handle)
        handle.deallocate()
    }

    @inline(__always)
    func lock() { pthread_mutex_lock(handle) }

    /// Locks it unless somebody else holds it for so long, in milliseconds.
    ///
    /// Returns whether it is locked.
    func lock(atMost_ms: Int) -> Bool {
        // pthread_mutex_timedlock counts by the system's clock.
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let nanoseconds = time.tv_nsec + atMost_ms % 1000 * 1_000_000
        time.tv_sec += atMost_ms / 1000 + nanoseconds / 1_000_000_000
        time.tv_nsec = nanoseconds % 1_000_000_000
        return pthread_mutex_timedlock(handle, &time) == 0
    }

    @inline(__always)
    func unlock() { pthread_mutex_unlock(handle) }

    /// Makes it free, whoever held it.
    ///
    /// Only for a forked child, which has one thread.
    func reinitialise() { pthread_mutex_init(handle, nil) }
}

/// A `pthread_cond_t` on the monotonic clock.
final class Condition: @unchecked Sendable {
    private let handle: UnsafeMutablePointer<pthread_cond_t>

    init() {
        handle = .allocate(capacity: 1)
        handle.initialize(to: pthread_cond_t())
        reinitialise()
    }

    // Not destroyed: a forked child's copy may remember waiting threads that do not exist there, for which
    // pthread_cond_destroy would wait for ever.
    deinit { handle.deallocate() }

    func signal() { pthread_cond_signal(handle) }

    func broadcast() { pthread_cond_broadcast(handle) }

    /// Waits until signalled, or until `deadline_ms` on the steady clock.
    ///
    /// `lock` must be held.
    func wait(_ lock: Lock, until deadline_ms: Int64?) {
        guard let deadline_ms else {
            pthread_cond_wait(handle, lock.handle)
            return
        }
        var time = timespec(tv_sec: Int(deadline_ms / 1000), tv_nsec: Int(deadline_ms % 1000) * 1_000_000)
        pthread_cond_timedwait(handle, lock.handle, &time)
    }

    /// Forgets all waiting threads.
    ///
    /// Only for a forked child.
    func reinitialise() {
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(handle, &attributes)
        pthread_condattr_destroy(&attributes)
    }
}
