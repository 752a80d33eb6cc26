internal import EventModel
internal import Glibc
package import TableStorage

/// Times as the loader writes and compares them: milliseconds since the epoch, UTC.
package enum LoadClock {
    /// Milliseconds of an hour.
    package static let hour_ms: Int64 = 3_600_000
    /// Milliseconds of a day.
    package static let day_ms: Int64 = 86_400_000

    /// The wall clock.
    package static func now_ms() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// The database's wall clock: one for all loaders, so that one whose own is wrong neither drops what is kept nor looks
    /// for objects on the wrong day.
    package static func now_ms(_ connection: Connection) throws -> Int64 {
        try connection.query("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")[0].integer(0)
    }

    /// Seconds of a clock that only goes forward.
    package static func monotonic_s() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// The start of the hour.
    package static func hour(_ time_ms: Int64) -> Int64 { floor(time_ms, hour_ms) }

    /// The start of the UTC day.
    package static func day(_ time_ms: Int64) -> Int64 { floor(time_ms, day_ms) }

    /// `2026-11-23`.
    package static func dayText(_ time_ms: Int64) -> String { String(Timestamp.format(time_ms).prefix(10)) }

    /// `2026-11-23 10:00`.
    package static func hourText(_ time_ms: Int64) -> String {
        LoadClock.dayText(time_ms) + " " + Timestamp.format(time_ms).dropFirst(11).prefix(5)
    }

    /// `2026-11-23T10:00:00Z`.
    package static func rfcHour(_ time_ms: Int64) -> String {
        dayText(time_ms) + "T" + hourText(time_ms).suffix(5) + ":00Z"
    }

    /// `2026-11-23 10:15:30`.
    package static func secondText(_ time_ms: Int64) -> String {
        dayText(time_ms) + " " + Timestamp.format(time_ms).dropFirst(11).prefix(8)
    }

    private static func floor(_ time_ms: Int64, _ unit: Int64) -> Int64 {
        time_ms >= 0 ? time_ms / unit * unit : (time_ms - unit + 1) / unit * unit
    }
}
