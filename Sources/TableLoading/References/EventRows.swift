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
    private var labels: [ExactText: ReferenceValue] = [:]
    private var rows: [ExactText: Int] = [:]
    private var ids: [Int: ExactText] = [:]
    private let most: Int
    /// Labels that found no room, of predictions that were not kept at that moment.
    private(set) var dropped = 0
    /// Whether a row came after that, whose label may have been among them.
    private(set) var mayLack = false

    /// - Parameter most: labels that are held.
    init(most: Int = .max) { self.most = most }

    mutating func add(label: ReferenceValue, id: String, _ builder: inout ReferenceBuilder) {
        let id = ExactText(id)
        if labels[id] != nil || labels.count < most {
            labels[id] = label
        } else if let row = rows[id] {
            builder.setLabel(label, row: row)
        } else {
            dropped += 1
        }
    }

    /// Says which prediction a kept row is, if that is known; a row whose place is taken by another is forgotten.
    ///
    /// Of rows with one id the first counts.
    mutating func add(row: Int, id: String?) {
        if let old = ids.removeValue(forKey: row), rows[old] == row { rows[old] = nil }
        if dropped > 0 { mayLack = true }
        guard let id = id.map(ExactText.init), rows[id] == nil else { return }
        rows[id] = row
        ids[row] = id
    }

    /// Ids of rows that are kept, ascending.
    var waiting: [String] { rows.keys.sorted().map(\.text) }

    mutating func setLabel(_ label: ReferenceValue, id: String, _ builder: inout ReferenceBuilder) {
        if let row = rows[ExactText(id)] { builder.setLabel(label, row: row) }
    }

    func apply(to builder: inout ReferenceBuilder) {
        for (id, label) in labels { if let row = rows[id] { builder.setLabel(label, row: row) } }
    }
}
