/// A fault in a configuration file, told so that it can be mended: where, what, and what would be right.
package struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file's path as it was given.
    package let file: String
    /// The line, from 1; nil when the whole file is at fault.
    package let line: Int?
    /// One sentence for a person.
    package let message: String

    package init(file: String, line: Int? = nil, message: String) {
        self.file = file
        self.line = line
        self.message = message
    }

    /// `file:line: message`, as compilers write it.
    package var description: String {
        if let line { "\(file):\(line): \(message)" } else { "\(file): \(message)" }
    }
}
