internal import EventSegments

extension Aggregates {
    /// The same rows with dictionaries, segments and lists in ascending order: equal for equal content.
    package func canonical() -> Aggregates {
        var sorted = Aggregates()
        sorted.models = models.map(ExactText.init).sorted().map(\.text)
        let model = Self.places(models.map(ExactText.init), in: sorted.models.map(ExactText.init))
        sorted.series = series.map { $0.inModel(model[$0.model]) }.sorted { $0.order.precedes($1.order) }
        sorted.features = features.map { $0.inModel(model[$0.model]) }.sorted { $0.order.precedes($1.order) }
        let feature = Self.places(features.map { $0.inModel(model[$0.model]) }, in: sorted.features)
        sorted.categories = categories.map { CategoryKey(feature: feature[$0.feature], value: $0.value) }
            .sorted { $0.order.precedes($1.order) }
        sorted.resources = resources.sorted { $0.order.precedes($1.order) }

        let order = segments.indices.sorted { left, right in
            let (left, right) = (segments[left].segment, segments[right].segment)
            return (left.writer, left.seq) < (right.writer, right.seq)
        }
        var place = [Int](repeating: 0, count: segments.count)
        for (new, old) in order.enumerated() { place[old] = new }
        var rows = self
        rows.segments = []
        for index in rows.outcomes.indices { rows.outcomes[index].segment = place[rows.outcomes[index].segment] }
        for index in rows.deployments.indices {
            rows.deployments[index].segment = place[rows.deployments[index].segment]
        }
        sorted.merge(rows)
        sorted.segments = order.map { segments[$0] }
        sorted.outcomes.sort { ($0.segment, $0.line) < ($1.segment, $1.line) }
        sorted.deployments.sort { ($0.segment, $0.line) < ($1.segment, $1.line) }
        return sorted
    }

    private static func places<Key: Hashable>(_ keys: [Key], in sorted: [Key]) -> [Int] {
        var places: [Key: Int] = [:]
        for (place, key) in sorted.enumerated() { places[key] = place }
        return keys.map { places[$0] ?? 0 }
    }
}

/// A number and some texts, to be put in order.
private struct SortOrder {
    let number: Int
    let texts: [String]

    func precedes(_ other: SortOrder) -> Bool {
        if number != other.number { return number < other.number }
        return texts.lazy.map(ExactText.init).lexicographicallyPrecedes(other.texts.lazy.map(ExactText.init))
    }
}

extension SeriesKey {
    fileprivate var order: SortOrder {
        SortOrder(number: model, texts: [version, variant, environment, sliceKey, sliceValue])
    }
}

extension FeatureKey {
    fileprivate var order: SortOrder { SortOrder(number: model, texts: [role.rawValue, name]) }
}

extension CategoryKey {
    fileprivate var order: SortOrder { SortOrder(number: feature, texts: [value]) }
}

extension ResourceKey {
    fileprivate var order: SortOrder { SortOrder(number: 0, texts: [service, instance, environment, device]) }
}

extension SeriesKey {
    /// The same key in a model of another number.
    func inModel(_ model: Int) -> SeriesKey {
        var key = self
        key.model = model
        return key
    }
}

extension FeatureKey {
    /// The same key in a model of another number.
    func inModel(_ model: Int) -> FeatureKey {
        var key = self
        key.model = model
        return key
    }
}
