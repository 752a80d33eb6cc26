/// A value in an event: a number, a text, a flag, or "missing".
///
/// Literals are values: `1.4`, `3`, `"setosa"`, `true`.
public enum FieldValue: Sendable, Hashable {
    case text(String)
    /// A floating point number. One that is not finite is written as `null`.
    case number(Double)
    case integer(Int)
    case flag(Bool)
    /// `null`: the value was missing.
    case missing
    /// A ranked list, for `prediction`; elsewhere a list of one scalar stands for the scalar.
    case list([FieldValue])

    /// The scalar of a list that holds nothing else; nil for any other list.
    static func onlyScalar(of values: [FieldValue]) -> FieldValue? {
        guard values.count == 1, let only = values.first else { return nil }
        if case .list = only { return nil }
        return only
    }
}

extension FieldValue: ExpressibleByStringLiteral, ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral
{
    /// A text.
    public init(stringLiteral value: String) { self = .text(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .number(value) }
    /// An integer.
    public init(integerLiteral value: Int) { self = .integer(value) }
    /// A flag.
    public init(booleanLiteral value: Bool) { self = .flag(value) }
    /// A missing value.
    public init(nilLiteral: ()) { self = .missing }
    /// A list.
    public init(arrayLiteral elements: FieldValue...) { self = .list(elements) }
}

/// Named values in the order they were given: features, tags, scores.
///
/// A dictionary literal, or made from a dictionary.
public struct NamedValues: Sendable, ExpressibleByDictionaryLiteral {
    /// The names and values.
    public var entries: [(name: String, value: FieldValue)]

    /// No values.
    public init() { entries = [] }

    /// The values of a literal, in its order.
    public init(dictionaryLiteral elements: (String, FieldValue)...) {
        entries = elements.map { (name: $0.0, value: $0.1) }
    }

    /// Takes the values of a dictionary, in the dictionary's order.
    public init(_ values: [String: FieldValue]) {
        entries = values.map { (name: $0.key, value: $0.value) }
    }

    /// Takes the numbers of a dictionary, in the dictionary's order.
    public init(_ values: [String: Double]) {
        entries = values.map { (name: $0.key, value: .number($0.value)) }
    }

    /// Takes the texts of a dictionary, in the dictionary's order.
    public init(_ values: [String: String]) {
        entries = values.map { (name: $0.key, value: .text($0.value)) }
    }

    /// Whether there are none.
    public var isEmpty: Bool { entries.isEmpty }
}
