/// What part of everything an audit looks at.
package struct AuditScope: Sendable, Equatable {
    /// No end: 9999-12-31 23:00.
    static let end_ms: Int64 = 253_402_297_200_000

    /// One host's writers and objects; nil for all. Tables are not kept by host, so they are left out then.
    package let host: String?
    /// The hours from the first until before the last, milliseconds since the epoch; nil for all.
    package let hours: Range<Int64>?

    /// - Parameters:
    ///   - from_ms: an instant of the first hour; nil for the beginning.
    ///   - to_ms: the instant to stop before, rounded up to the hour; nil for no end.
    package init(host: String? = nil, from_ms: Int64? = nil, to_ms: Int64? = nil) {
        self.host = host
        if from_ms == nil, to_ms == nil {
            hours = nil
        } else {
            let first = LoadClock.hour(from_ms ?? 0)
            let last = to_ms.map { LoadClock.hour($0 + LoadClock.hour_ms - 1) } ?? Self.end_ms
            hours = first..<max(first, last)
        }
    }

    /// Whether nothing is left out.
    package var isEverything: Bool { host == nil && hours == nil }

    /// The days whose folders of the bucket are listed; nil for all.
    func days(now_ms: Int64) -> Range<Int64>? {
        hours.map { $0.lowerBound..<max($0.lowerBound, min($0.upperBound, now_ms + LoadClock.day_ms)) }
    }

    func holds(sealed_ms: Int64) -> Bool { hours?.contains(sealed_ms) ?? true }

    /// A condition on a column of time.
    func sql(_ column: String) -> String {
        guard let hours else { return "true" }
        return "(\(column) >= to_timestamp(\(hours.lowerBound / 1000)) "
            + "AND \(column) < to_timestamp(\(hours.upperBound / 1000)))"
    }

    /// A condition on a column with a day's start: days that lie in it whole.
    func sqlDays(_ column: String) -> String {
        guard let hours else { return "true" }
        let first = LoadClock.day(hours.lowerBound + LoadClock.day_ms - 1)
        return "(\(column) >= to_timestamp(\(first / 1000)) "
            + "AND \(column) < to_timestamp(\(LoadClock.day(hours.upperBound) / 1000)))"
    }

    /// A condition on a date.
    func sqlDates(_ column: String) -> String {
        guard hours != nil else { return "true" }
        return sqlDays("(\(column)::timestamp AT TIME ZONE 'UTC')")
    }
}
