package import ModelStatistics
internal import RecordBatches
internal import TableStorage

/// Reads the rows of a reference from what was loaded: predictions from the bucket, labels from the database.
package struct BucketRows: Sendable {
    let predictions: RangePredictions
    let model: String
    let range: Range<Int64>
    let condition: Condition?

    /// - Parameter range: event times, milliseconds since the epoch.
    package init(_ predictions: RangePredictions, model: String, range: Range<Int64>, condition: Condition? = nil) {
        self.predictions = predictions
        self.model = model
        self.range = range
        self.condition = condition
    }

    /// Ids asked for in one statement.
    private static let page = 5000

    /// Reads.
    ///
    /// - Returns: the builder with the rows, and what a person should know of the reading.
    /// - Throws: as ``RangePredictions/forEach(model:_:_:)``; ``LoadError`` with ``LoadError/Code/reference`` where nothing
    ///   is found.
    package func read(
        _ options: ReferenceBuilder.Options
    ) async throws -> (builder: ReferenceBuilder, notes: [String]) {
        var builder = ReferenceBuilder(options)
        var labels = LabelsByID()
        var left = 0
        let summary = try await predictions.forEach(model: model, range) { event, _, _, reader in
            guard !event.isError, condition?.holds(event) ?? true else {
                left += 1
                return
            }
            guard let row = builder.beginRow() else { return }
            builder.take(event, names: { reader.names })
            labels.add(row: row, id: event.predictionID)
        }
        guard builder.rowsSeen > 0 else {
            let hours = "\(LoadClock.hourText(range.lowerBound)) to \(LoadClock.hourText(range.upperBound)) UTC"
            throw LoadError(
                .reference,
                summary.predictions > 0
                    ? "none of the \(summary.predictions) predictions of \(model) from \(hours) is without error and as asked"
                    : "no prediction of \(model) is loaded from \(hours)",
                remedy: summary.unread.first.map {
                    "\(summary.unread.count) objects cannot be read, first \($0.key): \($0.reason)"
                }
                    ?? "See `nadi status`, and the model's name in nadi.requests")
        }
        if let first = builder.ignoredAbsent.first {
            throw LoadError(
                .reference, "no prediction of the range has a feature \(first), which --ignore names",
                remedy: "They have: \(builder.featureNames.sorted().prefix(40).joined(separator: ", "))")
        }
        let waiting = labels.waiting
        let model = model
        for begin in stride(from: 0, to: waiting.count, by: Self.page) {
            let ids = Array(waiting[begin..<min(begin + Self.page, waiting.count)])
            predictions.progress("\(begin) of \(waiting.count) labels")
            let found = try await predictions.database.runWithRetries { connection in
                try connection.query(
                    """
                    SELECT o.prediction_id, o.label_text, o.label_number
                    FROM nadi_store.outcome AS o JOIN nadi_store.model AS m USING (model_id)
                    WHERE m.model_name = $1 AND o.prediction_id = ANY ($2::text[]) AND o.event_type = 'outcome'
                      AND o.name = 'label'
                    """, [.text(model), .texts(ids)]
                ).rows.map { ($0.text(0), $0.optionalText(1), $0.optionalReal(2)) }
            }
            for (id, text, number) in found {
                let label = text.map { ReferenceValue.text($0) } ?? number.map { .number($0) } ?? .missing
                labels.setLabel(label, id: id, &builder)
            }
        }
        var notes: [String] = []
        if !summary.unread.isEmpty, let first = summary.unread.first {
            notes.append(
                "\(summary.unread.count) objects cannot be read, so that their rows are left out, first \(first.key): \(first.reason)"
            )
        }
        if left > 0 { notes.append("\(left) predictions that failed or are not as asked are left out") }
        return (builder, notes)
    }
}
