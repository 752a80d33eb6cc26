internal import EventSegments
package import RecordBatches
internal import Synchronization

/// Joins the loader's settings to the aggregation of objects.
package enum Aggregation {
    /// The caps of a batch: wider than those of the dictionaries, since what a batch shows first is not what was admitted
    /// first.
    static func configuration(_ settings: LoadSettings, hours: Set<Int64>? = nil) -> AggregationConfiguration {
        var configuration = AggregationConfiguration(slices: settings.sliceTags, hours: hours)
        let caps = settings.caps
        configuration.models = max(configuration.models, 2 * caps.models)
        configuration.versionsPerModel = max(configuration.versionsPerModel, caps.seriesPerModel / 4)
        configuration.featuresPerModel = max(configuration.featuresPerModel, 2 * caps.featuresPerModel)
        configuration.categoriesPerFeature = max(configuration.categoriesPerFeature, 2 * caps.categoriesPerFeature)
        configuration.valuesPerSlice = max(configuration.valuesPerSlice, 2 * caps.sliceValues)
        return configuration
    }

    /// What aggregates objects: a pool of aggregators, one for each object that is being parsed at the same time.
    package static func make(settings: LoadSettings, mappings: [Mapping]) -> AggregateObject {
        let pool = AggregatorPool(mappings)
        return { reader, segments, hours in
            let configuration = Self.configuration(settings, hours: hours)
            return try pool.with(configuration) { aggregator in
                let wanted = Set(segments)
                var place = -1
                return try aggregator.aggregate(reader) { _ in
                    place += 1
                    return wanted.contains(place)
                }
            }
        }
    }
}

/// Makes a joiner of some outcomes with the predictions of hours (begins, seconds since the epoch).
package typealias MakeJoiner = @Sendable (_ outcomes: [WaitingOutcome], _ hours: Set<Int64>) -> OutcomeJoiner

extension Aggregation {
    /// What makes joiners for a configuration.
    package static func makeJoiner(settings: LoadSettings, mappings: [Mapping]) -> MakeJoiner {
        { outcomes, hours in
            OutcomeJoiner(
                outcomes, hours: hours, configuration: configuration(settings),
                mappings: mappings)
        }
    }
}

/// Keeps aggregators for reuse; each is used by one thread at a time.
private final class AggregatorPool: Sendable {
    /// Crosses threads only through the mutex.
    private struct Idle: @unchecked Sendable {
        var aggregators: [EventAggregator] = []
    }

    private let mappings: [Mapping]
    private let idle = Mutex(Idle())

    init(_ mappings: [Mapping]) { self.mappings = mappings }

    func with<Result>(
        _ configuration: AggregationConfiguration, _ body: (EventAggregator) throws -> Result
    ) throws -> Result {
        let kept = idle.withLock { idle -> Idle in
            guard let place = idle.aggregators.firstIndex(where: { $0.configuration == configuration }) else {
                return Idle()
            }
            return Idle(aggregators: [idle.aggregators.remove(at: place)])
        }
        let aggregator = kept.aggregators.first ?? EventAggregator(configuration, mappings: mappings)
        defer {
            // Those of single hours come and go with their hours.
            if configuration.hours == nil {
                let back = Idle(aggregators: [aggregator])
                idle.withLock { $0.aggregators += back.aggregators }
            }
        }
        return try body(aggregator)
    }
}
