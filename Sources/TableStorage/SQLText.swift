/// PostgreSQL's text formats of the types that we send and read.
enum SQLText {
    /// UTF-8 with U+0000, which PostgreSQL's text cannot hold, replaced by U+FFFD.
    static func withoutZeros(_ value: String) -> [UInt8] {
        let bytes = Array(value.utf8)
        guard bytes.contains(0) else { return bytes }
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count + 2)
        for byte in bytes {
            if byte == 0 { out += [0xEF, 0xBF, 0xBD] } else { out.append(byte) }
        }
        return out
    }

    /// The shortest decimal that reads back as the same double.
    static func real(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
        return value.description
    }

    static func appendHex(_ bytes: [UInt8], to out: inout [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        for byte in bytes {
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
    }

    static func array<Value>(_ values: [Value], _ element: (Value) -> [UInt8]) -> [UInt8] {
        var out: [UInt8] = [UInt8(ascii: "{")]
        for (index, value) in values.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            out += element(value)
        }
        out.append(UInt8(ascii: "}"))
        return out
    }

    /// A text as an element of an array: always quoted, quotes and backslashes escaped.
    static func quotedElement(_ value: String) -> [UInt8] {
        var out: [UInt8] = [UInt8(ascii: "\"")]
        for byte in withoutZeros(value) {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { out.append(UInt8(ascii: "\\")) }
            out.append(byte)
        }
        out.append(UInt8(ascii: "\""))
        return out
    }

    /// `YYYY-MM-DD HH:MM:SS.mmm+00` of milliseconds since the epoch, proleptic Gregorian, UTC.
    ///
    /// Days to civil date after Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    static func time(_ milliseconds: Int64) -> String {
        let day = milliseconds >= 0 ? milliseconds / 86_400_000 : (milliseconds - 86_399_999) / 86_400_000
        let rest = milliseconds - day * 86_400_000
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let date = dayOfYear - (153 * monthIndex + 2) / 5 + 1
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return pad(year, 4) + "-" + pad(month, 2) + "-" + pad(date, 2) + " " + pad(rest / 3_600_000, 2) + ":"
            + pad(rest / 60_000 % 60, 2) + ":" + pad(rest / 1000 % 60, 2) + "." + pad(rest % 1000, 3) + "+00"
    }

    /// Milliseconds since the epoch of `YYYY-MM-DD HH:MM:SS[.ffffff]+00` (or a date alone); nil for anything else,
    /// infinity and other zones included.
    ///
    /// Microseconds are cut.
    static func milliseconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        func number(_ from: Int, _ to: Int) -> Int64? {
            guard to <= bytes.count, from < to else { return nil }
            var value: Int64 = 0
            for byte in bytes[from..<to] {
                guard byte >= 48, byte <= 57 else { return nil }
                value = value * 10 + Int64(byte - 48)
            }
            return value
        }
        guard let year = number(0, 4), let month = number(5, 7), let date = number(8, 10) else { return nil }
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + date - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        var result = (era * 146_097 + dayOfEra - 719_468) * 86_400_000
        if bytes.count == 10 { return result }
        guard let hour = number(11, 13), let minute = number(14, 16), let second = number(17, 19) else { return nil }
        result += hour * 3_600_000 + minute * 60_000 + second * 1000
        var position = 19
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position += 1
            var scale: Int64 = 100
            while position < bytes.count, bytes[position] >= 48, bytes[position] <= 57 {
                result += Int64(bytes[position] - 48) * scale
                scale /= 10
                position += 1
            }
        }
        guard position == bytes.count || bytes[position...].elementsEqual("+00".utf8) else { return nil }
        return result
    }

    /// The elements of a one-dimensional array in text format; NULL elements are nil.
    static func elements(_ text: String) -> [String?] {
        var bytes = Array(text.utf8)[...]
        guard bytes.first == UInt8(ascii: "{"), bytes.last == UInt8(ascii: "}") else { return [] }
        bytes = bytes.dropFirst().dropLast()
        var out: [String?] = []
        var position = bytes.startIndex
        while position < bytes.endIndex {
            var element: [UInt8] = []
            var quoted = false
            if bytes[position] == UInt8(ascii: "\"") {
                quoted = true
                position += 1
                while position < bytes.endIndex, bytes[position] != UInt8(ascii: "\"") {
                    if bytes[position] == UInt8(ascii: "\\") { position += 1 }
                    element.append(bytes[position])
                    position += 1
                }
                position += 1
            } else {
                while position < bytes.endIndex, bytes[position] != UInt8(ascii: ",") {
                    element.append(bytes[position])
                    position += 1
                }
            }
            let value = String(decoding: element, as: UTF8.self)
            out.append(!quoted && value == "NULL" ? nil : value)
            position += 1
        }
        return out
    }

    private static func pad(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
