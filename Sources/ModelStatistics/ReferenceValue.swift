internal import RecordBatches

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

extension ReferenceValue {
    /// Whether a text says yes or no, as the loader takes it.
    static func isYesOrNo(_ text: String) -> Bool { Verdict(text: text) != .neither }

    /// What counts as yes, as the loader counts predictions; nil where there is no value.
    var isPositive: Bool? {
        switch self {
        case .number(let number): number >= 0.5
        case .text(let text): Verdict(text: text) == .yes
        case .bool(let flag): flag
        case .missing, .other: nil
        }
    }

    /// What a label says in a binary task; nil where it says nothing, a text that is no word for yes or no included:
    /// taken as no it would make every score look wrong.
    var answer: Bool? {
        if case .text(let text) = self, !Self.isYesOrNo(text) { return nil }
        return isPositive
    }

    /// The class that it names; nil where there is no value.
    var className: String? {
        switch self {
        case .number(let number): ClassText.string(number)
        case .text(let text): text
        case .bool(let flag): flag ? "true" : "false"
        case .missing, .other: nil
        }
    }
}
