import DurableIO
import Yams

/// A configuration file: YAML, environment variables in values only, and no key that nobody reads.
///
/// The reader of a program asks for its sections with the keys it knows (``ConfigurationSection``), so that a
/// misspelled key is an error with its line and not a setting that silently does nothing.
package struct ConfigurationDocument: Sendable {
    /// Files larger than this are refused, in bytes.
    package static let largestFile = 1 << 20

    /// The file's path as it was given.
    package let file: String
    private let node: ConfigurationNode

    /// Reads and parses a file.
    ///
    /// - Throws: ``ConfigurationError`` when it cannot be read or is not valid.
    package init(path: String, environment: [String: String]) throws(ConfigurationError) {
        let bytes: [UInt8]
        do {
            bytes = try DurableFile.read(path: path, limit: ConfigurationDocument.largestFile + 1)
        } catch {
            throw ConfigurationError(file: path, message: "\(error)")
        }
        guard bytes.count <= ConfigurationDocument.largestFile else {
            throw ConfigurationError(file: path, message: "is larger than 1 MiB, which no configuration is")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError(file: path, message: "is not UTF-8 text: save it as UTF-8")
        }
        try self.init(text: text, file: path, environment: environment)
    }

    /// Parses a text.
    ///
    /// - Parameters:
    ///   - text: YAML, one document, a mapping at its top; empty is an empty mapping.
    ///   - file: what errors call it.
    ///   - environment: where `${NAME}` is looked up.
    /// - Throws: ``ConfigurationError`` when it is not valid.
    package init(text: String, file: String, environment: [String: String] = [:]) throws(ConfigurationError) {
        let root: Node?
        do {
            root = try compose(yaml: text)
        } catch {
            throw ConfigurationDocument.explain(error, file: file)
        }
        self.file = file
        node =
            if let root {
                try ConfigurationNode(root, file: file, environment: environment)
            } else {
                .mapping([], line: 1)
            }
    }

    /// The top of the file.
    ///
    /// - Parameters:
    ///   - title: what errors call it, such as `shipper`.
    ///   - keys: every key that may stand there.
    /// - Throws: ``ConfigurationError`` when it is not a mapping or holds another key.
    package func root(_ title: String, keys: [String]) throws(ConfigurationError) -> ConfigurationSection {
        let top = node.isNull ? ConfigurationNode.mapping([], line: 1) : node
        return try ConfigurationSection(top, title: title, file: file, keys: keys)
    }

    /// Turns a parser's error into ours.
    private static func explain(_ error: any Error, file: String) -> ConfigurationError {
        guard let error = error as? YamlError else { return ConfigurationError(file: file, message: "\(error)") }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return ConfigurationError(file: file, line: mark.line, message: "not valid YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            let names = duplicates.sorted().joined(separator: "', '")
            return ConfigurationError(file: file, line: context.mark.line, message: "key '\(names)' stands there twice")
        default:
            return ConfigurationError(file: file, message: "not valid YAML: \(error)")
        }
    }
}
