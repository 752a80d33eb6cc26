import EventModel

/// Single fields, for the event types: the name is a constant with its comma, quotes and colon.
extension EventFields {
    /// A name or id that the type requires.
    mutating func required(_ key: StaticString, name: String) {
        line.append(key)
        line.append(name: name)
    }

    /// A name or id; left out where it is nil.
    @inline(__always)
    mutating func optional(_ key: StaticString, name: String?) {
        guard let name else { return }
        required(key, name: name)
    }

    /// A free text, cut to 2048 bytes at a character's end.
    mutating func optional(_ key: StaticString, explanation: String?) {
        guard var text = explanation else { return }
        if text.utf8.contains(0) {
            text = String(String.UnicodeScalarView(text.unicodeScalars.map { $0 == "\0" ? "\u{FFFD}" : $0 }))
        }
        if text.utf8.count > EventLimits.explanationBytes {
            var end = text.utf8.index(text.startIndex, offsetBy: EventLimits.explanationBytes)
            while text.utf8[end] & 0xC0 == 0x80 { end = text.utf8.index(before: end) }
            text = String(decoding: text.utf8[..<end], as: UTF8.self)
        }
        line.append(key)
        line.append(quoted: text)
    }

    /// One of a few words; any other makes the event invalid.
    mutating func optional(_ key: StaticString, _ word: String?, oneOf words: [String]) {
        guard let word else { return }
        if !words.contains(word) { line.isInvalid = true }
        required(key, name: word)
    }

    /// An id of so many lower-case hexadecimal digits.
    mutating func optional(_ key: StaticString, hex: String?, digits: Int) {
        guard let hex else { return }
        let isHex = hex.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        if hex.utf8.count != digits || !isHex { line.isInvalid = true }
        required(key, name: hex)
    }

    /// A probability: 0 to 1, rounding errors forgiven.
    @inline(__always)
    mutating func optional(_ key: StaticString, probability: Double?) {
        guard let probability else { return }
        line.append(key)
        line.append(probability: probability)
    }

    /// A duration, size or ratio: a number of at least 0.
    @inline(__always)
    mutating func optional(_ key: StaticString, atLeastZero value: Double?) {
        guard let value else { return }
        if value < 0 && value.isFinite { line.isInvalid = true }
        line.append(key)
        line.append(value)
    }

    /// A whole number from 0 to 2^53 - 1, or in another range.
    @inline(__always)
    mutating func optional(
        _ key: StaticString, count: Int?, in range: Range<Int> = 0..<EventLimits.countLimit
    ) {
        guard let count else { return }
        if !range.contains(count) { line.isInvalid = true }
        line.append(key)
        line.append(count)
    }

    @inline(__always)
    mutating func optional(_ key: StaticString, _ value: Double?) {
        guard let value else { return }
        line.append(key)
        line.append(value)
    }

    @inline(__always)
    mutating func optional(_ key: StaticString, time_ms: Int64?) {
        guard let time_ms else { return }
        line.append(key)
        line.append("\"")
        line.append(time_ms: time_ms)
        line.append("\"")
    }

    @inline(__always)
    mutating func optional(_ key: StaticString, _ value: FieldValue?) {
        guard let value else { return }
        line.append(key)
        append(value, depth: 0)
    }

    /// Writes a value; lists nest at most 16 deep.
    private mutating func append(_ value: FieldValue, depth: Int) {
        switch value {
        case .text(let text): line.append(quoted: text)
        case .number(let number): line.append(number)
        case .integer(let integer): line.append(integer)
        case .flag(let flag): line.append(flag)
        case .missing: line.append("null")
        case .list(let values):
            if depth > 16 { line.isInvalid = true } else { appendList(values, depth: depth) }
        }
    }

    private mutating func appendList(_ values: [FieldValue], depth: Int) {
        line.append("[")
        for (place, value) in values.enumerated() {
            if place > 0 { line.append(",") }
            append(value, depth: depth + 1)
        }
        line.append("]")
    }

    /// A group of values; left out where it is empty.
    @inline(__always)
    mutating func features(_ values: NamedValues) {
        guard !values.isEmpty else { return }
        features { group in for (name, value) in values.entries { group.add(name, value) } }
    }

    @inline(__always)
    mutating func tags(_ values: NamedValues) {
        guard !values.isEmpty else { return }
        tags { group in for (name, value) in values.entries { group.add(name, value) } }
    }

    @inline(__always)
    mutating func scores(_ values: NamedValues) {
        guard !values.isEmpty else { return }
        scores { group in for (name, value) in values.entries { group.add(name, value) } }
    }

    mutating func extra(_ values: NamedValues) {
        guard !values.isEmpty else { return }
        extra { group in for (name, value) in values.entries { group.add(name, value) } }
    }
}
