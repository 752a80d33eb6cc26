package import Sketches

/// Requests, predictions and latency of a series in a span of time: `request_minute` and its kin.
package struct RequestCounts: Equatable, Sendable {
    /// Predictions with `batch_index` 0 or none.
    package var requests: Int64 = 0
    /// Lines.
    package var predictions: Int64 = 0
    /// Requests with status `error`.
    package var errors: Int64 = 0
    /// Lines with status `error`.
    package var failedPredictions: Int64 = 0
    /// Requests that carry a latency.
    package var latencyCount: Int64 = 0
    /// Sum of latencies in seconds.
    package var latencySum = 0.0
    /// Latencies in seconds under ``LogBins`` codes.
    package var latency = SparseCounts()

    package init() {}

    /// Adds another's counts.
    package mutating func merge(_ other: RequestCounts) {
        requests += other.requests
        predictions += other.predictions
        errors += other.errors
        failedPredictions += other.failedPredictions
        latencyCount += other.latencyCount
        latencySum = finiteSum(latencySum, other.latencySum)
        latency.merge(other.latency)
    }
}

/// Values of a feature in a series in a span of time, from predictions with status `ok`: `feature_hour`.
package struct FeatureCounts: Equatable, Sendable {
    /// The finite numbers; their count is `numeric_count`.
    package var moments = Moments()
    /// Texts and booleans, all of them.
    package var categoricalCount: Int64 = 0
    /// `null`.
    package var nullCount: Int64 = 0
    /// Arrays and objects.
    package var wrongTypeCount: Int64 = 0
    /// The numbers under ``LogBins`` codes; in the slice `all` alone.
    package var logBins = SparseCounts()
    /// Texts and booleans by place in ``Aggregates/categories``.
    package var categories = SparseCounts()
    /// Texts beyond the cap or longer than 256 bytes.
    package var otherCount: Int64 = 0
    /// The numbers on a reference's edges; in all slices.
    package var edges = EdgeCounts()

    package init() {}

    /// Adds another's counts; both must use the same dictionary of categories.
    package mutating func merge(_ other: FeatureCounts) {
        moments.merge(other.moments)
        categoricalCount += other.categoricalCount
        nullCount += other.nullCount
        wrongTypeCount += other.wrongTypeCount
        logBins.merge(other.logBins)
        categories.merge(other.categories)
        otherCount += other.otherCount
        edges.merge(other.edges)
    }
}

/// Scores of a series in a span of time on ``ScoreBins``: `score_hour`.
///
/// All arrays are parallel, ascending by bin.
package struct ScoreCounts: Equatable, Sendable {
    /// Bins that were hit.
    package var bins: [Int32] = []
    /// Scores.
    package var counts: [Int64] = []
    /// Sum of scores.
    package var sums: [Double] = []
    /// Scores of predictions that say yes (binary), or say this class; in all other tasks all.
    package var positiveCounts: [Int64] = []
    /// Sum of those scores.
    package var positiveSums: [Double] = []

    package init() {}

    /// Adds a bin that is greater than any before it.
    package mutating func append(
        bin: Int32, count: Int64, sum: Double, positiveCount: Int64, positiveSum: Double
    ) {
        bins.append(bin)
        counts.append(count)
        sums.append(sum)
        positiveCounts.append(positiveCount)
        positiveSums.append(positiveSum)
    }

    /// Adds another's counts.
    package mutating func merge(_ other: ScoreCounts) {
        var merged = ScoreCounts()
        mergeAscending(bins, other.bins) { bin, left, right in
            let mine = left.map { (counts[$0], sums[$0], positiveCounts[$0], positiveSums[$0]) } ?? (0, 0, 0, 0)
            let theirs =
                right.map {
                    (other.counts[$0], other.sums[$0], other.positiveCounts[$0], other.positiveSums[$0])
                } ?? (0, 0, 0, 0)
            merged.append(
                bin: bin, count: mine.0 + theirs.0, sum: mine.1 + theirs.1, positiveCount: mine.2 + theirs.2,
                positiveSum: mine.3 + theirs.3)
        }
        self = merged
    }
}

/// Samples of one measure in a span of time: `resource_minute`.
package struct ResourceCounts: Equatable, Sendable {
    package var count: Int64
    package var sum: Double
    package var maximum: Double

    /// One sample.
    package init(_ value: Double) {
        count = 1
        sum = value
        maximum = value
    }

    /// Adds another's samples.
    package mutating func merge(_ other: ResourceCounts) {
        count += other.count
        sum = finiteSum(sum, other.sum)
        maximum = max(maximum, other.maximum)
    }
}

/// A sum that stays finite: what no double can hold becomes the greatest finite number of its sign.
@inline(__always)
func finiteSum(_ left: Double, _ right: Double) -> Double {
    let sum = left + right
    guard sum.isFinite else { return sum > 0 ? .greatestFiniteMagnitude : -.greatestFiniteMagnitude }
    return sum
}

/// Visits the union of two ascending lists, with the place of each element in either.
func mergeAscending(_ left: [Int32], _ right: [Int32], _ visit: (Int32, Int?, Int?) -> Void) {
    var (mine, theirs) = (0, 0)
    while mine < left.count || theirs < right.count {
        if theirs == right.count || (mine < left.count && left[mine] < right[theirs]) {
            visit(left[mine], mine, nil)
            mine += 1
        } else if mine == left.count || right[theirs] < left[mine] {
            visit(right[theirs], nil, theirs)
            theirs += 1
        } else {
            visit(left[mine], mine, theirs)
            mine += 1
            theirs += 1
        }
    }
}
