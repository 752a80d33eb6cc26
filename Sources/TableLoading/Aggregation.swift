package import RecordBatches

/// Joins the configuration to the aggregation of objects.
package enum Aggregation {
    package static func make(settings: LoadSettings, mappings: [Mapping]) -> AggregateObject {
        { _, _, _ in Aggregates() }
    }
}
