package import ModelStatistics
package import RecordBatches

extension ReferenceValue {
    /// A value of a line.
    package init(_ value: EventValue) {
        self =
            switch value {
            case .number(let number): .number(number)
            case .text(let text): .text(text)
            case .bool(let flag): .bool(flag)
            case .null: .missing
            case .nested: .other
            }
    }
}

extension ReferenceBuilder {
    /// Sets the row at hand from a prediction.
    ///
    /// - Parameter names: names by the numbers that the event hands out.
    mutating func take(_ event: EventView, names: () -> [String]) {
        setTime(event.time_ms)
        if let task = event.task, let known = ReferenceTask(rawValue: task) { setTask(known) }
        if let prediction = event.prediction { setPrediction(ReferenceValue(prediction)) }
        if let score = event.score { setScore(score) }
        if let threshold = event.threshold { setThreshold(threshold) }
        event.forEachFeature { name, value in set(feature(number: name) { names()[name] }, ReferenceValue(value)) }
        event.forEachClassScore { name, score in setClassScore(names()[name], score) }
    }
}

/// Labels and rows that wait for each other, by prediction id.
struct LabelsByID {
    private var labels: [String: ReferenceValue] = [:]
    private var rows: [String: Int] = [:]
    private var ids: [Int: String] = [:]

    mutating func add(label: ReferenceValue, id: String) { labels[id] = label }

    /// Says which prediction a kept row is; a row whose place is taken by another is forgotten.
    ///
    /// Of rows with one id the first counts.
    mutating func add(row: Int, id: String) {
        if let old = ids.removeValue(forKey: row), rows[old] == row { rows[old] = nil }
        guard rows[id] == nil else { return }
        rows[id] = row
        ids[row] = id
    }

    /// Ids of rows that are kept, in some order.
    var waiting: [String] { rows.keys.sorted() }

    mutating func setLabel(_ label: ReferenceValue, id: String, _ builder: inout ReferenceBuilder) {
        if let row = rows[id] { builder.setLabel(label, row: row) }
    }

    func apply(to builder: inout ReferenceBuilder) {
        for (id, label) in labels { if let row = rows[id] { builder.setLabel(label, row: row) } }
    }
}
