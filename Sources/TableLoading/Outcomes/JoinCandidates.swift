internal import RecordBatches
internal import TableStorage

/// The outcomes that a join of an hour has to look for: those that stand in the hour, and those beside it whose hint failed.
///
/// ``meetRivals(_:)`` before the hour's marks are read, ``settle(_:)`` after them, then the parts, each in a query of its own:
/// what is written between them has a number beyond ``joinedTo``, is joined if it was read, and still counts as waiting, since
/// its hour is marked anew.
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

    /// Fixes ``joinedTo``: a look at the ends of two indexes.
    /// - Throws: ``DatabaseError``.
    mutating func settle(_ connection: Connection) throws {
        let days = Set(beside_ms.map(LoadClock.day)).sorted().map(Self.day).joined(separator: ", ")
        let numbers = try connection.query(
            """
            SELECT m, (SELECT max(o.outcome_no) FROM nadi_store.outcome AS o
                       WHERE o.prediction_day = \(Self.day(hour.hour_ms)) AND o.model_id = m
                         AND o.prediction_hour = \(Self.instant(hour.hour_ms))),
                   (SELECT max(o.outcome_no) FROM nadi_store.outcome AS o
                    WHERE o.prediction_day IN (\(days)) AND o.model_id = m AND o.unmatched AND NOT o.hour_is_exact
                      AND o.prediction_hour IN (\(beside_ms.map(Self.instant).joined(separator: ", "))))
            FROM unnest($1::int[]) AS m
            """, [.integers(models)]
        ).rows
        joinedTo = Dictionary(
            numbers.map { ($0.integer(0), max($0.optionalInteger(1) ?? 0, $0.optionalInteger(2) ?? 0)) },
            uniquingKeysWith: max)
    }

    /// How many rows there are: reads all of them on the server.
    /// - Throws: ``DatabaseError``.
    func count(_ connection: Connection) throws -> Int64 {
        try connection.query("SELECT count(*) FROM (\(rows("o.model_id"))) AS o")[0].integer(0)
    }

    /// How many rows the prediction has that has most: reads all of them on the server.
    /// - Throws: ``DatabaseError``.
    func largest(_ connection: Connection) throws -> Int64 {
        try connection.query(
            """
            SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM (\(rows("o.model_id, o.prediction_id"))) AS o
                                             GROUP BY o.model_id, o.prediction_id) AS g
            """)[0].integer(0)
    }

    /// Puts the rows of one part into a table whose models are the hour's in their order: all rows of a prediction id are in
    /// the same part. Each is called by its ``CandidateNumber``.
    ///
    /// Every part reads the rows of the whole hour on the server and sends its own.
    /// - Parameter isWanted: asked before each row; once it says no, the rest is passed over.
    /// - Throws: ``DatabaseError``.
    func fill(
        _ table: OutcomeTable, part: Int, of parts: Int, _ connection: Connection, while isWanted: () -> Bool
    ) throws {
        let places = Dictionary(hour.models.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        let columns = """
            o.model_id, o.outcome_no, o.prediction_hour, o.unmatched, o.event_type, o.name, o.prediction_id, o.event_time, \
            o.label_text, o.label_number, o.value, o.value_currency, o.score
            """
        let condition =
            parts <= 1 ? "true" : "(hashtextextended(o.prediction_id, 0) & 2147483647) % \(parts) = \(part)"
        var model: Int64 = -1
        var place: Int?
        try connection.copyOut(rows(columns, condition), columns: 13) { row in
            guard isWanted() else { return }
            let id = row.int()
            if id != model {
                model = id
                place = places[id]
            }
            guard let place else { return }
            let number = row.bigint()
            let home = (row.time() - hour.hour_ms) / LoadClock.hour_ms
            let wasUnmatched = row.boolean()
            let type = row.textBytes()
            let name = UnsafeRawBufferPointer(row.textBytes())
            var fields = OutcomeTable.Fields(name: name, predictionID: UnsafeRawBufferPointer(row.textBytes()))
            fields.model = place
            fields.type = type.first == UInt8(ascii: "f") ? .feedback : .outcome
            fields.number = CandidateNumber(number: number, home: home, wasUnmatched: wasUnmatched).packed
            fields.time_ms = row.time()
            fields.labelText = row.optionalTextBytes().map(UnsafeRawBufferPointer.init)
            fields.labelNumber = row.optionalReal()
            fields.value = row.optionalReal()
            fields.currency = row.optionalTextBytes().map(UnsafeRawBufferPointer.init)
            fields.score = row.optionalReal()
            table.append(fields)
        }
    }

    /// Before and after midnight, rows of one key may stand in both days: the one whose hint failed meets the other, which a
    /// join or the event itself has placed in this hour.
    ///
    /// Moves it, in a transaction of its own, and marks the hour.
    /// - Throws: ``DatabaseError``.
    func meetRivals(_ connection: Connection) throws {
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
