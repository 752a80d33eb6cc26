/// Where a foreign log keeps something: `$.input.petal`, `$["a b"].c`.
///
/// A `.*` at the end is allowed and changes nothing: the object itself is meant.
struct FieldPath: Equatable, Sendable, CustomStringConvertible {
    /// Names from the line's object inwards; empty for the line itself.
    let names: [String]

    /// nil where the text is no path.
    init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        guard rest.popFirst() == UInt8(ascii: "$") else { return nil }
        var names: [String] = []
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: ".") {
                let name = rest.prefix { $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "[") }
                rest = rest.dropFirst(name.count)
                if Array(name) == [UInt8(ascii: "*")] {
                    guard rest.isEmpty else { return nil }
                    break
                }
                guard !name.isEmpty else { return nil }
                names.append(String(decoding: name, as: UTF8.self))
            } else if byte == UInt8(ascii: "[") {
                guard let quote = rest.popFirst(), quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'"),
                    let end = rest.firstIndex(of: quote), rest[(end + 1)...].first == UInt8(ascii: "]")
                else { return nil }
                names.append(String(decoding: rest[..<end], as: UTF8.self))
                rest = rest[(end + 2)...]
            } else {
                return nil
            }
        }
        self.names = names
    }

    /// One way to write it.
    var description: String { "$" + names.map { "['\($0)']" }.joined() }
}
