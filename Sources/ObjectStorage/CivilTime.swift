internal import Glibc

/// A UTC date and time, for the formats that S3 and HTTP use.
struct CivilTime: Hashable, Sendable {
    var year: Int
    var month: Int
    var day: Int
    var hour: Int
    var minute: Int
    var second: Int

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Splits seconds since the epoch.
    ///
    /// From Howard Hinnant's `civil_from_days` (<https://howardhinnant.github.io/date_algorithms.html>).
    init(seconds: Int64) {
        let days = Int((seconds >= 0 ? seconds : seconds - 86_399) / 86_400)
        let rest = Int(seconds - Int64(days) * 86_400)
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        hour = rest / 3600
        minute = rest / 60 % 60
        second = rest % 60
    }

    private init?(_ year: Int?, _ month: Int?, _ day: Int?, _ hour: Int?, _ minute: Int?, _ second: Int?) {
        guard let year, let month, let day, let hour, let minute, let second, 1...12 ~= month, 1...31 ~= day,
            0..<24 ~= hour, 0..<60 ~= minute, 0...60 ~= second, 1...9999 ~= year
        else { return nil }
        (self.year, self.month, self.day) = (year, month, day)
        (self.hour, self.minute, self.second) = (hour, minute, second)
    }

    /// Parses `2026-11-23T04:34:11Z`, with or without a fraction, to milliseconds since the epoch.
    static func milliseconds(iso text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
            bytes[10] == UInt8(ascii: "T"), bytes[13] == UInt8(ascii: ":"), bytes[16] == UInt8(ascii: ":"),
            bytes.last == UInt8(ascii: "Z"),
            let time = CivilTime(
                number(bytes[0..<4]), number(bytes[5..<7]), number(bytes[8..<10]), number(bytes[11..<13]),
                number(bytes[14..<16]), number(bytes[17..<19]))
        else { return nil }
        guard bytes.count > 20 else { return time.seconds * 1000 }
        let fraction = Array(bytes[20..<bytes.count - 1])
        guard bytes[19] == UInt8(ascii: "."), number(fraction[...]) != nil,
            let thousandths = number((fraction + [48, 48])[..<3])
        else { return nil }
        return time.seconds * 1000 + Int64(thousandths)
    }

    /// Parses HTTP's `Mon, 23 Nov 2026 04:34:12 GMT` (RFC 9110, 5.6.7, IMF-fixdate) to seconds since the epoch.
    static func seconds(http text: String) -> Int64? {
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT", let month = months.firstIndex(of: String(words[2])) else {
            return nil
        }
        let clock = words[4].split(separator: ":").map { number(Array($0.utf8)[...]) }
        guard clock.count == 3 else { return nil }
        return CivilTime(
            number(Array(words[3].utf8)[...]), month + 1, number(Array(words[1].utf8)[...]), clock[0], clock[1],
            clock[2])?.seconds
    }

    /// Seconds since the epoch (`days_from_civil`, same source as above).
    var seconds: Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = Int64(era * 146_097 + dayOfEra - 719_468)
        return days * 86_400 + Int64(hour * 3600 + minute * 60 + second)
    }

    /// The day as `20261123`.
    var basicDate: String { Self.pad(year, 4) + Self.pad(month, 2) + Self.pad(day, 2) }

    /// Day and time as `20261123T043412Z`.
    var basicDateTime: String {
        basicDate + "T" + Self.pad(hour, 2) + Self.pad(minute, 2) + Self.pad(second, 2) + "Z"
    }

    /// Seconds since the epoch by this host's clock.
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec)
    }

    private static func pad(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        guard !digits.isEmpty, digits.allSatisfy({ (48...57).contains($0) }), digits.count <= 18 else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
    }
}
