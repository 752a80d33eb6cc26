extension Timestamp {
    /// The instant a text names, or nil where it is not RFC 3339.
    package static func parse(_ text: String) -> Int64? {
        var text = text
        return text.withUTF8 { parse(UnsafeRawBufferPointer($0)) }
    }

    /// The instant that the whole of `bytes` names, in milliseconds since the epoch, or nil where it is not RFC 3339.
    ///
    /// Accepts `Z` or an offset, a separator of `T`, `t` or a space, and 0 to 9 fraction digits (cut to milliseconds).
    /// A text without an offset names no instant and is nil. Costs some 20 ns and does not allocate.
    package static func parse(_ bytes: UnsafeRawBufferPointer) -> Int64? {
        guard bytes.count >= 20 else { return nil }
        guard let century = two(bytes, 0), let yearInCentury = two(bytes, 2), bytes[4] == 0x2D,
            let month = two(bytes, 5), bytes[7] == 0x2D, let day = two(bytes, 8),
            bytes[10] == 0x54 || bytes[10] == 0x74 || bytes[10] == 0x20,
            let hour = two(bytes, 11), bytes[13] == 0x3A, let minute = two(bytes, 14), bytes[16] == 0x3A,
            let second = two(bytes, 17)
        else { return nil }
        let year = century * 100 + yearInCentury
        guard (1...12).contains(month), day >= 1, day <= length(ofMonth: month, year: year),
            hour <= 23, minute <= 59, second <= 60
        else { return nil }

        var place = 19
        var millis = 0
        if bytes[place] == 0x2E {
            place += 1
            var digits = 0
            while place < bytes.count, let digit = digit(bytes, place) {
                if digits < 3 { millis = millis * 10 + digit }
                digits += 1
                place += 1
            }
            guard (1...9).contains(digits) else { return nil }
            for _ in min(digits, 3)..<3 { millis *= 10 }
        }
        guard let offset_min = offset(bytes, from: place) else { return nil }
        let minutes = (days(year: year, month: month, day: day) * 24 + hour) * 60 + minute - offset_min
        return (Int64(minutes) * 60 + Int64(second)) * 1000 + Int64(millis)
    }

    /// Minutes east of UTC that the rest of the text from `place` names: `Z`, `z`, `+hh:mm` or `-hh:mm`.
    private static func offset(_ bytes: UnsafeRawBufferPointer, from place: Int) -> Int? {
        guard place < bytes.count else { return nil }
        switch bytes[place] {
        case 0x5A, 0x7A:
            return place + 1 == bytes.count ? 0 : nil
        case 0x2B, 0x2D:
            guard place + 6 == bytes.count, let hours = two(bytes, place + 1), bytes[place + 3] == 0x3A,
                let minutes = two(bytes, place + 4), hours <= 23, minutes <= 59
            else { return nil }
            let total = hours * 60 + minutes
            return bytes[place] == 0x2B ? total : -total
        default:
            return nil
        }
    }

    @inline(__always)
    private static func digit(_ bytes: UnsafeRawBufferPointer, _ place: Int) -> Int? {
        let value = bytes[place] &- 48
        return value <= 9 ? Int(value) : nil
    }

    @inline(__always)
    private static func two(_ bytes: UnsafeRawBufferPointer, _ place: Int) -> Int? {
        let high = bytes[place] &- 48
        let low = bytes[place + 1] &- 48
        return high <= 9 && low <= 9 ? Int(high) * 10 + Int(low) : nil
    }

    private static func length(ofMonth month: Int, year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
