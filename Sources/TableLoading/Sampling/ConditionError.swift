/// Why a condition cannot be read.
package struct ConditionError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The condition as it was written.
    package let text: String
    /// The place at fault, in characters from 0.
    package let place: Int
    /// What is wrong and what would be right.
    package let message: String

    /// The condition, a caret under the place, and the message.
    package var description: String {
        "--where cannot be read: \(message)\n    \(text)\n    \(String(repeating: " ", count: place))^"
    }
}
