import Glibc

/// The clocks of a writer; the wall clock may be fixed in tests.
struct WriterClock: Sendable {
    let fixed: (@Sendable () -> Int64)?

    /// Milliseconds since the epoch.
    @inline(__always)
    var wall_ms: Int64 { fixed?() ?? Self.read(CLOCK_REALTIME) }

    /// Milliseconds on a clock that never jumps.
    var steady_ms: Int64 { Self.read(CLOCK_MONOTONIC) }

    @inline(__always)
    static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
