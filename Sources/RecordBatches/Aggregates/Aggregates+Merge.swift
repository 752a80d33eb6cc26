internal import Sketches

extension Aggregates {
    /// Adds another batch.
    ///
    /// Segments of `other` follow this one's; the caller sees to it that none is in both.
    ///
    /// - Complexity: linear in `other`'s rows and in both dictionaries.
    package mutating func merge(_ other: Aggregates) {
        let maps = unite(other)
        for (key, counts) in other.requestMinutes {
            requestMinutes[maps.time(key), default: .init()].merge(counts)
        }
        for (key, counts) in other.requestHours { requestHours[maps.time(key), default: .init()].merge(counts) }
        for (key, counts) in other.featureHours {
            var counts = counts
            counts.categories = counts.categories.mapCodes { Int32(maps.categories[Int($0)]) }
            let key = maps.featureTime(key)
            // Models beyond a cap share this name, and may have been on edges of their own.
            if models[series[key.series].model] == Self.other {
                counts.edges = EdgeCounts(edgeSet: EdgeCounts.none, counts: nil)
            }
            featureHours[key, default: .init()].merge(counts)
        }
        for (key, counts) in other.scoreHours { scoreHours[maps.scoreTime(key), default: .init()].merge(counts) }
        for (key, counts) in other.resourceMinutes {
            Self.add(counts, to: &resourceMinutes, maps.resourceTime(key))
        }
        for (key, counts) in other.resourceHours { Self.add(counts, to: &resourceHours, maps.resourceTime(key)) }
        let base = segments.count
        for row in other.outcomes {
            var row = row
            row.model = maps.models[row.model]
            row.segment += base
            outcomes.append(row)
        }
        for row in other.deployments {
            var row = row
            row.model = maps.models[row.model]
            row.segment += base
            deployments.append(row)
        }
        segments += other.segments
    }

    private static func add(
        _ counts: ResourceCounts, to rows: inout [ResourceTimeKey: ResourceCounts], _ key: ResourceTimeKey
    ) {
        if rows[key]?.merge(counts) == nil { rows[key] = counts }
    }

    /// Adds what `other`'s dictionaries have and this one's lack, and says what its numbers become.
    mutating func unite(_ other: Aggregates) -> DictionaryMaps {
        var maps = DictionaryMaps()
        var exact = models.map(ExactText.init)
        maps.models = Self.unite(&exact, other.models.map(ExactText.init))
        models = exact.map(\.text)
        maps.series = Self.unite(
            &series,
            other.series.map {
                var key = $0
                key.model = maps.models[key.model]
                return key
            })
        maps.features = Self.unite(
            &features,
            other.features.map {
                var key = $0
                key.model = maps.models[key.model]
                return key
            })
        maps.categories = Self.unite(
            &categories,
            other.categories.map {
                var key = $0
                key.feature = maps.features[key.feature]
                return key
            })
        maps.resources = Self.unite(&resources, other.resources)
        return maps
    }

    private static func unite<Key: Hashable>(_ mine: inout [Key], _ theirs: [Key]) -> [Int] {
        var places = [Key: Int](minimumCapacity: mine.count + theirs.count)
        for (place, key) in mine.enumerated() { places[key] = place }
        return theirs.map { key in
            if let place = places[key] { return place }
            mine.append(key)
            places[key] = mine.count - 1
            return mine.count - 1
        }
    }
}

/// What the numbers of one batch's dictionaries become in another's.
struct DictionaryMaps {
    var models: [Int] = []
    var series: [Int] = []
    var features: [Int] = []
    var categories: [Int] = []
    var resources: [Int] = []

    func time(_ key: TimeKey) -> TimeKey { TimeKey(series: series[key.series], time_s: key.time_s) }

    func featureTime(_ key: FeatureTimeKey) -> FeatureTimeKey {
        FeatureTimeKey(series: series[key.series], feature: features[key.feature], time_s: key.time_s)
    }

    func scoreTime(_ key: ScoreTimeKey) -> ScoreTimeKey {
        ScoreTimeKey(
            series: series[key.series],
            category: key.category == ScoreTimeKey.score ? ScoreTimeKey.score : categories[key.category],
            time_s: key.time_s)
    }

    func resourceTime(_ key: ResourceTimeKey) -> ResourceTimeKey {
        ResourceTimeKey(resource: resources[key.resource], measure: key.measure, time_s: key.time_s)
    }
}
