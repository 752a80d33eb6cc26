internal import RecordBatches
internal import Sketches

extension ReferenceBuilder {
    /// Whether a row is predicted positive: by its prediction, else by its score and threshold; nil where neither is known.
    func isPredictedPositive(_ row: Int) -> Bool? {
        if let positive = prediction.value(row).isPositive { return positive }
        guard row < scores.count, !scores[row].isNaN else { return nil }
        return scores[row] >= (thresholds[row].isNaN ? options.threshold : thresholds[row])
    }

    /// Whether a row's score came true: its label is positive (binary), or the predicted class (multiclass); nil where
    /// that is not known.
    func cameTrue(_ row: Int, _ task: ReferenceTask) -> Bool? {
        let label = label.value(row)
        switch task {
        case .binary: return label.answer
        case .multiclass:
            guard let truth = label.className, let predicted = prediction.value(row).className else { return nil }
            return ExactText(truth) == ExactText(predicted)
        case .regression, .other: return nil
        }
    }

    /// The field `score` and the scores of classes, with labels and calibration.
    func addScores(_ windows: TimeWindows, _ reference: inout Reference) {
        let task = reference.task
        if scores.contains(where: { !$0.isNaN }) {
            let score = score(
                name: nil, value: { scores[$0] },
                isPositive: { task == .binary ? isPredictedPositive($0) ?? false : true },
                cameTrue: { cameTrue($0, task) })
            reference.scores.append(score)
            if !windows.isEmpty {
                var counts = [Int64](repeating: 0, count: ScoreBins.count)
                for (bin, count) in zip(score.bins, score.counts) { counts[bin] = count }
                let groups = FrozenEdges.groups(counts)
                let rows = scores.map { $0.isNaN ? -1 : Int32(groups[ScoreBins.bin($0)]) }
                reference.spreads += FeatureSpread(scoreGroups: rows).spreads(windows, feature: nil)
            }
        }
        let predicted = classes.isEmpty ? [] : (0..<rowCount).map { prediction.value($0).className.map(ExactText.init) }
        let truths = classes.isEmpty ? [] : (0..<rowCount).map { label.value($0).className.map(ExactText.init) }
        for column in classes {
            let name = ExactText(column.name)
            reference.scores.append(
                score(
                    name: column.name,
                    value: { row in
                        if case .number(let number) = column.cell(row) { return number }
                        return .nan
                    },
                    isPositive: { predicted[$0] == name }, cameTrue: { row in truths[row].map { $0 == name } }))
        }
        if reference.scores.contains(where: { $0.isIsotonic }) {
            reference.calibration = .isotonic
        } else if reference.scores.contains(where: { $0.calibrated != nil }) {
            reference.calibration = .identity
        }
    }

    private func score(
        name: String?, value: (Int) -> Double, isPositive: (Int) -> Bool, cameTrue: (Int) -> Bool?
    ) -> Reference.Score {
        var counts = [Int64](repeating: 0, count: ScoreBins.count)
        var sums = [Double](repeating: 0, count: ScoreBins.count)
        var positiveCounts = counts
        var positiveSums = sums
        var labelCounts = counts
        var labelSums = sums
        var pairs: [(probability: Double, isTrue: Bool)] = []
        for row in 0..<rowCount {
            let score = value(row)
            if score.isNaN { continue }
            let bin = ScoreBins.bin(score)
            counts[bin] += 1
            sums[bin] += score
            if isPositive(row) {
                positiveCounts[bin] += 1
                positiveSums[bin] += score
            }
            if let isTrue = cameTrue(row) {
                labelCounts[bin] += 1
                labelSums[bin] += isTrue ? 1 : 0
                pairs.append((score, isTrue))
            }
        }
        var out = Reference.Score(className: name)
        out.bins = counts.indices.filter { counts[$0] > 0 }
        out.counts = out.bins.map { counts[$0] }
        out.sums = out.bins.map { sums[$0] }
        out.positiveCounts = out.bins.map { positiveCounts[$0] }
        out.positiveSums = out.bins.map { positiveSums[$0] }
        out.labelCounts = out.bins.map { labelCounts[$0] }
        out.labelSums = out.bins.map { labelSums[$0] }
        if !pairs.isEmpty {
            let calibration = Calibration(pairs)
            out.calibrated = calibration.calibrated
            out.isIsotonic = calibration.isIsotonic
            out.calibrationErrors = calibration.errors
        }
        return out
    }
}
