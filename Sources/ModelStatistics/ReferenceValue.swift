/// What a row holds for a feature, the prediction or the label.
package enum ReferenceValue: Equatable, Sendable {
    case number(Double)
    case text(String)
    case bool(Bool)
    /// Null, absent or an empty field.
    case missing
    /// Nothing that a feature can be: an array, an object, a number that is not finite.
    case other
}

/// How a feature's values are counted.
package enum FeatureKind: String, Sendable, CaseIterable {
    case numeric
    case categorical
}

/// What a model answers; the words of `nadi_store.reference.task`.
package enum ReferenceTask: String, Sendable, CaseIterable {
    case binary, multiclass, regression, other

    /// Whether predictions are classes, also where they are numbers.
    package var hasClasses: Bool { self == .binary || self == .multiclass }
}

/// What a person says of a feature's kind, against what its values look like.
package enum KindChoice: String, Sendable, CaseIterable {
    /// Numbers; texts are of the wrong type.
    case numeric
    /// Classes: of a feature whose values are numbers, each number is a group of its own.
    case categorical
    /// Classes by their text: for numbers in a file that the service sends as texts.
    case text
}

/// A text compared by its bytes, as the database compares it.
struct ExactKey: Hashable {
    let text: String

    init(_ text: String) { self.text = text }

    static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    /// By bytes.
    static func precedes(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }
}

/// The text of a number that is a class: `1` for 1 and 1.0, else the shortest text that reads back as the number.
///
/// As the loader writes it.
package func classText(_ number: Double) -> String {
    if number == number.rounded(), number.magnitude < 9_007_199_254_740_992 { return String(Int64(number)) }
    return number.description
}

extension ReferenceValue {
    /// What counts as yes: true, numbers from 0.5, the texts 1, true, yes and positive; nil where there is no value.
    var isPositive: Bool? {
        switch self {
        case .number(let number): number >= 0.5
        case .text(let text): ["1", "true", "yes", "positive"].contains(text.lowercased())
        case .bool(let flag): flag
        case .missing, .other: nil
        }
    }

    /// The class that it names; nil where there is no value.
    var className: String? {
        switch self {
        case .number(let number): classText(number)
        case .text(let text): text
        case .bool(let flag): flag ? "true" : "false"
        case .missing, .other: nil
        }
    }
}
