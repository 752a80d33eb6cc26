internal import Sketches

extension Aggregates {
    /// The name that stands for models and versions beyond a cap.
    static let other = "other"

    /// The same rows with at most so many models, versions of a model and features of a model.
    ///
    /// Versions count with their variant and environment, which fall back to `champion` and `default`. The first in byte
    /// order stay, which makes the caps mergeable.
    func limitedNames(by configuration: AggregationConfiguration) -> Aggregates {
        var limited = self
        var isRenamed = false
        let named = Set(models.map(ExactText.init)).subtracting([ExactText(Self.other)])
        if named.count > configuration.models {
            let kept = Set(named.sorted().prefix(configuration.models))
            for place in models.indices where !kept.contains(ExactText(models[place])) {
                limited.models[place] = Self.other
                isRenamed = true
            }
            if isRenamed { limited = limited.united() }
        }
        if limited.renameVersions(configuration.versionsPerModel) { limited = limited.united() }
        if limited.renameResources(configuration.resources) { limited = limited.united() }
        limited.dropFeatures(configuration.featuresPerModel)
        return limited
    }

    /// The rows with equal entries of the dictionaries made one.
    private func united() -> Aggregates {
        var out = Aggregates()
        out.merge(self)
        return out
    }

    private struct Version: Hashable, Comparable {
        let version: ExactText
        let variant: ExactText
        let environment: ExactText

        init(_ key: SeriesKey) {
            version = ExactText(key.version)
            variant = ExactText(key.variant)
            environment = ExactText(key.environment)
        }

        static func < (left: Self, right: Self) -> Bool {
            if left.version != right.version { return left.version < right.version }
            if left.variant != right.variant { return left.variant < right.variant }
            return left.environment < right.environment
        }
    }

    private mutating func renameVersions(_ limit: Int) -> Bool {
        guard series.count > limit else { return false }
        var versions: [Int: Set<Version>] = [:]
        for key in series where key.version != Self.other { versions[key.model, default: []].insert(Version(key)) }
        var isRenamed = false
        for (model, all) in versions where all.count > limit {
            let kept = Set(all.sorted().prefix(limit))
            for place in series.indices
            where series[place].model == model && series[place].version != Self.other
                && !kept.contains(Version(series[place]))
            {
                series[place].version = Self.other
                series[place].variant = Defaults.variant.string
                series[place].environment = Defaults.environment.string
                isRenamed = true
            }
        }
        return isRenamed
    }

    private mutating func renameResources(_ limit: Int) -> Bool {
        guard resources.count > limit else { return false }
        func texts(_ place: Int) -> [ExactText] {
            let key = resources[place]
            return [key.service, key.instance, key.environment, key.device].map(ExactText.init)
        }
        let named = resources.indices.filter { resources[$0] != resources[$0].other }
        guard named.count > limit else { return false }
        let order = named.map { (place: $0, texts: texts($0)) }
            .sorted { $0.texts.lexicographicallyPrecedes($1.texts) }
        for (place, _) in order[limit...] { resources[place] = resources[place].other }
        return true
    }

    private mutating func dropFeatures(_ limit: Int) {
        guard features.count > limit else { return }
        var kept = [Bool](repeating: true, count: features.count)
        let inputs = features.indices.filter { features[$0].role == .feature }
        for (_, places) in Dictionary(grouping: inputs, by: { features[$0].model }) where places.count > limit {
            for place in places.sorted(by: { ExactText(features[$0].name) < ExactText(features[$1].name) })[limit...] {
                kept[place] = false
            }
        }
        guard kept.contains(false) else { return }
        var target = [Int](repeating: 0, count: features.count)
        var next = 0
        for place in features.indices where kept[place] {
            target[place] = next
            next += 1
        }
        var categoryTarget = [Int32](repeating: 0, count: categories.count)
        var keptCategories: [CategoryKey] = []
        for (place, key) in categories.enumerated() where kept[key.feature] {
            categoryTarget[place] = Int32(keptCategories.count)
            keptCategories.append(CategoryKey(feature: target[key.feature], value: key.value))
        }
        var rows: [FeatureTimeKey: FeatureCounts] = [:]
        for (key, counts) in featureHours where kept[key.feature] {
            var counts = counts
            counts.categories = counts.categories.mapCodes { categoryTarget[Int($0)] }
            rows[FeatureTimeKey(series: key.series, feature: target[key.feature], time_s: key.time_s)] = counts
        }
        // Scores' classes are categories of the prediction, which stays.
        scoreHours = Dictionary(
            uniqueKeysWithValues: scoreHours.map { key, counts in
                var key = key
                if key.category != ScoreTimeKey.score { key.category = Int(categoryTarget[key.category]) }
                return (key, counts)
            })
        features = features.indices.filter { kept[$0] }.map { features[$0] }
        categories = keptCategories
        featureHours = rows
    }
}
