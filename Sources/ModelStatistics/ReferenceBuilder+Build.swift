internal import RecordBatches
internal import Sketches

extension ReferenceBuilder {
    /// Makes the reference.
    ///
    /// Some 10 s for a million rows of 50 features in a release build.
    ///
    /// - Returns: nil where there are no rows.
    package func build(progress: (String) -> Void = { _ in }) -> Reference? {
        guard rowCount > 0 else { return nil }
        var reference = Reference()
        reference.rowCount = rowCount
        reference.sampledFrom = rowsSeen
        reference.task = task
        let known = times.filter { $0 != .min }
        reference.firstTime_ms = known.min()
        reference.lastTime_ms = known.max()
        reference.labelCount = (0..<rowCount).count {
            let label = label.value($0)
            return reference.task == .binary ? label.answer != nil : label.className != nil
        }

        let hasPrediction = (0..<rowCount).contains { prediction.cell($0) != .missing }
        let windows = TimeWindows(times)
        if hasPrediction {
            let kind: KindChoice = reference.task.hasClasses ? .text : .numeric
            add(prediction, kind, isPrediction: true, windows, &reference)
        }
        for (place, column) in columns.enumerated() {
            progress("feature \(place + 1) of \(columns.count)")
            add(column, options.kinds[column.name], isPrediction: false, windows, &reference)
        }
        progress("scores")
        addScores(windows, &reference)
        addPerformance(windows, &reference)
        addWarnings(windows, &reference)
        return reference
    }

    /// What the model answers: what was said, what rows say, else what predictions and scores look like.
    var task: ReferenceTask {
        if let said = options.task ?? namedTask { return said }
        let hasScore = scores.contains { !$0.isNaN }
        var numbers: Set<Double> = []
        var texts: Set<Int> = []
        var isWhole = true
        for row in 0..<rowCount {
            switch prediction.cell(row) {
            case .number(let number):
                if numbers.count < 100 { numbers.insert(number) }
                isWhole = isWhole && number == number.rounded()
            case .text(let place): texts.insert(place)
            case .missing, .other: break
            }
        }
        if texts.isEmpty, numbers.isEmpty { return !classes.isEmpty ? .multiclass : hasScore ? .binary : .other }
        if !classes.isEmpty { return .multiclass }
        if texts.isEmpty {
            if numbers.isSubset(of: [0, 1]) { return .binary }
            return hasScore && isWhole && numbers.count < 100 ? .multiclass : .regression
        }
        let isYesNo = texts.allSatisfy { ReferenceValue.isYesOrNo(prediction.texts[$0]) }
        return isYesNo && texts.count <= 2 ? .binary : .multiclass
    }

    /// Counts a column.
    private func add(
        _ column: ReferenceColumn, _ choice: KindChoice?, isPrediction: Bool, _ windows: TimeWindows,
        _ reference: inout Reference
    ) {
        var feature = Reference.Feature(name: column.name, isPrediction: isPrediction, kind: .numeric)
        var numbers: [Double] = []
        var texts = 0
        for row in 0..<rowCount {
            switch column.cell(row) {
            case .number(let number): numbers.append(number)
            case .text: texts += 1
            case .missing: feature.missingCount += 1
            case .other: feature.wrongTypeCount += 1
            }
        }
        let present = numbers.count + texts
        let isCoded: Bool
        switch choice {
        case .numeric: (feature.kind, isCoded) = (.numeric, false)
        case .text: (feature.kind, isCoded) = (.categorical, false)
        case .categorical:
            // The loader counts numbers as numbers: each gets a group of its own.
            isCoded = Double(numbers.count) >= Self.numericShare * Double(present) && present > 0
            feature.kind = isCoded ? .numeric : .categorical
        case nil:
            feature.kind = Double(numbers.count) >= Self.numericShare * Double(present) ? .numeric : .categorical
            isCoded = false
        }
        let takesNumbers = feature.kind == .categorical && (choice == .text || options.numbersAreTexts)
        if feature.kind == .numeric {
            feature.wrongTypeCount += Int64(texts)
            feature.numericCount = Int64(numbers.count)
            numbers.sort()
            numbers.withUnsafeBufferPointer { feature.moments.add($0) }
            feature.bins = FrozenEdges(sorted: numbers, isCoded: isCoded)
            feature.logBins = SparseCounts(sortedNumbers: numbers)
            feature.distinctCount = numbers.isEmpty ? 0 : 1 + zip(numbers, numbers.dropFirst()).count { $0 != $1 }
            if !numbers.isEmpty {
                feature.quantiles = [0.05, 0.5, 0.95].map { numbers[Int(Double(numbers.count - 1) * $0)] }
            }
            if isCoded, feature.distinctCount > FrozenEdges.mostPoints {
                reference.warnings.append(
                    "\(feature.name): categorical was asked for, but it has \(feature.distinctCount) different numbers, and "
                        + "only \(FrozenEdges.mostPoints) get a group each; let the service send them as texts")
            }
        } else if !takesNumbers {
            feature.wrongTypeCount += Int64(numbers.count)
        }
        let codes = categorise(column, takesNumbers: takesNumbers, &feature)
        let place = reference.features.count
        reference.features.append(feature)
        if windows.isEmpty { return }
        let spread = FeatureSpread(rows: rowCount, feature: feature, column: column, categories: codes)
        reference.spreads += spread.spreads(windows, feature: place)
    }

    /// Counts the categories of a categorical feature; returns each row's category by an arbitrary number, -1 for none.
    private func categorise(
        _ column: ReferenceColumn, takesNumbers: Bool, _ feature: inout Reference.Feature
    ) -> CategoryCodes {
        guard feature.kind == .categorical else { return CategoryCodes() }
        var codes = CategoryCodes()
        codes.names = column.texts
        var places = Dictionary(
            column.texts.enumerated().map { (ExactText($1), $0) }, uniquingKeysWith: { first, _ in first })
        codes.rows.reserveCapacity(rowCount)
        for row in 0..<rowCount {
            switch column.cell(row) {
            case .text(let place): codes.rows.append(Int32(truncatingIfNeeded: place))
            case .number(let number) where takesNumbers:
                let text = ClassText.string(number)
                if places[ExactText(text)] == nil {
                    places[ExactText(text)] = codes.names.count
                    codes.names.append(text)
                }
                codes.rows.append(Int32(truncatingIfNeeded: places[ExactText(text)] ?? -1))
            default: codes.rows.append(-1)
            }
        }
        codes.counts = [Int64](repeating: 0, count: codes.names.count)
        for code in codes.rows where code >= 0 {
            codes.counts[Int(code)] += 1
            feature.categoricalCount += 1
        }
        let seen = codes.counts.indices.filter { codes.counts[$0] > 0 }
        feature.distinctCount = seen.count
        feature.singletonCount = Int64(seen.count { codes.counts[$0] == 1 })
        let listed = seen.filter {
            codes.names[$0].utf8.count <= Self.longestCategory && !codes.names[$0].utf8.contains(0)
        }
        .sorted {
            codes.counts[$0] != codes.counts[$1]
                ? codes.counts[$0] > codes.counts[$1] : ExactText(codes.names[$0]) < ExactText(codes.names[$1])
        }.prefix(options.mostCategories)
        codes.groups = [Int32](repeating: Int32(listed.count), count: codes.names.count)
        for (group, code) in listed.enumerated() {
            codes.groups[code] = Int32(group)
            feature.categories.append((codes.names[code], codes.counts[code]))
        }
        feature.otherCount = feature.categoricalCount - feature.categories.reduce(0) { $0 + $1.count }
        return codes
    }
}

/// The categories of a feature's rows.
struct CategoryCodes {
    /// All categories, in the order in which they came.
    var names: [String] = []
    /// How often each came.
    var counts: [Int64] = []
    /// Each row's category; -1 for none.
    var rows: [Int32] = []
    /// The place of each category in the reference's list; the list's length for those beyond it.
    var groups: [Int32] = []
}

extension SparseCounts {
    /// Counts ascending numbers under `LogBins` codes.
    init(sortedNumbers numbers: [Double]) {
        self.init()
        let table = LogBins.Table.shared
        for number in numbers { append(table.code(number), 1) }
    }
}
