internal import EventModel
package import RecordBatches

/// What lines are asked for: `petal_length > 6 and country in ("de", "at") and not score is missing`.
///
/// Comparisons (= != < <= > >=) of a value with a number, a text, true or false; `in (...)`; `is missing`, `is not
/// missing`; and, or, not, parentheses. A comparison of a missing value does not hold, nor of a value of another kind
/// (other than !=). Names are fields (prediction, score, version, variant, environment, latency_seconds, time, ...), else
/// features, else tags; `features.x`, `tags.x` and `scores.x` say which, backquotes quote names.
package struct Condition: Sendable {
    enum Literal: Equatable, Sendable {
        case number(Double)
        case text(String)
        case bool(Bool)
    }

    enum Comparison: String, Sendable {
        case equal = "="
        case unequal = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
    }

    indirect enum Node: Sendable {
        case and(Node, Node)
        case or(Node, Node)
        case not(Node)
        case compare(Operand, Comparison, Literal)
        case isIn(Operand, [Literal])
        case isMissing(Operand)
    }

    /// A name, with the places where it may stand, first to last.
    struct Operand: Sendable {
        let name: String
        let paths: [EventPath]
        let isTime: Bool
    }

    let root: Node
    /// The names that it asks for, in order, each once.
    package let names: [String]
    private let operands: [Operand]

    /// Reads a condition.
    /// - Throws: ``ConditionError``.
    package init(_ text: String) throws(ConditionError) {
        var parser = ConditionParser(text: text, tokens: try ConditionToken.all(text))
        root = try parser.condition()
        operands = parser.operands
        names = operands.map(\.name)
    }

    /// Whether it holds for an event.
    package func holds(_ event: EventView) -> Bool { Self.holds(root, event) }

    /// The value of a name that it asks for.
    ///
    /// - Parameter place: in ``names``.
    package func value(_ place: Int, of event: EventView) -> EventValue? { Self.value(operands[place], event) }

    private static func holds(_ node: Node, _ event: EventView) -> Bool {
        switch node {
        case .and(let left, let right): holds(left, event) && holds(right, event)
        case .or(let left, let right): holds(left, event) || holds(right, event)
        case .not(let inner): !holds(inner, event)
        case .isMissing(let operand): value(operand, event) == nil
        case .isIn(let operand, let literals):
            value(operand, event).map { value in literals.contains { compare(value, .equal, $0) } } ?? false
        case .compare(let operand, let comparison, let literal):
            value(operand, event).map { compare($0, comparison, literal) } ?? false
        }
    }

    /// A value that is there: null is missing.
    private static func value(_ operand: Operand, _ event: EventView) -> EventValue? {
        for path in operand.paths {
            if let value = event.value(path), value != .null { return value }
        }
        return nil
    }

    static func compare(_ value: EventValue, _ comparison: Comparison, _ literal: Literal) -> Bool {
        switch (value, literal) {
        case (.number(let left), .number(let right)): ordered(left, comparison, right)
        case (.text(let left), .text(let right)):
            ordered(ExactText(left), comparison, ExactText(right))
        case (.bool(let left), .bool(let right)):
            comparison == .equal ? left == right : comparison == .unequal ? left != right : false
        default: comparison == .unequal
        }
    }

    private static func ordered<Value: Comparable>(_ left: Value, _ comparison: Comparison, _ right: Value) -> Bool {
        switch comparison {
        case .equal: left == right
        case .unequal: left != right
        case .less: left < right
        case .lessOrEqual: left <= right
        case .greater: left > right
        case .greaterOrEqual: left >= right
        }
    }
}
