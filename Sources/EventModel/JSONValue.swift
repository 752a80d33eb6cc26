/// A small JSON reader for the project's own records (lock files, `writer` lines).
///
/// Cold paths only: it allocates.
///
/// It keeps what those records need: numbers that are not 64-bit integers become ``other``. Nesting is limited to 16.
package indirect enum JSONValue: Sendable, Equatable {
    case string(String)
    case integer(Int64)
    case bool(Bool)
    case object([String: JSONValue])
    case array([JSONValue])
    /// `null`, or a number that is not a 64-bit integer.
    case other

    /// The field of an object; nil where this is no object or has no such field.
    package subscript(name: String) -> JSONValue? {
        if case .object(let fields) = self { fields[name] } else { nil }
    }

    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The value as a count: an integer that is not negative.
    package var count: Int? { if case .integer(let value) = self, value >= 0 { Int(value) } else { nil } }

    /// Reads the first value in `bytes` and ignores what follows it (a lock file is padded); nil where it is not JSON.
    package static func parse(prefixOf bytes: some Collection<UInt8>) -> JSONValue? {
        var reader = JSONReader(bytes: Array(bytes))
        return reader.value(depth: 0)
    }

    /// Reads an object of which one field is a long list: each element goes to `element` and is then forgotten, so that
    /// memory is that of the rest.
    ///
    /// - Parameters:
    ///   - list: the field's name; in the result it is an empty array.
    ///   - element: takes an element; false stops.
    /// - Returns: the object; nil where the bytes are not JSON, not an object, hold the list twice or as no array, or
    ///   where `element` stopped.
    package static func parse(
        prefixOf bytes: [UInt8], list: String, _ element: (JSONValue) -> Bool
    ) -> JSONValue? {
        var reader = JSONReader(bytes: bytes)
        return reader.object(list: list, element)
    }
}

private struct JSONReader {
    let bytes: [UInt8]
    var place = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    var byte: UInt8? { place < bytes.count ? bytes[place] : nil }

    mutating func skipSpace() {
        while let byte, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { place += 1 }
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard byte == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    mutating func value(depth: Int) -> JSONValue? {
        guard depth < 16 else { return nil }
        skipSpace()
        switch byte {
        case UInt8(ascii: "{"): return object(depth: depth)
        case UInt8(ascii: "["): return array(depth: depth)
        case UInt8(ascii: "\""): return string().map(JSONValue.string)
        default: return scalar()
        }
    }

    mutating func object(depth: Int) -> JSONValue? {
        place += 1
        var fields: [String: JSONValue] = [:]
        if take("}") { return .object(fields) }
        while true {
            skipSpace()
            guard byte == UInt8(ascii: "\""), let name = string(), take(":"), let value = value(depth: depth + 1)
            else { return nil }
            fields[name] = value
            if take("}") { return .object(fields) }
            guard take(",") else { return nil }
        }
    }

    mutating func object(list: String, _ element: (JSONValue) -> Bool) -> JSONValue? {
        guard take("{") else { return nil }
        var fields: [String: JSONValue] = [:]
        if take("}") { return .object(fields) }
        while true {
            skipSpace()
            guard byte == UInt8(ascii: "\""), let name = string(), take(":") else { return nil }
            if name == list {
                guard fields[name] == nil, elements(element) else { return nil }
                fields[name] = .array([])
            } else {
                guard let value = value(depth: 1) else { return nil }
                fields[name] = value
            }
            if take("}") { return .object(fields) }
            guard take(",") else { return nil }
        }
    }

    private mutating func elements(_ element: (JSONValue) -> Bool) -> Bool {
        guard take("[") else { return false }
        if take("]") { return true }
        while true {
            guard let value = value(depth: 2), element(value) else { return false }
            if take("]") { return true }
            guard take(",") else { return false }
        }
    }

    mutating func array(depth: Int) -> JSONValue? {
        place += 1
        var values: [JSONValue] = []
        if take("]") { return .array(values) }
        while true {
            guard let value = value(depth: depth + 1) else { return nil }
            values.append(value)
            if take("]") { return .array(values) }
            guard take(",") else { return nil }
        }
    }

    mutating func scalar() -> JSONValue? {
        let start = place
        while let byte, byte > 0x20, byte != 0x2C, byte != 0x7D, byte != 0x5D { place += 1 }
        let text = String(decoding: bytes[start..<place], as: UTF8.self)
        switch text {
        case "true": return .bool(true)
        case "false": return .bool(false)
        case "null": return .other
        default:
            guard let first = text.utf8.first, first == 0x2D || (0x30...0x39).contains(first) else { return nil }
            if let value = Int64(text) { return .integer(value) }
            return Double(text) == nil ? nil : .other
        }
    }

    mutating func string() -> String? {
        place += 1
        var text: [UInt8] = []
        while let byte {
            place += 1
            switch byte {
            case 0x22: return String(validating: text, as: UTF8.self)
            case 0x5C:
                guard escape(into: &text) else { return nil }
            case 0..<0x20: return nil
            default: text.append(byte)
            }
        }
        return nil
    }

    mutating func escape(into text: inout [UInt8]) -> Bool {
        guard let byte else { return false }
        place += 1
        switch byte {
        case 0x22, 0x5C, 0x2F: text.append(byte)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "u"):
            guard var code = unit() else { return false }
            if code & 0xFC00 == 0xD800 {
                guard byteIs("\\"), byteIs("u"), let low = unit(), low & 0xFC00 == 0xDC00 else { return false }
                code = 0x10000 + (code & 0x3FF) << 10 + (low & 0x3FF)
            }
            guard let scalar = Unicode.Scalar(code) else { return false }
            text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        default: return false
        }
        return true
    }

    mutating func byteIs(_ character: Unicode.Scalar) -> Bool {
        guard byte == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    mutating func unit() -> UInt32? {
        guard place + 4 <= bytes.count else { return nil }
        let digits = bytes[place..<place + 4]
        guard digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
        place += 4
        return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
