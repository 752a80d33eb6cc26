internal import RecordBatches
internal import TableStorage

/// The rows of an object that has too many to hold: chunks in a temporary file, and what a commit must know of all of
/// them beforehand.
///
/// Used by one thread at a time; that makes it safe to send.
package final class OverflowRows: @unchecked Sendable {
    private let file: SpillFile
    /// Begins of all hours whose rows the chunks change, milliseconds since the epoch.
    private(set) var hours_ms: Set<Int64> = []
    /// Begins of the days of minute rows, milliseconds since the epoch.
    private(set) var requestDays_ms: Set<Int64> = []
    private(set) var resourceDays_ms: Set<Int64> = []
    /// Begins of the days of the predictions that outcomes name, whether they can be or not, milliseconds since the epoch.
    private(set) var outcomeDays_ms: Set<Int64> = []
    private(set) var hasOutcomes = false
    /// How many chunks there are.
    package var chunks: Int { file.count }

    /// - Throws: `SystemError` where no temporary file can be made.
    init() throws { file = try SpillFile(in: SpillFile.directory) }

    /// Adds rows without segments.
    func append(_ rows: Aggregates) throws {
        hours_ms.formUnion(rows.hours_ms)
        for key in rows.requestMinutes.keys { requestDays_ms.insert(LoadClock.day(key.time_s * 1000)) }
        for key in rows.resourceMinutes.keys { resourceDays_ms.insert(LoadClock.day(key.time_s * 1000)) }
        for row in rows.outcomes {
            if let hour = row.predictionHour_s { outcomeDays_ms.insert(LoadClock.day(hour * 1000)) }
        }
        hasOutcomes = hasOutcomes || !rows.outcomes.isEmpty
        var out = ByteWriter()
        rows.write(to: &out)
        try file.append(out.bytes)
    }

    /// Gives the names of all chunks numbers, chunk by chunk.
    func admit(by admission: Admission, _ connection: Connection) throws -> AdmittedOverflow {
        let admitted = try AdmittedOverflow(self)
        try file.forEach { chunk in
            var input = ByteReader(chunk)
            try admitted.append(try admission.admit(try Aggregates(from: &input), connection))
        }
        return admitted
    }
}

/// The rows of an object that has too many to hold, with the numbers of their names.
package final class AdmittedOverflow {
    private let file: SpillFile
    let rows: OverflowRows
    /// `model_id` of all models.
    private(set) var models: Set<Int64> = []
    /// How many names fell under `other` because of a cap, by kind.
    private(set) var refused: [String: Int] = [:]

    fileprivate init(_ rows: OverflowRows) throws {
        self.rows = rows
        file = try SpillFile(in: SpillFile.directory)
    }

    fileprivate func append(_ chunk: AdmittedAggregates) throws {
        models.formUnion(chunk.models)
        for (kind, count) in chunk.refused { refused[kind, default: 0] += count }
        var out = ByteWriter()
        chunk.rows.write(to: &out)
        for numbers in [chunk.models, chunk.series, chunk.features, chunk.categories, chunk.resources] {
            out.put(numbers) { $0.put($1) }
        }
        try file.append(out.bytes)
    }

    /// Hands out the chunks, each with the object's segments, which rows name by their place.
    /// - Throws: `SystemError`, and what `body` throws.
    func forEach(of segments: [SegmentResult], _ body: (AdmittedAggregates) throws -> Void) throws {
        try file.forEach { chunk in
            var input = ByteReader(chunk)
            var rows = try Aggregates(from: &input)
            rows.segments = segments
            func numbers() throws -> [Int64] {
                var out: [Int64] = []
                for _ in 0..<(try input.count()) { out.append(try input.integer()) }
                return out
            }
            try body(
                AdmittedAggregates(
                    rows: rows, models: try numbers(), series: try numbers(), features: try numbers(),
                    categories: try numbers(), resources: try numbers(), refused: [:]))
        }
    }
}

extension Aggregates {
    /// Begins of all hours whose rows these change, milliseconds since the epoch.
    var hours_ms: Set<Int64> {
        var hours: Set<Int64> = []
        for key in requestHours.keys { hours.insert(key.time_s * 1000) }
        for key in featureHours.keys { hours.insert(key.time_s * 1000) }
        for key in scoreHours.keys { hours.insert(key.time_s * 1000) }
        for key in resourceHours.keys { hours.insert(key.time_s * 1000) }
        return hours
    }
}
