internal import RecordBatches

extension ReferenceBuilder {
    /// Least rows of a reference that is compared with anything.
    static let fewRows = 200

    /// Adds what a person should look at.
    func addWarnings(_ windows: TimeWindows, _ reference: inout Reference) {
        var warnings: [String] = []
        if rowsSeen > rowCount {
            warnings.append("the source has \(rowsSeen) rows; a uniform sample of \(rowCount) was used")
        }
        if rowCount < Self.fewRows {
            warnings.append(
                "only \(rowCount) rows: with fewer than \(Self.fewRows) every comparison says \"too few\"; take more")
        }
        for feature in reference.features {
            let name = feature.isPrediction ? "the prediction" : feature.name
            let present = feature.numericCount + feature.categoricalCount
            if present == 0 {
                warnings.append("\(name): no value of its kind, so that nothing can be compared")
                continue
            }
            if feature.distinctCount == 1 { warnings.append("\(name): constant, so that only another value shows") }
            if feature.kind == .categorical, feature.distinctCount > options.mostCategories {
                warnings.append(
                    "\(name): \(feature.distinctCount) categories; the \(feature.categories.count) most frequent are kept, "
                        + "the rest counts as other")
            }
            if feature.kind == .categorical, feature.distinctCount * 2 > present, present >= 20 {
                warnings.append("\(name): most values come once, as ids do; leave it out with --ignore")
            }
            let wrong = feature.wrongTypeCount
            if wrong > 0 {
                warnings.append(
                    "\(name): \(wrong) of \(rowCount) values are not \(feature.kind.rawValue) (wrong type)")
            }
        }
        if reference.features.isEmpty { warnings.append("no features: only scores can be compared") }
        if windows.isEmpty {
            warnings.append(
                "no times: no spread between windows, so that ordinary changes from day to day count as drift")
        } else if !reference.spreads.contains(where: { $0.windowHours > 0 }) {
            warnings.append(
                "fewer than \(TimeWindows.leastWindows) hours, days or weeks of \(TimeWindows.leastRows) rows: no spread "
                    + "between windows")
        }
        if reference.task == .binary { warnings += answerWarnings() }
        if droppedFeatures > 0 {
            warnings.append(
                "\(droppedFeatures) features are left out: the first \(columns.count) are kept; leave out what is none, or raise "
                    + "caps.features")
        }
        if reference.task.hasClasses {
            if reference.scores.isEmpty { warnings.append("no scores: no performance without labels") }
            if reference.labelCount == 0 {
                warnings.append(
                    "no labels: no calibration, so that performance without labels takes scores as they are")
            }
        }
        if droppedClasses > 0 {
            warnings.append(
                "scores of \(droppedClasses + classes.count) classes; the first \(Self.mostClasses) are kept")
        }
        for (name, choice) in options.kinds.sorted(by: { $0.key < $1.key })
        where !columns.contains(where: { ExactText($0.name) == ExactText(name) }) {
            warnings.append("--kind \(name)=\(choice.rawValue): there is no feature of this name")
        }
        reference.warnings += warnings
    }

    /// What of a binary task's labels and predictions says neither yes nor no, and labels that all say the same.
    private func answerWarnings() -> [String] {
        let words = "neither yes (1, true, yes, positive) nor no (0, false, no, negative)"
        var warnings: [String] = []
        for (column, what, effect) in [(label, "the label", "as none"), (prediction, "the prediction", "as no")] {
            let strange = column.texts.map { !ReferenceValue.isYesOrNo($0) }
            var count = 0
            var first: String?
            for row in 0..<rowCount {
                guard case .text(let place) = column.cell(row), strange[place] else { continue }
                count += 1
                if first == nil { first = column.texts[place] }
            }
            if let first {
                warnings.append(
                    "\(what): \(count) values such as \"\(first.hasPrefix("\0") ? "..." : first.prefix(40))\" are \(words) and count \(effect); write 1 and 0, here "
                        + "and in events")
            }
        }
        let labels = (0..<rowCount).compactMap { label.value($0).answer }
        if let one = labels.first, labels.allSatisfy({ $0 == one }) {
            warnings.append(
                "all \(labels.count) labels are \(one ? "positive" : "negative") (numbers from 0.5 on are positive): calibration and "
                    + "performance say nothing; are 1 and 0 written otherwise?")
        }
        return warnings
    }
}
