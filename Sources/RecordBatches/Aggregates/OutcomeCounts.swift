package import Sketches

/// Labels joined to a series' predictions of an hour: `outcome_hour`.
package struct OutcomeCounts: Equatable, Sendable {
    /// A pair of classes: what was predicted and what was true, as places in a dictionary of categories.
    package struct Confusion: Hashable, Sendable {
        package var predicted: Int
        package var label: Int

        package init(predicted: Int, label: Int) {
            self.predicted = predicted
            self.label = label
        }
    }

    /// Sums of one score bin over its labelled predictions; p is the score, y whether it came true (0 or 1).
    package struct ScoreSums: Equatable, Sendable {
        package var count: Int64 = 0
        package var sumY = 0.0
        package var sumP = 0.0
        package var sumPP = 0.0
        package var sumPY = 0.0

        package init() {}
    }

    /// Predictions that have a label.
    package var labelled: Int64 = 0
    /// Class predictions compared with their label.
    package var classified: Int64 = 0
    /// Those that were right.
    package var correct: Int64 = 0
    package var confusion: [Confusion: Int64] = [:]
    /// By bin of ``ScoreBins``.
    package var scores: [Int32: ScoreSums] = [:]
    package var logLossCount: Int64 = 0
    package var logLossSum = 0.0
    /// Regressions with a number as label.
    package var errorCount: Int64 = 0
    /// Sum of prediction - label.
    package var errorSum = 0.0
    package var errorAbsSum = 0.0
    package var errorSquareSum = 0.0
    package var delayCount: Int64 = 0
    /// Seconds from prediction to label, never negative.
    package var delaySum = 0.0
    /// The delays under ``LogBins`` codes.
    package var delay = SparseCounts()

    package init() {}

    /// Adds another's counts; both must use the same dictionary of categories.
    package mutating func merge(_ other: OutcomeCounts) {
        labelled += other.labelled
        classified += other.classified
        correct += other.correct
        confusion.merge(other.confusion, uniquingKeysWith: +)
        scores.merge(other.scores) { mine, theirs in
            var sums = mine
            sums.count += theirs.count
            sums.sumY += theirs.sumY
            sums.sumP += theirs.sumP
            sums.sumPP += theirs.sumPP
            sums.sumPY += theirs.sumPY
            return sums
        }
        logLossCount += other.logLossCount
        logLossSum += other.logLossSum
        errorCount += other.errorCount
        errorSum = finiteSum(errorSum, other.errorSum)
        errorAbsSum = finiteSum(errorAbsSum, other.errorAbsSum)
        errorSquareSum = finiteSum(errorSquareSum, other.errorSquareSum)
        delayCount += other.delayCount
        delaySum += other.delaySum
        delay.merge(other.delay)
    }
}
