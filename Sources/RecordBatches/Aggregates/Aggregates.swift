/// What a batch of segments adds to the tables, in numbers of its own dictionaries.
///
/// A pure function of objects, mappings and configuration. ``merge(_:)`` is associative and commutative up to the order
/// of the dictionaries and of ``segments``; ``canonical()`` puts both into one order.
package struct Aggregates: Equatable, Sendable {
    package var models: [String] = []
    package var series: [SeriesKey] = []
    package var features: [FeatureKey] = []
    package var categories: [CategoryKey] = []
    package var resources: [ResourceKey] = []

    /// Rows of minutes, without events that were older than 35 days when their segment was sealed.
    package var requestMinutes: [TimeKey: RequestCounts] = [:]
    package var requestHours: [TimeKey: RequestCounts] = [:]
    package var featureHours: [FeatureTimeKey: FeatureCounts] = [:]
    package var scoreHours: [ScoreTimeKey: ScoreCounts] = [:]
    /// Rows of minutes, without events that were older than 35 days when their segment was sealed.
    package var resourceMinutes: [ResourceTimeKey: ResourceCounts] = [:]
    package var resourceHours: [ResourceTimeKey: ResourceCounts] = [:]
    package var outcomes: [OutcomeRow] = []
    package var deployments: [DeploymentRow] = []
    package var segments: [SegmentResult] = []

    /// Nothing aggregated.
    package init() {}

    /// Lines of all segments that were read.
    package var lines: Int64 { segments.reduce(0) { $0 + $1.loadedLines + $1.rejectedLines } }
}

/// Day rows, derived from hour rows.
package struct DayAggregates: Equatable, Sendable {
    package var requestDays: [TimeKey: RequestCounts] = [:]
    package var featureDays: [FeatureTimeKey: FeatureCounts] = [:]
    package var scoreDays: [ScoreTimeKey: ScoreCounts] = [:]

    package init() {}
}

extension Aggregates {
    /// The rows of days (UTC) that the rows of hours add up to, in the same dictionaries.
    package func days() -> DayAggregates {
        var days = DayAggregates()
        for (key, counts) in requestHours {
            days.requestDays[TimeKey(series: key.series, time_s: Period.day(of: key.time_s)), default: .init()]
                .merge(counts)
        }
        for (key, counts) in featureHours {
            var day = key
            day.time_s = Period.day(of: key.time_s)
            days.featureDays[day, default: .init()].merge(counts)
        }
        for (key, counts) in scoreHours {
            var day = key
            day.time_s = Period.day(of: key.time_s)
            days.scoreDays[day, default: .init()].merge(counts)
        }
        return days
    }
}
