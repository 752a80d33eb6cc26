import Yams

/// One value of a configuration file and the line it stands on.
indirect enum ConfigurationNode: Sendable {
    /// A scalar's text after environment variables were put in; `isQuoted` tells `"5"` from `5`.
    case scalar(String, isQuoted: Bool, line: Int)
    case list([ConfigurationNode], line: Int)
    case mapping([Entry], line: Int)

    /// A key of a mapping.
    struct Entry: Sendable {
        var key: String
        var line: Int
        var value: ConfigurationNode
    }

    var line: Int {
        switch self {
        case .scalar(_, _, let line), .list(_, let line), .mapping(_, let line): line
        }
    }

    /// What it is, in words of an error message.
    var kind: String {
        switch self {
        case .scalar: "a single value"
        case .list: "a list"
        case .mapping: "a mapping of keys to values"
        }
    }

    /// Whether it says nothing: `key:` with nothing behind it, `~` or `null`.
    var isNull: Bool {
        if case .scalar(let text, false, _) = self { ["", "~", "null"].contains(text) } else { false }
    }

    /// Takes over a YAML tree, putting environment variables into its values.
    ///
    /// - Throws: ``ConfigurationError`` for anchors' aliases, keys that are not text, and variables that are not set.
    init(_ node: Node, file: String, environment: [String: String]) throws(ConfigurationError) {
        let line = node.mark?.line ?? 1
        switch node {
        case .scalar(let scalar):
            let text: String
            do {
                text = try EnvironmentText.expand(scalar.string, environment)
            } catch {
                throw ConfigurationError(file: file, line: line, message: error.message)
            }
            let isQuoted = scalar.style == .singleQuoted || scalar.style == .doubleQuoted
            self = .scalar(text, isQuoted: isQuoted, line: line)
        case .sequence(let sequence):
            var elements: [ConfigurationNode] = []
            for element in sequence {
                elements.append(try ConfigurationNode(element, file: file, environment: environment))
            }
            self = .list(elements, line: line)
        case .mapping(let mapping):
            var entries: [Entry] = []
            for (key, value) in mapping {
                let keyLine = key.mark?.line ?? line
                guard case .scalar(let name) = key else {
                    throw ConfigurationError(file: file, line: keyLine, message: "a key must be plain text")
                }
                let node = try ConfigurationNode(value, file: file, environment: environment)
                entries.append(Entry(key: name.string, line: keyLine, value: node))
            }
            self = .mapping(entries, line: line)
        case .alias:
            throw ConfigurationError(
                file: file, line: line, message: "aliases (*name) are not supported: write the value again")
        }
    }
}
