/// Milliseconds since 1970-01-01T00:00:00Z, to and from RFC 3339.
///
/// No leap seconds: `:60` is the next minute's start.
///
/// Pure arithmetic over bytes: no allocation, no locale, no time zone tables. Days are counted by Howard Hinnant's
/// `days_from_civil` (proleptic Gregorian calendar, <https://howardhinnant.github.io/date_algorithms.html>).
package enum Timestamp {
    /// Bytes that ``write(_:to:)`` writes: `2026-11-23T10:15:30.123Z`.
    package static let textBytes = 24

    /// First and last instants that can be written: the years 0000 to 9999.
    package static let range: ClosedRange<Int64> = -62_167_219_200_000...253_402_300_799_999

    /// The time in UTC with milliseconds: `2026-11-23T10:15:30.123Z`.
    ///
    /// Times outside ``range`` are clamped to it.
    package static func format(_ time_ms: Int64) -> String {
        String(unsafeUninitializedCapacity: textBytes) { buffer in
            guard let start = buffer.baseAddress else { return 0 }
            write(time_ms, to: UnsafeMutableRawPointer(start))
            return textBytes
        }
    }

    /// Writes the 24 bytes of ``format(_:)`` to `target`, which must have room for them.
    ///
    /// Does not allocate.
    package static func write(_ time_ms: Int64, to target: UnsafeMutableRawPointer) {
        let clamped = min(max(time_ms, range.lowerBound), range.upperBound)
        let (year, month, day, inDay) = civil(clamped)
        let minute = inDay / 60_000
        let (seconds, millis) = (inDay % 60_000).quotientAndRemainder(dividingBy: 1000)
        func two(_ value: Int, at offset: Int) {
            target.storeBytes(of: UInt8(truncatingIfNeeded: 48 + value / 10), toByteOffset: offset, as: UInt8.self)
            target.storeBytes(of: UInt8(truncatingIfNeeded: 48 + value % 10), toByteOffset: offset + 1, as: UInt8.self)
        }
        func put(_ character: Unicode.Scalar, at offset: Int) {
            target.storeBytes(of: UInt8(ascii: character), toByteOffset: offset, as: UInt8.self)
        }
        two(year / 100, at: 0)
        two(year % 100, at: 2)
        put("-", at: 4)
        two(month, at: 5)
        put("-", at: 7)
        two(day, at: 8)
        put("T", at: 10)
        two(minute / 60, at: 11)
        put(":", at: 13)
        two(minute % 60, at: 14)
        put(":", at: 16)
        two(seconds, at: 17)
        put(".", at: 19)
        two(millis / 10, at: 20)
        target.storeBytes(of: UInt8(truncatingIfNeeded: 48 + millis % 10), toByteOffset: 22, as: UInt8.self)
        put("Z", at: 23)
    }

    /// Year, month, day of the instant in UTC, and the milliseconds since that day's midnight.
    package static func civil(_ time_ms: Int64) -> (year: Int, month: Int, day: Int, inDay_ms: Int) {
        let days = Int((time_ms >= 0 ? time_ms : time_ms - 86_399_999) / 86_400_000)
        let inDay = Int(time_ms - Int64(days) * 86_400_000)
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthIndex + 2) / 5 + 1
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day, inDay)
    }

    /// Days since 1970-01-01 of a date in the proleptic Gregorian calendar.
    package static func days(year: Int, month: Int, day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}
