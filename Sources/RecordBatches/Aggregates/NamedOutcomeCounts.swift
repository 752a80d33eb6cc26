package import Sketches

/// Outcomes or feedback of one name joined to a series' predictions of an hour: `named_outcome_hour`.
///
/// Merging is exact, as of ``OutcomeCounts``.
package struct NamedOutcomeCounts: Equatable, Sendable {
    package var count: Int64 = 0
    /// Those that say yes: by their label, or without one by a value or score above 0.
    package var positive: Int64 = 0
    /// Those that say no: by their label, or without one by a score below 0, or of 0 where the name is `thumbs`.
    package var negative: Int64 = 0
    package var valueCount: Int64 = 0
    var value = ExactSum()
    var valueSquare = ExactSum()
    package var scoreCount: Int64 = 0
    var score = ExactSum()
    var scoreSquare = ExactSum()

    package init() {}

    package var valueSum: Double { value.value }
    package var valueSquareSum: Double { valueSquare.value }
    package var scoreSum: Double { score.value }
    package var scoreSquareSum: Double { scoreSquare.value }

    /// Adds another's counts.
    package mutating func merge(_ other: NamedOutcomeCounts) {
        count += other.count
        positive += other.positive
        negative += other.negative
        valueCount += other.valueCount
        value.merge(other.value)
        valueSquare.merge(other.valueSquare)
        scoreCount += other.scoreCount
        score.merge(other.score)
        scoreSquare.merge(other.scoreSquare)
    }

    /// Leaves the values out: amounts of different currencies have no sum.
    mutating func dropValues() {
        valueCount = 0
        value = ExactSum()
        valueSquare = ExactSum()
    }
}

/// What an outcome is called: its type, name and currency, for one model.
package struct OutcomeName: Hashable, Sendable {
    /// Most names of a model's outcomes, and of its feedback, in an hour, and most currencies; the name `label` of outcomes
    /// and the empty currency are beside the cap.
    ///
    /// The first in byte order stay; what is beyond counts under ``SliceName/other``.
    package static let most = 50

    /// The model's place in the join's dictionary.
    package var model: Int
    package var type: EventType
    package var name: String
    /// Empty for none.
    package var currency: String

    package init(model: Int, type: EventType, name: String, currency: String) {
        self.model = model
        self.type = type
        self.name = name
        self.currency = currency
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.model == right.model && left.type == right.type && ExactText.same(left.name, right.name)
            && ExactText.same(left.currency, right.currency)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(model)
        hasher.combine(type)
        ExactText.hash(name, into: &hasher)
        ExactText.hash(currency, into: &hasher)
    }

    /// Whether the name is beside the cap.
    var isLabel: Bool { type == .outcome && ExactText.same(name, Defaults.outcomeName) }
}

/// Names under a cap: the first in byte order, whatever the order in which they come.
///
/// A name that is once beyond the cap stays there, since names that come later can only push others out.
struct CappedNames {
    let most: Int
    private(set) var names: Set<ExactText> = []
    /// Names behind this one are beyond the cap.
    private var bound: ExactText?

    init(_ most: Int) { self.most = most }

    /// Whether the name is kept as far as is known; it may be beyond the cap later.
    mutating func admit(_ name: ExactText) -> Bool {
        if names.contains(name) { return true }
        if let bound, bound < name { return false }
        names.insert(name)
        return true
    }

    /// Whether twice as many names are kept as the cap lets.
    var isFull: Bool { names.count / 2 >= most }

    /// Drops the names beyond the cap and returns them.
    mutating func cut() -> [ExactText] {
        guard names.count > most else { return [] }
        let sorted = names.sorted()
        let gone = Array(sorted[most...])
        names = Set(sorted[..<most])
        bound = most > 0 ? sorted[most - 1] : ExactText("")
        return gone
    }
}
