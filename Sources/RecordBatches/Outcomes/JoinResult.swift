/// What joining some outcomes with the predictions of some hours yields.
///
/// Results of parts (each of other outcomes, all of the same predictions) merge to the result of the whole, to the last bit.
package struct JoinResult: Equatable, Sendable {
    /// A row of `named_outcome_hour`.
    package struct NamedKey: Hashable, Sendable {
        /// Number in the ``JoinDictionary``.
        package var series: Int
        package var name: OutcomeName
    }

    /// Rows of `outcome_hour` by the series' number in the ``JoinDictionary``.
    ///
    /// Classes are numbers in the dictionary; a label that it does not have is -1 less its place in ``newClasses``.
    package internal(set) var outcomes: [Int: OutcomeCounts] = [:]
    package internal(set) var named: [NamedKey: NamedOutcomeCounts] = [:]
    /// Labels' classes that the dictionary does not have, under a cap for each model; ``CategoryKey/feature`` is the
    /// model's number. Sorted.
    package internal(set) var newClasses: [CategoryKey] = []
    /// By the model's number: outcomes that joined.
    package internal(set) var joinedCounts: [Int64]
    /// By the model's number: predictions with an id that an earlier line has, among those that outcomes name.
    package internal(set) var repeated: [Int64]

    /// - Parameter models: how many models the dictionary has.
    package init(models: Int) {
        joinedCounts = [Int64](repeating: 0, count: models)
        repeated = joinedCounts
    }

    /// Adds the result of another part: of other outcomes, with the same predictions and dictionary.
    ///
    /// - Parameter classes: most new classes of one model.
    package mutating func merge(_ other: JoinResult, classes: Int) {
        for model in joinedCounts.indices {
            joinedCounts[model] += other.joinedCounts[model]
            repeated[model] += other.repeated[model]
        }
        var other = other
        if !newClasses.isEmpty || !other.newClasses.isEmpty {
            let united = Self.capped(Set(newClasses).union(other.newClasses), most: classes)
            renumber(to: united)
            other.renumber(to: united)
        }
        for (series, counts) in other.outcomes { outcomes[series, default: .init()].merge(counts) }
        for (key, counts) in other.named { named[key, default: .init()].merge(counts) }
        capNames()
    }

    /// The first of each model in byte order, sorted.
    static func capped(_ classes: Set<CategoryKey>, most: Int) -> [CategoryKey] {
        var kept: [CategoryKey] = []
        var count = 0
        let sorted = classes.sorted { left, right in
            left.feature == right.feature
                ? ExactText(left.value) < ExactText(right.value) : left.feature < right.feature
        }
        for key in sorted {
            count = kept.last?.feature == key.feature ? count + 1 : 1
            if count <= most { kept.append(key) }
        }
        return kept
    }

    /// Gives new classes their places in another list; those that it lacks become `other`.
    mutating func renumber(to classes: [CategoryKey]) {
        let places = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
        let numbers = newClasses.map { places[$0].map { -1 - $0 } ?? Int(JoinDictionary.otherClass) }
        newClasses = classes
        if numbers.isEmpty { return }
        for (series, counts) in outcomes where counts.confusion.keys.contains(where: { $0.label < 0 }) {
            outcomes[series] = counts.mapClasses(predicted: { $0 }, label: { $0 < 0 ? numbers[-1 - $0] : $0 })
        }
    }

    /// Puts names and currencies beyond the cap under `other`.
    mutating func capNames() {
        /// What shares a cap: a model's outcomes, its feedback, or its currencies.
        struct Scope: Hashable {
            let model: Int
            let type: EventType?
        }
        var names: [Scope: Set<ExactText>] = [:]
        for key in Set(named.keys.map(\.name)) {
            if !key.isLabel { names[Scope(model: key.model, type: key.type), default: []].insert(ExactText(key.name)) }
            if !key.currency.isEmpty { names[Scope(model: key.model, type: nil), default: []].insert(ExactText(key.currency)) }
        }
        func isBeyond(_ model: Int, _ type: EventType?, _ text: String) -> Bool {
            guard let bound = bounds[Scope(model: model, type: type)] else { return false }
            return bound < ExactText(text)
        }
        let bounds = names.compactMapValues { names -> ExactText? in
            // `other` is what a cap has made, and takes no room.
            let counted = names.subtracting([ExactText(SliceName.other)])
            return counted.count > OutcomeName.most ? counted.sorted()[OutcomeName.most - 1] : nil
        }
        if bounds.isEmpty { return }
        var capped: [NamedKey: NamedOutcomeCounts] = [:]
        for (key, counts) in named {
            var (key, counts) = (key, counts)
            if !key.name.isLabel, isBeyond(key.name.model, key.name.type, key.name.name) {
                key.name.name = SliceName.other
            }
            if !key.name.currency.isEmpty, isBeyond(key.name.model, nil, key.name.currency) {
                key.name.currency = SliceName.other
                counts.dropValues()
            }
            capped[key, default: .init()].merge(counts)
        }
        named = capped
    }
}
