/// A mapping that cannot be used.
package struct MappingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The mapping's name.
    package let mapping: String
    /// What is wrong, and what would be right.
    package let message: String

    init(_ mapping: String, _ message: String) {
        self.mapping = mapping
        self.message = message
    }

    package var description: String { "mapping \(mapping): \(message)" }
}
