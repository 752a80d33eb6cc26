/// What aggregation depends on beside the objects and the mappings.
package struct AggregationConfiguration: Equatable, Sendable {
    /// Tag keys that become slices, beside the slice `all`.
    ///
    /// Each adds a row for each of its values.
    package var slices: [String] = []
    /// Most values of one tag in a batch; those beyond it count as `other`.
    package var valuesPerSlice = 1000
    /// Most categories of one feature in a batch; those beyond it count as `other`.
    package var categoriesPerFeature = 5000
    /// Most models in a batch; those beyond it count as model `other`.
    package var models = 1000
    /// Most versions (with variant and environment) of one model in a batch; those beyond it count as version `other`.
    package var versionsPerModel = 500
    /// Most input features of one model in a batch; those beyond it are left out, since one feature's numbers mean nothing
    /// beside another's.
    package var featuresPerModel = 2000
    /// Most resources (instances of services, and their GPUs) in a batch; those beyond it count as service `other`.
    package var resources = 20_000
    /// Most classes of the field `scores` of one model in a batch; those beyond it are left out.
    package var scoreClasses = 20
    /// Events of other hours (their begins in seconds since the epoch) are counted in segments but add no rows; nil
    /// takes all hours.
    ///
    /// For rebuilding some hours.
    package var hours: Set<Int64>?
    /// Frozen edges that numbers are counted on.
    package var references = References.none

    package init(slices: [String] = [], hours: Set<Int64>? = nil) {
        self.slices = slices
        self.hours = hours
    }

    /// Events older than this before their segment's seal are `time_out_of_range`, but for replay: 400 days.
    package static let oldest_ms: Int64 = 400 * 86_400_000
    /// Events newer than this after their segment's seal are `time_out_of_range`: 10 minutes.
    package static let newest_ms: Int64 = 600_000
    /// Events older than this before their segment's seal add no minute rows: 35 days.
    package static let minutes_ms: Int64 = 35 * 86_400_000
}
