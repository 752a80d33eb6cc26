/// One mapping of a configuration file, with the keys that may stand in it.
///
/// Every accessor returns nil for a key that is absent or empty, and throws a ``ConfigurationError`` with the line for
/// a value of the wrong type. Asking for a key that was not declared is a mistake of the program and traps.
package struct ConfigurationSection: Sendable {
    /// What errors call it, such as `shipper` or `shipper.store`.
    package let title: String
    /// The file's path as it was given.
    package let file: String
    /// The line it begins on, from 1.
    package let line: Int
    private let keys: [String]
    private let entries: [ConfigurationNode.Entry]

    init(_ node: ConfigurationNode, title: String, file: String, keys: [String]) throws(ConfigurationError) {
        guard case .mapping(let entries, let line) = node else {
            throw ConfigurationError(
                file: file, line: node.line, message: "'\(title)' must be a mapping of keys to values, not \(node.kind)"
            )
        }
        for entry in entries where !keys.contains(entry.key) {
            throw ConfigurationError(
                file: file, line: entry.line,
                message: "unknown key '\(entry.key)' in '\(title)'; known keys: \(keys.joined(separator: ", "))")
        }
        self.title = title
        self.file = file
        self.line = line
        self.keys = keys
        self.entries = entries
    }

    /// Whether a key has a value.
    package func has(_ key: String) -> Bool { node(key) != nil }

    /// An error that names a key's line.
    package func error(_ key: String, _ message: String) -> ConfigurationError {
        ConfigurationError(file: file, line: entry(key)?.line ?? line, message: "'\(title).\(key)' \(message)")
    }

    /// A text.
    package func string(_ key: String) throws(ConfigurationError) -> String? {
        guard let node = node(key) else { return nil }
        guard case .scalar(let text, _, _) = node else { throw error(key, "must be a text, not \(node.kind)") }
        return text
    }

    /// A text that must be there.
    package func requiredString(_ key: String) throws(ConfigurationError) -> String {
        guard let text = try string(key), !text.isEmpty else { throw missing(key) }
        return text
    }

    /// One of a few words.
    package func choice(_ key: String, of words: [String]) throws(ConfigurationError) -> String? {
        guard let text = try string(key) else { return nil }
        guard words.contains(text) else {
            throw error(key, "is '\(text)'; it must be one of: \(words.joined(separator: ", "))")
        }
        return text
    }

    /// `true` or `false`.
    package func bool(_ key: String) throws(ConfigurationError) -> Bool? {
        switch try string(key) {
        case nil: return nil
        case "true": return true
        case "false": return false
        case let text?: throw error(key, "is '\(text)'; it must be true or false")
        }
    }

    /// A whole number.
    package func integer(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let text = try string(key) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw error(
                key, "is '\(text)'; it must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A number.
    package func number(_ key: String, in range: ClosedRange<Double>) throws(ConfigurationError) -> Double? {
        guard let text = try string(key) else { return nil }
        guard let number = Double(text), range.contains(number) else {
            throw error(key, "is '\(text)'; it must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A size in bytes, such as `8MiB`.
    package func bytes(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let text = try string(key) else { return nil }
        guard let size = Units.bytes(text) else {
            throw error(key, "is '\(text)'; it must be a size such as 512KiB, 8MiB or 1GiB")
        }
        guard range.contains(size) else {
            throw error(
                key,
                "is \(text); it must be from \(Units.text(bytes: range.lowerBound)) to "
                    + Units.text(bytes: range.upperBound))
        }
        return size
    }

    /// A length of time, such as `30s`.
    package func duration(_ key: String, in range: ClosedRange<Duration>) throws(ConfigurationError) -> Duration? {
        guard let text = try string(key) else { return nil }
        guard let duration = Units.duration(text) else {
            throw error(key, "is '\(text)'; it must be a time with its unit, such as 500ms, 30s, 5m, 2h or 7d")
        }
        guard range.contains(duration) else {
            throw error(
                key, "is \(text); it must be from \(Units.text(range.lowerBound)) to \(Units.text(range.upperBound))")
        }
        return duration
    }

    /// A list of texts; one text alone is a list of one.
    package func strings(_ key: String) throws(ConfigurationError) -> [String]? {
        guard let node = node(key) else { return nil }
        switch node {
        case .scalar(let text, _, _): return [text]
        case .list(let elements, _):
            var texts: [String] = []
            for element in elements {
                guard case .scalar(let text, _, _) = element else {
                    throw ConfigurationError(
                        file: file, line: element.line,
                        message: "'\(title).\(key)' must be a list of texts, not of \(element.kind)")
                }
                texts.append(text)
            }
            return texts
        case .mapping: throw error(key, "must be a list of texts, not \(node.kind)")
        }
    }

    /// A mapping of any keys to texts, in the file's order.
    package func texts(_ key: String) throws(ConfigurationError) -> [(name: String, text: String, line: Int)]? {
        guard let node = node(key) else { return nil }
        guard case .mapping(let entries, _) = node else {
            throw error(key, "must be a mapping of names to texts, not \(node.kind)")
        }
        var texts: [(name: String, text: String, line: Int)] = []
        for entry in entries {
            guard case .scalar(let text, _, _) = entry.value else {
                throw ConfigurationError(
                    file: file, line: entry.line,
                    message: "'\(title).\(key).\(entry.key)' must be a text, not \(entry.value.kind)")
            }
            texts.append((entry.key, text, entry.line))
        }
        return texts
    }

    /// A mapping with known keys.
    package func section(_ key: String, keys: [String]) throws(ConfigurationError) -> ConfigurationSection? {
        guard let node = node(key) else { return nil }
        return try ConfigurationSection(node, title: "\(title).\(key)", file: file, keys: keys)
    }

    /// A list of mappings with known keys.
    package func sections(_ key: String, keys: [String]) throws(ConfigurationError) -> [ConfigurationSection]? {
        guard let node = node(key) else { return nil }
        guard case .list(let elements, _) = node else { throw error(key, "must be a list, not \(node.kind)") }
        var sections: [ConfigurationSection] = []
        for (index, element) in elements.enumerated() {
            sections.append(
                try ConfigurationSection(element, title: "\(title).\(key)[\(index)]", file: file, keys: keys))
        }
        return sections
    }

    /// A mapping of any names to mappings with known keys, in the file's order.
    package func namedSections(
        _ key: String, keys: [String]
    ) throws(ConfigurationError) -> [(name: String, section: ConfigurationSection)]? {
        guard let node = node(key) else { return nil }
        guard case .mapping(let entries, _) = node else {
            throw error(key, "must be a mapping of names, not \(node.kind)")
        }
        var sections: [(name: String, section: ConfigurationSection)] = []
        for entry in entries {
            let name = "\(title).\(key).\(entry.key)"
            sections.append((entry.key, try ConfigurationSection(entry.value, title: name, file: file, keys: keys)))
        }
        return sections
    }

    /// The error for a key that must be there and is not.
    package func missing(_ key: String) -> ConfigurationError {
        ConfigurationError(
            file: file, line: entry(key)?.line ?? line, message: "'\(title).\(key)' is missing: give it a value")
    }

    private func entry(_ key: String) -> ConfigurationNode.Entry? {
        precondition(keys.contains(key), "\(title).\(key) is read but not declared")
        return entries.first { $0.key == key }
    }

    private func node(_ key: String) -> ConfigurationNode? {
        guard let value = entry(key)?.value, !value.isNull else { return nil }
        return value
    }
}
