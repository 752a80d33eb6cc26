/// Builds one small JSON object, fields in the order they are given.
///
/// For records, not for events: it allocates.
package struct JSONText {
    /// The object's bytes so far, without the closing brace.
    package private(set) var bytes: [UInt8] = [UInt8(ascii: "{")]

    package init() {}

    /// The whole object.
    package var closed: [UInt8] { bytes + [UInt8(ascii: "}")] }

    package mutating func field(_ name: String, _ value: String) {
        key(name)
        Self.append(value, to: &bytes)
    }

    package mutating func field(_ name: String, _ value: some BinaryInteger) {
        key(name)
        bytes.append(contentsOf: String(value).utf8)
    }

    package mutating func field(_ name: String, _ value: Bool) {
        key(name)
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
    }

    /// A number; null where it is not finite.
    package mutating func field(_ name: String, _ value: Double) {
        key(name)
        bytes.append(contentsOf: (value.isFinite ? String(value) : "null").utf8)
    }

    package mutating func object(_ name: String, _ build: (inout JSONText) -> Void) {
        key(name)
        var inner = JSONText()
        build(&inner)
        bytes.append(contentsOf: inner.closed)
    }

    package mutating func array(_ name: String, _ values: [String]) {
        array(
            name,
            elements: values.map { value in
                var text: [UInt8] = []
                Self.append(value, to: &text)
                return text
            })
    }

    package mutating func array(_ name: String, _ values: [JSONText]) { array(name, elements: values.map(\.closed)) }

    private mutating func array(_ name: String, elements: [[UInt8]]) {
        key(name)
        bytes.append(UInt8(ascii: "["))
        bytes.append(contentsOf: elements.joined(separator: [UInt8(ascii: ",")]))
        bytes.append(UInt8(ascii: "]"))
    }

    private mutating func key(_ name: String) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        Self.append(name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
    }

    /// Appends a quoted string: `"`, `\` and control characters are escaped, everything else stays UTF-8.
    package static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case 0x22, 0x5C: bytes.append(contentsOf: [0x5C, byte])
            case 0x0A: bytes.append(contentsOf: [0x5C, UInt8(ascii: "n")])
            case 0x0D: bytes.append(contentsOf: [0x5C, UInt8(ascii: "r")])
            case 0x09: bytes.append(contentsOf: [0x5C, UInt8(ascii: "t")])
            case 0..<0x20:
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(byte < 0x10 ? 0x30 : 0x31)
                bytes.append(byte & 0xF < 10 ? 0x30 + byte & 0xF : 0x57 + byte & 0xF)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
