/// Puts environment variables into a configuration value.
///
/// `${NAME}` is the variable's value and an error when it is not set; `${NAME:-default}` is the default when it is not
/// set or empty; `$${` is a literal `${`. A `$` before anything else stands for itself, so that field paths such as
/// `$.input.*` need no escape.
package enum EnvironmentText {
    /// A reference that cannot be resolved.
    package struct Failure: Error, Equatable, Sendable {
        /// One sentence for a person.
        package let message: String
    }

    /// The text with every reference replaced.
    package static func expand(_ text: String, _ environment: [String: String]) throws(Failure) -> String {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[dollar...]
            if rest.hasPrefix("$${") {
                result += "${"
                rest = rest.dropFirst(3)
            } else if rest.hasPrefix("${") {
                guard let close = rest.firstIndex(of: "}") else {
                    throw Failure(message: "'\(rest)' has no closing brace: write ${NAME}, or $${ for a literal ${")
                }
                result += try value(of: rest[rest.index(rest.startIndex, offsetBy: 2)..<close], environment)
                rest = rest[rest.index(after: close)...]
            } else {
                result += "$"
                rest = rest.dropFirst()
            }
        }
        return result + rest
    }

    private static func value(of reference: Substring, _ environment: [String: String]) throws(Failure) -> String {
        var name = reference
        var fallback: Substring?
        if let colon = reference.firstIndex(of: ":"), reference[colon...].hasPrefix(":-") {
            name = reference[..<colon]
            fallback = reference[colon...].dropFirst(2)
        }
        let isName = name.first.map { !$0.isNumber } ?? false
        guard isName, name.utf8.allSatisfy(isNameByte) else {
            throw Failure(message: "'${\(reference)}' does not name a variable: write ${NAME} or ${NAME:-default}")
        }
        if let fallback {
            guard let value = environment[String(name)], !value.isEmpty else { return String(fallback) }
            return value
        }
        guard let value = environment[String(name)] else {
            throw Failure(
                message: "environment variable \(name) is not set: set it, or give a default as ${\(name):-default}")
        }
        return value
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
