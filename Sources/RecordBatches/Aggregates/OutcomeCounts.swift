package import Sketches

/// Labels joined to a series' predictions of an hour: `outcome_hour`.
///
/// Merging is exact: the same labels in whatever order and parts give the same counts and the same sums to the last bit.
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
        /// Those that came true.
        package var positives: Int64 = 0
        var p = FixedSum()
        var pp = FixedSum()
        var py = FixedSum()

        package init() {}

        package var sumY: Double { Double(positives) }
        package var sumP: Double { p.value }
        package var sumPP: Double { pp.value }
        package var sumPY: Double { py.value }

        /// Counts a score from 0 to 1.
        mutating func add(_ score: Double, cameTrue: Bool) {
            count &+= 1
            p.add(score)
            pp.add(score * score)
            if cameTrue {
                positives &+= 1
                py.add(score)
            }
        }

        mutating func merge(_ other: ScoreSums) {
            count += other.count
            positives += other.positives
            p.merge(other.p)
            pp.merge(other.pp)
            py.merge(other.py)
        }
    }

    /// Successful predictions that have a label.
    package var labelled: Int64 = 0
    /// Failed ones that have: counted here alone.
    package var failedLabelled: Int64 = 0
    /// Class predictions compared with their label.
    package var classified: Int64 = 0
    /// Those that were right.
    package var correct: Int64 = 0
    /// Those where prediction and label both say yes or no, whatever the spelling, in binary tasks.
    package var binary: Int64 = 0
    /// Binary ones whose label is yes.
    package var labelPositive: Int64 = 0
    /// Binary ones whose prediction is yes.
    package var predictedPositive: Int64 = 0
    /// Binary ones of which both are.
    package var truePositive: Int64 = 0
    /// Pairs of all others.
    package var confusion: [Confusion: Int64] = [:]
    /// By bin of ``ScoreBins``; of what is not binary, where the score is the chance to be right, by -1 less the bin.
    package var scores: [Int32: ScoreSums] = [:]
    package var logLossCount: Int64 = 0
    var logLoss = FixedSum()
    /// Regressions with a number as label.
    package var errorCount: Int64 = 0
    var error = ExactSum()
    var errorAbs = ExactSum()
    var errorSquare = ExactSum()
    var errorLabel = ExactSum()
    var errorLabelSquare = ExactSum()
    package var delayCount: Int64 = 0
    var delay_ms: Int128 = 0
    /// The delays under ``LogBins`` codes.
    package var delay = SparseCounts()

    package init() {}

    package var logLossSum: Double { logLoss.value }
    /// Sum of prediction - label.
    package var errorSum: Double { error.value }
    package var errorAbsSum: Double { errorAbs.value }
    package var errorSquareSum: Double { errorSquare.value }
    /// Sum of the labels of regressions.
    package var errorLabelSum: Double { errorLabel.value }
    package var errorLabelSquareSum: Double { errorLabelSquare.value }
    /// Seconds from prediction to label, never negative.
    package var delaySum: Double { Double(delay_ms) / 1000 }

    /// Adds another's counts; both must use the same dictionary of categories.
    package mutating func merge(_ other: OutcomeCounts) {
        labelled += other.labelled
        failedLabelled += other.failedLabelled
        classified += other.classified
        correct += other.correct
        binary += other.binary
        labelPositive += other.labelPositive
        predictedPositive += other.predictedPositive
        truePositive += other.truePositive
        confusion.merge(other.confusion, uniquingKeysWith: +)
        scores.merge(other.scores) { mine, theirs in
            var sums = mine
            sums.merge(theirs)
            return sums
        }
        logLossCount += other.logLossCount
        logLoss.merge(other.logLoss)
        errorCount += other.errorCount
        error.merge(other.error)
        errorAbs.merge(other.errorAbs)
        errorSquare.merge(other.errorSquare)
        errorLabel.merge(other.errorLabel)
        errorLabelSquare.merge(other.errorLabelSquare)
        delayCount += other.delayCount
        delay_ms += other.delay_ms
        delay.merge(other.delay)
    }

    /// The same counts with classes under other numbers.
    package func mapClasses(predicted: (Int) -> Int, label: (Int) -> Int) -> OutcomeCounts {
        var out = self
        out.confusion = [:]
        for (pair, count) in confusion {
            out.confusion[.init(predicted: predicted(pair.predicted), label: label(pair.label)), default: 0] += count
        }
        return out
    }
}

extension Double {
    /// The square, the greatest finite double where it is beyond.
    var finiteSquare: Double { min(self * self, .greatestFiniteMagnitude) }
}
