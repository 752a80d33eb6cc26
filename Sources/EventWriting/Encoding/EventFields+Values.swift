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

    /// A text of any length; left out where it is nil.
    @inline(__always)
    mutating func optional(_ key: StaticString, text: String?) {
        guard let text else { return }
        line.append(key)
        line.append(quoted: text)
    }

    @inline(__always)
    mutating func optional(_ key: StaticString, _ value: Double?) {
        guard let value else { return }
        line.append(key)
        line.append(value)
    }

    @inline(__always)
    mutating func optional(_ key: StaticString, _ value: Int?) {
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
