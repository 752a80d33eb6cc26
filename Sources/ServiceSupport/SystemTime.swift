import Glibc

/// The two clocks a service needs.
package enum SystemTime {
    /// The wall clock, milliseconds since the epoch; it may jump.
    package static func now_ms() -> Int64 { read(CLOCK_REALTIME) / 1_000_000 }

    /// A clock that only goes forward, nanoseconds since some moment.
    package static func monotonic_ns() -> Int64 { read(CLOCK_MONOTONIC) }

    /// The wall clock as RFC 3339 text in UTC with milliseconds.
    package static func text(_ time_ms: Int64) -> String {
        var seconds = time_t(time_ms / 1_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let month = "\(padded(Int(parts.tm_year) + 1900, 4))-\(padded(Int(parts.tm_mon) + 1, 2))"
        let date = "\(month)-\(padded(Int(parts.tm_mday), 2))"
        let time = "\(padded(Int(parts.tm_hour), 2)):\(padded(Int(parts.tm_min), 2)):\(padded(Int(parts.tm_sec), 2))"
        return "\(date)T\(time).\(padded(Int(time_ms % 1_000), 3))Z"
    }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
