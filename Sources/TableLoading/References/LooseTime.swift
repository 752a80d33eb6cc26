internal import EventModel

/// Times as files of training data write them.
package enum LooseTime {
    /// `2026-11-23T10:15:30.123Z`, with a blank for the T, without a fraction, seconds or time of day, with an offset such
    /// as +01:00; without one it is UTC.
    ///
    /// - Returns: milliseconds since the epoch; nil for anything else.
    package static func parse(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        var place = 0
        func number(_ digits: Int) -> Int? {
            guard place + digits <= bytes.count else { return nil }
            var value = 0
            for byte in bytes[place..<(place + digits)] {
                guard byte >= 48, byte <= 57 else { return nil }
                value = value * 10 + Int(byte - 48)
            }
            place += digits
            return value
        }
        func take(_ characters: String) -> Bool {
            guard place < bytes.count, characters.utf8.contains(bytes[place]) else { return false }
            place += 1
            return true
        }
        guard let year = number(4), take("-"), let month = number(2), take("-"), let day = number(2),
            (1...12).contains(month), (1...31).contains(day), year >= 1
        else { return nil }
        let days = Timestamp.days(year: year, month: month, day: day)
        let civil = Timestamp.civil(Int64(days) * 86_400_000)
        guard civil.month == month, civil.day == day else { return nil }
        var time_ms = Int64(days) * 86_400_000
        if place == bytes.count { return time_ms }
        guard take("Tt "), let hour = number(2), take(":"), let minute = number(2), hour <= 23, minute <= 59 else {
            return nil
        }
        time_ms += Int64(hour * 60 + minute) * 60_000
        if take(":") {
            guard let second = number(2), second <= 60 else { return nil }
            time_ms += Int64(second) * 1000
            if take(".,") {
                let begin = place
                while place < bytes.count, bytes[place] >= 48, bytes[place] <= 57 {
                    let factor: Int64 = [100, 10, 1].indices.contains(place - begin) ? [100, 10, 1][place - begin] : 0
                    time_ms += Int64(bytes[place] - 48) * factor
                    place += 1
                }
                guard place > begin else { return nil }
            }
        }
        if place == bytes.count { return time_ms }
        if take("Zz") { return place == bytes.count ? time_ms : nil }
        let isBehind = place < bytes.count && bytes[place] == UInt8(ascii: "-")
        guard take("+-"), let hours = number(2), hours <= 23 else { return nil }
        _ = take(":")
        let minutes = place == bytes.count ? 0 : number(2)
        guard let minutes, minutes <= 59, place == bytes.count else { return nil }
        let offset = Int64(hours * 60 + minutes) * 60_000
        return isBehind ? time_ms + offset : time_ms - offset
    }

    /// Seconds, milliseconds, microseconds or nanoseconds since the epoch, told apart by their size: seconds until the year
    /// 5138.
    package static func parse(epoch number: Double) -> Int64? {
        switch number.magnitude {
        case ..<1e11: Int64((number * 1000).rounded())
        case ..<1e14: Int64(number.rounded())
        case ..<1e17: Int64((number / 1e3).rounded())
        case ..<1e19: Int64((number / 1e6).rounded())
        default: nil
        }
    }
}
