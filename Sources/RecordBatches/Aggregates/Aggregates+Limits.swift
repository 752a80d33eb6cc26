internal import Sketches

extension Aggregates {
    /// The same rows under the caps: of a batch's models, a model's versions and features, a feature's categories, a tag's
    /// values and a model's score classes, the first ones in byte order stay; the counts of the others go to `other`
    /// (features and classes of scores: nowhere).
    ///
    /// "The first in byte order" is what makes a cap mergeable: what stays in the end was among the first of every part,
    /// so that its counts are whole in whatever order parts come.
    package func limited(by configuration: AggregationConfiguration) -> Aggregates {
        limitedNames(by: configuration).limitedValues(by: configuration)
    }

    private func limitedValues(by configuration: AggregationConfiguration) -> Aggregates {
        let categories = keptCategories(configuration.categoriesPerFeature)
        let classes = keptClasses(configuration.scoreClasses)
        let values = keptValues(configuration.valuesPerSlice)
        guard categories.contains(false) || classes.contains(false) || values.contains(false) else { return self }

        var limited = self
        limited.featureHours = [:]
        limited.scoreHours = [:]
        limited.requestMinutes = [:]
        limited.requestHours = [:]
        var target = Array(series.indices)
        for (place, key) in series.enumerated() where !values[place] {
            var key = key
            key.sliceValue = SliceName.other
            if let found = limited.series.firstIndex(of: key) {
                target[place] = found
            } else {
                target[place] = limited.series.count
                limited.series.append(key)
            }
        }
        for (key, counts) in requestMinutes {
            limited.requestMinutes[TimeKey(series: target[key.series], time_s: key.time_s), default: .init()]
                .merge(counts)
        }
        for (key, counts) in requestHours {
            limited.requestHours[TimeKey(series: target[key.series], time_s: key.time_s), default: .init()]
                .merge(counts)
        }
        for (key, counts) in featureHours {
            var key = key
            key.series = target[key.series]
            var counts = counts
            let all = counts.categories
            counts.categories = SparseCounts()
            for (code, count) in zip(all.codes, all.counts) {
                if categories[Int(code)] {
                    counts.categories.append(code, count)
                } else {
                    counts.otherCount += count
                }
            }
            limited.featureHours[key, default: .init()].merge(counts)
        }
        for (key, counts) in scoreHours where key.category == ScoreTimeKey.score || classes[key.category] {
            var key = key
            key.series = target[key.series]
            limited.scoreHours[key, default: .init()].merge(counts)
        }
        return limited.withoutUnused()
    }

    /// Whether each category is among the first of its feature.
    private func keptCategories(_ limit: Int) -> [Bool] {
        var used: Set<Int> = []
        for counts in featureHours.values {
            for code in counts.categories.codes { used.insert(Int(code)) }
        }
        return first(limit, of: Array(used)) { ($0, categories[$0].feature, categories[$0].value) }
    }

    /// Whether each category is among the first of those of its feature that have scores.
    private func keptClasses(_ limit: Int) -> [Bool] {
        let scored = Set(scoreHours.keys.lazy.map(\.category)).subtracting([ScoreTimeKey.score])
        return first(limit, of: Array(scored)) { ($0, categories[$0].feature, categories[$0].value) }
    }

    private func first(
        _ limit: Int, of places: [Int], _ key: (Int) -> (Int, feature: Int, value: String)
    ) -> [Bool] {
        var kept = [Bool](repeating: true, count: categories.count)
        guard places.count > limit else { return kept }
        for (_, places) in Dictionary(grouping: places, by: { key($0).feature }) where places.count > limit {
            for place in places.sorted(by: { ExactText(key($0).value) < ExactText(key($1).value) })[limit...] {
                kept[place] = false
            }
        }
        return kept
    }

    /// Whether each series' slice value is among the first of its tag.
    private func keptValues(_ limit: Int) -> [Bool] {
        var kept = [Bool](repeating: true, count: series.count)
        var values: [ExactText: Set<ExactText>] = [:]
        for key in series where !key.isAll && key.sliceValue != SliceName.missing && key.sliceValue != SliceName.other {
            values[ExactText(key.sliceKey), default: []].insert(ExactText(key.sliceValue))
        }
        for (tag, texts) in values where texts.count > limit {
            let allowed = Set(texts.sorted().prefix(limit))
            for (place, key) in series.enumerated()
            where ExactText(key.sliceKey) == tag && !key.isAll && key.sliceValue != SliceName.missing
                && key.sliceValue != SliceName.other
            {
                kept[place] = allowed.contains(ExactText(key.sliceValue))
            }
        }
        return kept
    }

    /// The same rows with dictionaries that hold nothing that no row names.
    private func withoutUnused() -> Aggregates {
        var compact = self
        let usedSeries = Set(requestMinutes.keys.map(\.series)).union(requestHours.keys.map(\.series))
            .union(featureHours.keys.map(\.series)).union(scoreHours.keys.map(\.series))
        var usedCategories = Set(scoreHours.keys.map(\.category))
        for counts in featureHours.values {
            for code in counts.categories.codes { usedCategories.insert(Int(code)) }
        }
        let seriesPlaces = Self.keep(series.count, usedSeries)
        let categoryPlaces = Self.keep(categories.count, usedCategories)
        compact.series = series.indices.filter(usedSeries.contains).map { series[$0] }
        compact.categories = categories.indices.filter(usedCategories.contains).map { categories[$0] }
        compact.requestMinutes = [:]
        compact.requestHours = [:]
        compact.featureHours = [:]
        compact.scoreHours = [:]
        for (key, counts) in requestMinutes {
            compact.requestMinutes[TimeKey(series: seriesPlaces[key.series], time_s: key.time_s)] = counts
        }
        for (key, counts) in requestHours {
            compact.requestHours[TimeKey(series: seriesPlaces[key.series], time_s: key.time_s)] = counts
        }
        for (key, counts) in featureHours {
            var counts = counts
            counts.categories = counts.categories.mapCodes { Int32(categoryPlaces[Int($0)]) }
            compact.featureHours[
                FeatureTimeKey(series: seriesPlaces[key.series], feature: key.feature, time_s: key.time_s)] = counts
        }
        for (key, counts) in scoreHours {
            let category = key.category == ScoreTimeKey.score ? key.category : categoryPlaces[key.category]
            compact.scoreHours[
                ScoreTimeKey(series: seriesPlaces[key.series], category: category, time_s: key.time_s)] = counts
        }
        return compact
    }

    /// The new place of each of `count` entries of which only some stay; 0 for the others.
    private static func keep(_ count: Int, _ used: Set<Int>) -> [Int] {
        var places = [Int](repeating: 0, count: count)
        var next = 0
        for place in 0..<count where used.contains(place) {
            places[place] = next
            next += 1
        }
        return places
    }
}
