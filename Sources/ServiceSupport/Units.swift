/// Sizes and lengths of time as people write them.
package enum Units {
    private static let sizes: [(unit: String, bytes: Int)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
        ("kB", 1_000), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("B", 1),
    ]

    private static let times: [(unit: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// The bytes of `8MiB`, `10MB` or `512` (no unit means bytes); nil when it is no size.
    package static func bytes(_ text: String) -> Int? {
        let (digits, unit) = split(text)
        guard let number = Int(digits) else { return nil }
        if unit.isEmpty { return number }
        guard let factor = sizes.first(where: { $0.unit == unit })?.bytes else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : bytes
    }

    /// The length of `500ms`, `30s`, `5m`, `2h` or `7d`; nil when it is none, or has no unit.
    package static func duration(_ text: String) -> Duration? {
        let (digits, unit) = split(text)
        if digits == "0", unit.isEmpty { return .zero }
        guard let number = Int64(digits), let factor = times.first(where: { $0.unit == unit })?.milliseconds
        else { return nil }
        let (milliseconds, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : .milliseconds(milliseconds)
    }

    /// A size with the largest unit that keeps one decimal meaningful, such as `1.2 MiB`.
    package static func text(bytes: Int) -> String {
        guard bytes >= 1 << 10 else { return "\(bytes) B" }
        let (unit, size) = sizes[..<4].last { bytes >= $0.bytes }.map { ($0.unit, $0.bytes) } ?? ("KiB", 1 << 10)
        let tenths = bytes / (size / 64) * 10 / 64
        return tenths % 10 == 0 ? "\(tenths / 10) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
    }

    /// A length of time with its two largest units, such as `2h 5m`.
    package static func text(_ duration: Duration) -> String {
        let milliseconds = duration.components.seconds * 1_000 + duration.components.attoseconds / 1_000_000_000_000_000
        guard milliseconds >= 1_000 else { return "\(milliseconds)ms" }
        guard let index = times.lastIndex(where: { milliseconds >= $0.milliseconds }), index >= 1
        else { return "\(milliseconds)ms" }
        let whole = milliseconds / times[index].milliseconds
        let rest = milliseconds % times[index].milliseconds / times[index - 1].milliseconds
        let first = "\(whole)\(times[index].unit)"
        return index == 1 || rest == 0 ? first : first + " \(rest)\(times[index - 1].unit)"
    }

    private static func split(_ text: String) -> (digits: String, unit: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        return (String(digits), String(text.dropFirst(digits.count).drop { $0 == " " }))
    }
}
