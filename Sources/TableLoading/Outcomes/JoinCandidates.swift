internal import EventModel
internal import RecordBatches
internal import TableStorage

/// An outcome that may belong to an hour.
struct JoinedOutcome: Sendable {
    let model: Int64
    /// The row's number: a newer version of the row has another.
    let number: Int64
    /// The hour that the row stands in: the joined one, or by a hint that failed one beside it.
    let home_ms: Int64
    /// Whether an earlier join looked for its prediction in its hour and did not find it.
    let wasUnmatched: Bool
    let waiting: WaitingOutcome
}

/// The outcomes that a join of an hour has to look for: those that stand in the hour, and those beside it whose hint failed.
///
/// ``count(_:)`` first, then the parts, each in a query of its own: what is written between them has a number beyond
/// ``joinedTo``, is joined if it was read, and still counts as waiting, since its hour is marked anew.
struct JoinCandidates: Sendable {
    let hour: JoinPass.DirtyHour
    /// By model: every outcome of it with a number up to this that stands in the hour, or beside it unmatched, is in the parts.
    private(set) var joinedTo: [Int64: Int64] = [:]

    init(hour: JoinPass.DirtyHour) { self.hour = hour }

    private var beside_ms: [Int64] { [hour.hour_ms - LoadClock.hour_ms, hour.hour_ms + LoadClock.hour_ms] }
    private var models: [Int64] { hour.models.map(\.id).sorted() }

    private static func list(_ values: [Int64]) -> String {
        values.isEmpty ? "NULL" : values.map(String.init).joined(separator: ", ")
    }
    private static func instant(_ ms: Int64) -> String { "to_timestamp(\(ms / 1000))" }
    private static func day(_ ms: Int64) -> String { "DATE '\(LoadClock.dayText(ms))'" }

    /// The two sets of rows, each limited to the partitions that hold it.
    private func rows(_ columns: String, _ condition: String = "true") -> String {
        let days = Set(beside_ms.map(LoadClock.day)).sorted().map(Self.day).joined(separator: ", ")
        return """
            SELECT \(columns) FROM nadi_store.outcome AS o
            WHERE o.prediction_day = \(Self.day(hour.hour_ms)) AND o.model_id IN (\(Self.list(models)))
              AND o.prediction_hour = \(Self.instant(hour.hour_ms)) AND \(condition)
            UNION ALL
            SELECT \(columns) FROM nadi_store.outcome AS o
            WHERE o.prediction_day IN (\(days)) AND o.model_id IN (\(Self.list(models))) AND o.unmatched
              AND NOT o.hour_is_exact AND o.prediction_hour IN (\(beside_ms.map(Self.instant).joined(separator: ", ")))
              AND \(condition)
            """
    }

    /// How many rows there are; fixes ``joinedTo``.
    ///
    /// Reads the hour's index once.
    /// - Throws: ``DatabaseError``.
    mutating func count(_ connection: Connection) throws -> Int64 {
        try settleRivals(connection)
        let counts = try connection.query(
            """
            SELECT model_id, count(*), max(outcome_no) FROM (\(rows("o.model_id, o.outcome_no"))) AS o GROUP BY 1
            """
        ).rows
        joinedTo = Dictionary(
            hour.models.map { ($0.id, 0) } + counts.map { ($0.integer(0), $0.integer(2)) }, uniquingKeysWith: max)
        return counts.reduce(0) { $0 + $1.integer(1) }
    }

    /// The rows of one part: all rows of a prediction id are in the same.
    ///
    /// Every part reads the rows of the whole hour on the server and sends its own.
    /// - Throws: ``DatabaseError``.
    func read(part: Int, of parts: Int, _ connection: Connection) throws -> [JoinedOutcome] {
        let names = Dictionary(hour.models.map { ($0.id, $0.name) }, uniquingKeysWith: { first, _ in first })
        let columns = """
            o.model_id, o.outcome_no, o.prediction_hour, o.unmatched, o.event_type, o.name, o.prediction_id, o.event_time, \
            o.label_text, o.label_number, o.value, o.value_currency, o.score
            """
        let condition =
            parts <= 1 ? "true" : "(hashtextextended(o.prediction_id, 0) & 2147483647) % \(parts) = \(part)"
        var out: [JoinedOutcome] = []
        try connection.copyOut(rows(columns, condition), columns: 13) { row in
            let model = row.int()
            let number = row.bigint()
            let home_ms = row.time()
            let wasUnmatched = row.boolean()
            let type: EventType = row.text() == EventType.feedback.rawValue ? .feedback : .outcome
            let name = row.text()
            let predictionID = row.text()
            let time_ms = row.time()
            let labelText = row.optionalText()
            let labelNumber = row.optionalReal()
            // Value, currency and score of rows that are no labels.
            _ = row.optionalReal()
            _ = row.optionalText()
            _ = row.optionalReal()
            out.append(
                JoinedOutcome(
                    model: model, number: number, home_ms: home_ms, wasUnmatched: wasUnmatched,
                    waiting: WaitingOutcome(
                        model: names[model] ?? "", predictionID: predictionID, type: type, name: name, time_ms: time_ms,
                        labelText: labelText, labelNumber: labelNumber)))
        }
        return out
    }

    /// Before and after midnight, rows of one key may stand in both days: the one whose hint failed meets the other, which a
    /// join or the event itself has placed in this hour.
    private func settleRivals(_ connection: Connection) throws {
        let days = beside_ms.filter { LoadClock.day($0) != LoadClock.day(hour.hour_ms) }
        guard let beside = days.first else { return }
        let rivals = """
            FROM nadi_store.outcome AS o
            WHERE o.prediction_day = \(Self.day(beside)) AND o.model_id IN (\(Self.list(models))) AND o.unmatched
              AND NOT o.hour_is_exact AND o.prediction_hour = \(Self.instant(beside))
              AND EXISTS (SELECT FROM nadi_store.outcome AS k
                          WHERE k.prediction_day = \(Self.day(hour.hour_ms)) AND \(OutcomeMerge.sameOutcome("k", "o"))
                            AND k.prediction_hour = \(Self.instant(hour.hour_ms)))
            """
        guard try connection.query("SELECT EXISTS (SELECT \(rivals))")[0].boolean(0) else { return }
        try connection.execute(OutcomeMerge.createStages)
        try connection.transaction {
            try HourLocks.takeOutcomes(models: models, connection)
            try OutcomeMoves.take("DELETE \(rivals)", to: hour.hour_ms, connection)
            try OutcomeMerge(connection: connection).run(numbers: .new)
            try OutcomeWriting.markHours(connection)
        }
    }
}
