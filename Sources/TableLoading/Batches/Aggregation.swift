internal import EventSegments
package import RecordBatches
internal import Synchronization

/// Joins the loader's settings to the aggregation of objects.
package enum Aggregation {
    /// The caps of a batch: wider than those of the dictionaries, since what a batch shows first is not what was admitted
    /// first.
    static func configuration(
        _ settings: LoadSettings, hours: Set<Int64>? = nil, references: References = .none
    ) -> AggregationConfiguration {
        var configuration = AggregationConfiguration(slices: settings.sliceTags, hours: hours)
        configuration.references = references
        let caps = settings.caps
        configuration.models = max(configuration.models, 2 * caps.models)
        configuration.versionsPerModel = max(configuration.versionsPerModel, caps.seriesPerModel / 4)
        configuration.featuresPerModel = max(configuration.featuresPerModel, 2 * caps.featuresPerModel)
        configuration.categoriesPerFeature = max(configuration.categoriesPerFeature, 2 * caps.categoriesPerFeature)
        configuration.resources = max(configuration.resources, 2 * caps.resources)
        configuration.valuesPerSlice = max(configuration.valuesPerSlice, 2 * caps.sliceValues)
        return configuration
    }

    /// What aggregates objects that are in memory.
    package static func make(settings: LoadSettings, mappings: [Mapping]) -> AggregateObject {
        make(settings: settings, pool: AggregatorPool(settings, mappings))
    }

    static func make(
        settings: LoadSettings, pool: AggregatorPool, references: References = .none
    ) -> AggregateObject {
        { reader, segments, hours in
            let lent = pool.lend(configuration(settings, hours: hours, references: references))
            defer { pool.take(back: lent) }
            let wanted = Set(segments)
            var place = -1
            return try lent.aggregator.aggregate(reader) { _ in
                place += 1
                return wanted.contains(place)
            }
        }
    }
}

/// Keeps aggregators for reuse: one for each object that is being parsed at the same time.
final class AggregatorPool: Sendable {
    /// An aggregator in the hands of one task, which makes it safe to send.
    struct Lent: @unchecked Sendable {
        let aggregator: EventAggregator
    }

    private let mappings: [Mapping]
    private let bytes: Int
    private let idle = Mutex<[Lent]>([])

    init(_ settings: LoadSettings, _ mappings: [Mapping]) {
        self.mappings = mappings
        let all = settings.batch.memoryBytes
        bytes = max(min(all, 4 << 20), all / max(1, settings.parallelism))
    }

    func lend(_ configuration: AggregationConfiguration) -> Lent {
        let kept = idle.withLock { idle -> Lent? in
            guard let place = idle.firstIndex(where: { $0.aggregator.configuration == configuration }) else {
                // Those of references that are no longer current would wait for ever.
                idle.removeAll { $0.aggregator.configuration.references != configuration.references }
                return nil
            }
            return idle.remove(at: place)
        }
        return kept
            ?? Lent(aggregator: EventAggregator(configuration, mappings: mappings, collectorBytes: bytes))
    }

    func take(back lent: Lent) {
        lent.aggregator.overflow = nil
        // Those of single hours come and go with their hours.
        if lent.aggregator.configuration.hours == nil { idle.withLock { $0.append(lent) } }
    }
}
