/// What labels say of predictions: the measures of `nadi_store.reference_performance`.
///
/// Multiclass measures are macro averages over the classes of labels and predictions; a class without predictions has
/// precision 0, as in scikit-learn with `zero_division=0`. The area under the ROC curve of several classes is the mean of
/// each against the rest, over the classes that are both present and absent among the labels.
package enum PerformanceMeasures {
    /// Binary.
    ///
    /// - Parameters:
    ///   - predicted, labels: of each row.
    ///   - scores: of each row; nan where it has none.
    /// - Returns: measures by name; those that are not defined (no positive label, say) are left out.
    package static func binary(predicted: [Bool], labels: [Bool], scores: [Double]) -> [String: Double] {
        var out: [String: Double] = [:]
        var (truePositive, falsePositive, falseNegative, trueNegative) = (0, 0, 0, 0)
        for (guess, label) in zip(predicted, labels) {
            switch (guess, label) {
            case (true, true): truePositive += 1
            case (true, false): falsePositive += 1
            case (false, true): falseNegative += 1
            case (false, false): trueNegative += 1
            }
        }
        let count = truePositive + falsePositive + falseNegative + trueNegative
        if count > 0 { out["accuracy"] = Double(truePositive + trueNegative) / Double(count) }
        if truePositive + falsePositive > 0 {
            out["precision"] = Double(truePositive) / Double(truePositive + falsePositive)
        }
        if truePositive + falseNegative > 0 {
            out["recall"] = Double(truePositive) / Double(truePositive + falseNegative)
        }
        if truePositive + falsePositive + falseNegative > 0 {
            out["f1"] = Double(2 * truePositive) / Double(2 * truePositive + falsePositive + falseNegative)
        }
        if let area = areaUnderCurve(zip(scores, labels).filter { !$0.0.isNaN }.map { ($0.0, $0.1) }) {
            out["roc_auc"] = area
        }
        return out
    }

    /// Several classes, by their numbers.
    ///
    /// - Parameter scores: each class's scores by row, nan where a row has none; empty for none.
    package static func multiclass(
        predicted: [Int], labels: [Int], classes: Int, scores: [(class: Int, values: [Double])]
    ) -> [String: Double] {
        var out: [String: Double] = [:]
        if labels.isEmpty { return out }
        var both = [Int](repeating: 0, count: classes)
        var guesses = both
        var truths = both
        for (guess, label) in zip(predicted, labels) {
            if guess == label { both[label] += 1 }
            guesses[guess] += 1
            truths[label] += 1
        }
        let present = (0..<classes).filter { guesses[$0] + truths[$0] > 0 }
        func mean(_ value: (Int) -> Double) -> Double { present.reduce(0) { $0 + value($1) } / Double(present.count) }
        out["accuracy"] = Double(both.reduce(0, +)) / Double(labels.count)
        out["precision"] = mean { guesses[$0] > 0 ? Double(both[$0]) / Double(guesses[$0]) : 0 }
        out["recall"] = mean { truths[$0] > 0 ? Double(both[$0]) / Double(truths[$0]) : 0 }
        out["f1"] = mean { Double(2 * both[$0]) / Double(guesses[$0] + truths[$0]) }
        let areas = scores.compactMap { one in
            areaUnderCurve(
                zip(one.values, labels).filter { !$0.0.isNaN }.map { ($0.0, $0.1 == one.class) })
        }
        if !areas.isEmpty { out["roc_auc"] = areas.reduce(0, +) / Double(areas.count) }
        return out
    }

    /// The area under the ROC curve: the share of pairs of a positive and a negative row in which the positive one has the
    /// greater score, ties counted half (Mann and Whitney).
    ///
    /// - Returns: nil unless there are rows of both kinds.
    package static func areaUnderCurve(_ pairs: [(score: Double, isPositive: Bool)]) -> Double? {
        let positives = pairs.count { $0.isPositive }
        let negatives = pairs.count - positives
        guard positives > 0, negatives > 0 else { return nil }
        let sorted = pairs.sorted { $0.score < $1.score }
        // Twice the pairs won, in whole numbers.
        var won = 0
        var below = 0
        var begin = 0
        while begin < sorted.count {
            var end = begin
            var up = 0
            while end < sorted.count, sorted[end].score == sorted[begin].score {
                if sorted[end].isPositive { up += 1 }
                end += 1
            }
            let down = end - begin - up
            won += up * (2 * below + down)
            below += down
            begin = end
        }
        return Double(won) / (2 * Double(positives) * Double(negatives))
    }
}
