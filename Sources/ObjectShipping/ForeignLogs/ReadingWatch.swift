import ServiceSupport
import Synchronization

/// Reading was stopped because the service ends; what was read counts for nothing and is read again by the next start.
struct ReadingStopped: Error {}

/// Says to whoever reads a large file when to stop, and to everybody else whether the reading moves.
final class ReadingWatch: Sendable {
    private let deadline_ns = Atomic<Int64>(.max)
    private let moved_ns = Atomic<Int64>(-1)

    /// Lets reading go on until some time from now, and no longer.
    func stop(within_ms: Int64) {
        let deadline = SystemTime.monotonic_ns() + within_ms * 1_000_000
        deadline_ns.min(deadline, ordering: .relaxed)
    }

    /// To be called for each piece.
    func step() throws(ReadingStopped) {
        let now = SystemTime.monotonic_ns()
        if moved_ns.load(ordering: .relaxed) >= 0 { moved_ns.store(now, ordering: .relaxed) }
        if now > deadline_ns.load(ordering: .relaxed) { throw ReadingStopped() }
    }

    /// Runs a look whose progress is watched.
    func watching<Value>(_ body: () -> Value) -> Value {
        moved_ns.store(SystemTime.monotonic_ns(), ordering: .relaxed)
        defer { moved_ns.store(-1, ordering: .relaxed) }
        return body()
    }

    /// For how long a look that is under way has made no progress, milliseconds; 0 when none is.
    var stalled_ms: Int64 {
        let moved = moved_ns.load(ordering: .relaxed)
        return moved < 0 ? 0 : max(0, SystemTime.monotonic_ns() - moved) / 1_000_000
    }
}
