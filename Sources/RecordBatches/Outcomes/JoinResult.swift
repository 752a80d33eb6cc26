/// What joining some outcomes with the predictions of some hours yields.
package struct JoinResult: Equatable, Sendable {
    /// An outcome that found its prediction.
    package struct Joined: Hashable, Sendable {
        /// Its place in the list that was given to the joiner.
        package var outcome: Int
        /// Begin of the prediction's hour, in seconds since the epoch.
        package var hour_s: Int64

        package init(outcome: Int, hour_s: Int64) {
            self.outcome = outcome
            self.hour_s = hour_s
        }
    }

    /// Predictions of a model in an hour.
    package struct ModelHour: Hashable, Sendable {
        package var model: String
        package var hour_s: Int64

        package init(model: String, hour_s: Int64) {
            self.model = model
            self.hour_s = hour_s
        }

        package static func == (left: Self, right: Self) -> Bool {
            left.hour_s == right.hour_s && ExactText.same(left.model, right.model)
        }

        package func hash(into hasher: inout Hasher) {
            hasher.combine(hour_s)
            ExactText.hash(model, into: &hasher)
        }
    }

    /// Dictionaries as in ``Aggregates``; categories are the predictions' and labels' classes, of role prediction.
    package var models: [String] = []
    package var series: [SeriesKey] = []
    package var features: [FeatureKey] = []
    package var categories: [CategoryKey] = []
    /// Rows of `outcome_hour`: for each series, slices included, and hour in which a prediction has a label.
    package var outcomeHours: [TimeKey: OutcomeCounts] = [:]
    /// The outcomes that joined, ascending by place.
    package var joined: [Joined] = []
    /// Predictions read, by model and hour, also of models that no outcome waits for.
    package var predictions: [ModelHour: Int64] = [:]
    /// Predictions whose outcome had joined an earlier line with the same prediction id, by model and hour.
    package var repeated: [ModelHour: Int64] = [:]

    package init() {}

    /// Rows of days (UTC) that the rows of hours add up to.
    package func days() -> [TimeKey: OutcomeCounts] {
        var days: [TimeKey: OutcomeCounts] = [:]
        for (key, counts) in outcomeHours {
            days[TimeKey(series: key.series, time_s: Period.day(of: key.time_s)), default: .init()].merge(counts)
        }
        return days
    }
}
