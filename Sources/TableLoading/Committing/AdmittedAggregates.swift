package import RecordBatches

/// Aggregates whose names have numbers in the database: what was not admitted stands under `other`.
package struct AdmittedAggregates: Sendable {
    /// The rows, with every name admitted and no two entries of a dictionary alike.
    package let rows: Aggregates
    /// `model_id` by place in the dictionary, and so on.
    package let models: [Int64]
    package let series: [Int64]
    package let features: [Int64]
    package let categories: [Int64]
    package let resources: [Int64]
    /// How many names fell under `other` because of a cap, by kind.
    package let refused: [String: Int]
}
