internal import EventModel

/// Reads the times of events by fixed places: RFC 3339 in UTC, `2026-11-23T10:15:30.123Z`, 0 or 3 to 9 decimals.
///
/// The minute of the last time is remembered, as neighbours share it: most calls compare 16 bytes and read the seconds.
struct EventTime {
    private var minute: (UInt64, UInt64) = (0, 0)
    private var minute_ms: Int64 = 0

    /// The instant in milliseconds since the epoch; nil where the text is not of the form, or not in the calendar.
    @inline(__always)
    mutating func read(_ text: TextBytes) -> Int64? {
        guard text.count >= 20 else { return nil }
        let head = (text.word(0), text.word(8))
        if head != minute {
            guard let begin = Self.minute(text) else { return nil }
            minute = head
            minute_ms = begin
        }
        let bytes = text.start
        guard bytes[16] == UInt8(ascii: ":"), let second = Self.two(bytes + 17), second <= 59 else { return nil }
        var millis = 0
        if text.count == 24, bytes[19] == UInt8(ascii: "."), let tens = Self.two(bytes + 20) {
            let last = bytes[22] &- 48
            guard last <= 9 else { return nil }
            millis = tens &* 10 &+ Int(last)
        } else if text.count > 20 {
            guard bytes[19] == UInt8(ascii: "."), (24...30).contains(text.count) else { return nil }
            for place in 20..<(text.count - 1) {
                let digit = bytes[place] &- 48
                guard digit <= 9 else { return nil }
                if place < 23 { millis = millis * 10 + Int(digit) }
            }
        }
        guard bytes[text.count - 1] == UInt8(ascii: "Z") else { return nil }
        return minute_ms &+ Int64(second &* 1000 &+ millis)
    }

    /// Begin of the minute that `2026-11-23T10:15` names.
    @inline(never)
    private static func minute(_ text: TextBytes) -> Int64? {
        let bytes = text.start
        guard let century = two(bytes), let years = two(bytes + 2), bytes[4] == UInt8(ascii: "-"),
            let month = two(bytes + 5), bytes[7] == UInt8(ascii: "-"), let day = two(bytes + 8),
            bytes[10] == UInt8(ascii: "T"), let hour = two(bytes + 11), bytes[13] == UInt8(ascii: ":"),
            let minute = two(bytes + 14)
        else { return nil }
        let year = century * 100 + years
        // PostgreSQL has no year 0.
        guard year >= 1, (1...12).contains(month), day >= 1, day <= length(ofMonth: month, year: year), hour <= 23,
            minute <= 59
        else { return nil }
        return Int64((Timestamp.days(year: year, month: month, day: day) * 24 + hour) * 60 + minute) * 60_000
    }

    @inline(__always)
    private static func two(_ bytes: UnsafePointer<UInt8>) -> Int? {
        let high = bytes[0] &- 48
        let low = bytes[1] &- 48
        return high <= 9 && low <= 9 ? Int(high) &* 10 &+ Int(low) : nil
    }

    private static func length(ofMonth month: Int, year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
