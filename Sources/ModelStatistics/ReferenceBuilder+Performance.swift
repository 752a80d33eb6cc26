internal import RecordBatches

extension ReferenceBuilder {
    /// Adds what labels say of the predictions, over the whole and how it varies between windows.
    func addPerformance(_ windows: TimeWindows, _ reference: inout Reference) {
        let task = reference.task
        guard task.hasClasses, reference.labelCount > 0 else { return }
        let judge = PerformanceJudge(self, task)
        let whole = judge.measures(Array(0..<rowCount))
        for (measure, value) in whole.sorted(by: { $0.key < $1.key }) {
            reference.performance.append(
                .init(measure: measure, windowHours: 0, windowCount: 1, value: value, deviation: 0))
        }
        for (hours, all) in windows.windows {
            let large = all.filter { window in
                window.count >= TimeWindows.leastRows
                    && window.count { judge.isLabelled(windows.order[$0]) } >= TimeWindows.leastRows
            }
            guard large.count >= TimeWindows.leastWindows else { continue }
            var values: [String: [Double]] = [:]
            for window in large {
                for (measure, value) in judge.measures(window.map { windows.order[$0] }) {
                    values[measure, default: []].append(value)
                }
            }
            for (measure, seen) in values.sorted(by: { $0.key < $1.key }) where seen.count >= TimeWindows.leastWindows {
                guard let value = whole[measure] else { continue }
                let mean = seen.reduce(0, +) / Double(seen.count)
                let variance = seen.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(seen.count)
                reference.performance.append(
                    .init(
                        measure: measure, windowHours: hours, windowCount: seen.count, value: value,
                        deviation: variance.squareRoot()))
            }
        }
    }
}

/// Judges sets of rows.
private struct PerformanceJudge {
    private let builder: ReferenceBuilder
    private let task: ReferenceTask
    /// Classes of labels and predictions by row; -1 where there is none.
    private var labels: [Int] = []
    private var predictions: [Int] = []
    private var classes: [ExactText: Int] = [:]

    init(_ builder: ReferenceBuilder, _ task: ReferenceTask) {
        self.builder = builder
        self.task = task
        for row in 0..<builder.rowCount {
            if task == .binary {
                labels.append(builder.label.value(row).answer.map { $0 ? 1 : 0 } ?? -1)
                predictions.append(builder.isPredictedPositive(row).map { $0 ? 1 : 0 } ?? -1)
            } else {
                labels.append(number(builder.label.value(row).className))
                predictions.append(number(builder.prediction.value(row).className))
            }
        }
    }

    private mutating func number(_ name: String?) -> Int {
        guard let name else { return -1 }
        let key = ExactText(name)
        if let number = classes[key] { return number }
        classes[key] = classes.count
        return classes.count - 1
    }

    func isLabelled(_ row: Int) -> Bool { labels[row] >= 0 && predictions[row] >= 0 }

    func measures(_ rows: [Int]) -> [String: Double] {
        let rows = rows.filter(isLabelled)
        if rows.isEmpty { return [:] }
        if task == .binary {
            return PerformanceMeasures.binary(
                predicted: rows.map { predictions[$0] == 1 }, labels: rows.map { labels[$0] == 1 },
                scores: rows.map { builder.scores[$0] })
        }
        var scores: [(class: Int, values: [Double])] = []
        for column in builder.classes {
            guard let number = classes[ExactText(column.name)] else { continue }
            let values = rows.map { row -> Double in
                if case .number(let score) = column.cell(row) { return score }
                return .nan
            }
            scores.append((number, values))
        }
        return PerformanceMeasures.multiclass(
            predicted: rows.map { predictions[$0] }, labels: rows.map { labels[$0] }, classes: classes.count,
            scores: scores)
    }
}
