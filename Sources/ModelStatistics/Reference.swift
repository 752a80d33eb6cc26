package import Sketches

/// What a model's input, scores and answers were when it was trained or last known good: the rows of one entry of
/// `nadi_store.reference` and of the tables below it.
package struct Reference: Sendable {
    /// A feature, or the prediction.
    ///
    /// `numericCount + categoricalCount + missingCount + wrongTypeCount` is the number of rows.
    package struct Feature: Sendable {
        package var name: String
        package var isPrediction: Bool
        package var kind: FeatureKind
        /// Numbers of a numeric feature; 0 otherwise.
        package var numericCount: Int64 = 0
        /// Texts and booleans of a categorical feature; 0 otherwise.
        package var categoricalCount: Int64 = 0
        /// Null or absent.
        package var missingCount: Int64 = 0
        /// Values that are not of the feature's kind.
        package var wrongTypeCount: Int64 = 0
        /// Of the numbers of a numeric feature.
        package var moments = Moments()
        package var bins = FrozenEdges(sorted: [])
        /// The numbers under `LogBins` codes.
        package var logBins = SparseCounts()
        /// Categories under the cap, most frequent first.
        package var categories: [(value: String, count: Int64)] = []
        /// Values of categories beyond the cap.
        package var otherCount: Int64 = 0
        /// Categories that came once.
        package var singletonCount: Int64 = 0
        /// Different values.
        package var distinctCount = 0
        /// Quantiles at 0.05, 0.5 and 0.95; empty for categories.
        package var quantiles: [Double] = []
    }

    /// Scores on `ScoreBins`; the arrays are parallel, bins ascending.
    package struct Score: Sendable {
        /// The class; nil for the field `score`.
        package var className: String?
        package var bins: [Int] = []
        package var counts: [Int64] = []
        package var sums: [Double] = []
        /// Of rows whose prediction is the class (of the field score: positive, or any in multiclass).
        package var positiveCounts: [Int64] = []
        package var positiveSums: [Double] = []
        /// Rows with a label, and how many of these were the class.
        package var labelCounts: [Int64] = []
        package var labelSums: [Double] = []
        /// The label rate to expect in each of the 200 bins; nil without labels.
        package var calibrated: [Double]?
        package var isIsotonic = false
        /// Expected calibration error on held-out halves, of the scores as they are and after isotonic regression.
        package var calibrationErrors: (raw: Double, isotonic: Double)?
    }

    /// How far apart a feature's own windows are from the whole.
    package struct Spread: Equatable, Sendable {
        /// Place in ``Reference/features``; nil for the score.
        package var feature: Int?
        package var windowHours: Int
        package var windowCount: Int
        package var psi: Double
        package var share: Double
        package var missingLow: Double
        package var missingHigh: Double
        package var unseen: Double
        package var outOfRange: Double
    }

    /// What labels say of the predictions.
    package struct Performance: Equatable, Sendable {
        /// accuracy, precision, recall, f1, roc_auc.
        package var measure: String
        /// 0 for the whole.
        package var windowHours: Int
        package var windowCount: Int
        /// Over the whole.
        package var value: Double
        /// Standard deviation (divisor n) between the windows; 0 for the whole.
        package var deviation: Double
    }

    /// How scores become label rates; the words of `nadi_store.reference.calibration`.
    package enum Calibration: String, Sendable {
        case none, identity, isotonic
    }

    package var rowCount = 0
    /// How many rows the source had.
    package var sampledFrom = 0
    package var labelCount = 0
    package var task = ReferenceTask.other
    package var firstTime_ms: Int64?
    package var lastTime_ms: Int64?
    package var calibration = Calibration.none
    /// The prediction first, if there is one, then in the order in which names came.
    package var features: [Feature] = []
    /// The field `score` first, if there is one.
    package var scores: [Score] = []
    package var spreads: [Spread] = []
    package var performance: [Performance] = []
    /// What a person should look at, a sentence each.
    package var warnings: [String] = []

    package init() {}
}
