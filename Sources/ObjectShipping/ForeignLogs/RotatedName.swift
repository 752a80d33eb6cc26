/// What a log file's name says about rotation.
///
/// A file that rotation has finished with has a number or a date in its name: `app.log.1`, `app.log.2.gz`,
/// `app.1.log`, `app.log-20261123`, `app-2026-11-23.log`, `app-2026-11-23T10-15-30.123.log.gz`,
/// `app.log.2026-11-23_10`. The live file has neither.
struct RotatedName: Equatable {
    /// The name without the ending of a compressor.
    let plain: String
    /// The ending of a compressor, or empty.
    let compression: String
    /// Whether the name has a rotation's number or date.
    let isRotated: Bool
    /// The name of the live file that it was rotated from, where the name tells.
    let live: String?

    init(_ name: String) {
        compression = [".gz", ".zst"].first { name.hasSuffix($0) } ?? ""
        plain = String(name.dropLast(compression.count))
        let bytes = Array(plain.utf8)
        if let range = RotatedName.number(in: bytes) ?? RotatedName.date(in: bytes) {
            isRotated = true
            let rest = Array(bytes[..<range.lowerBound]) + Array(bytes[range.upperBound...])
            live = rest.isEmpty ? nil : String(decoding: rest, as: UTF8.self)
        } else {
            isRotated = false
            live = nil
        }
    }

    /// The place of a rotation's number with its separator: at the end, or before a last extension of letters.
    private static func number(in bytes: [UInt8]) -> Range<Int>? {
        var end = bytes.count
        if let dot = bytes.lastIndex(of: UInt8(ascii: ".")), dot + 1 < bytes.count,
            bytes[(dot + 1)...].allSatisfy(isLetter)
        {
            end = dot
        }
        for end in Set([bytes.count, end]).sorted(by: >) {
            var start = end
            while start > 0, isDigit(bytes[start - 1]) { start -= 1 }
            let isShort = (1...4).contains(end - start)
            guard isShort, start > 1, bytes[start - 1] == UInt8(ascii: ".") || bytes[start - 1] == UInt8(ascii: "-")
            else { continue }
            // The day of a date is no number of a rotation.
            if date(in: bytes) != nil { continue }
            return (start - 1)..<end
        }
        return nil
    }

    /// The place of a date with its separator and all that a time of day adds: `-2026-11-23T10-15-30.123`.
    private static func date(in bytes: [UInt8]) -> Range<Int>? {
        var start = 0
        while start < bytes.count {
            if start == 0 || !isDigit(bytes[start - 1]), let length = dateLength(bytes[start...]) {
                var end = start + length
                while end < bytes.count, isTimePart(bytes, end) { end += 1 }
                let isSeparated =
                    start > 0 && [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_")].contains(bytes[start - 1])
                return (isSeparated ? start - 1 : start)..<end
            }
            start += 1
        }
        return nil
    }

    /// How long `YYYY-MM-DD` or `YYYYMMDD` at the beginning is; nil for neither.
    private static func dateLength(_ bytes: ArraySlice<UInt8>) -> Int? {
        let text = Array(bytes.prefix(10))
        for (separator, length) in [(true, 10), (false, 8)] where text.count >= length {
            var digits: [UInt8] = []
            var isGood = true
            for (index, byte) in text.prefix(length).enumerated() {
                if separator, index == 4 || index == 7 {
                    isGood = isGood && byte == UInt8(ascii: "-")
                } else if isDigit(byte) {
                    digits.append(byte - UInt8(ascii: "0"))
                } else {
                    isGood = false
                }
            }
            guard isGood, digits.count == 8 else { continue }
            let year = digits[..<4].reduce(0) { $0 * 10 + Int($1) }
            let month = Int(digits[4]) * 10 + Int(digits[5])
            let day = Int(digits[6]) * 10 + Int(digits[7])
            if (1990...2199).contains(year), (1...12).contains(month), (1...31).contains(day) { return length }
        }
        return nil
    }

    /// Whether a byte behind a date belongs to it: digits, and separators before digits.
    private static func isTimePart(_ bytes: [UInt8], _ place: Int) -> Bool {
        let byte = bytes[place]
        if isDigit(byte) { return true }
        let separators = [".", "-", "_", "T", ":", "Z"].map { $0.utf8.first }
        guard separators.contains(byte) else { return false }
        return place + 1 == bytes.count ? byte == UInt8(ascii: "Z") : isDigit(bytes[place + 1])
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
}
