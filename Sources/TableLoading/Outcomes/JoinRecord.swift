internal import TableStorage

/// What a join found out about its candidates, part by part, and how the swap writes it.
///
/// Rows that joined where they stand are not touched: `join_hour.joined_to` says that they are joined. Written are those that
/// were not found, those that were found again, and those that were found although a hint had put them into the hour beside:
/// 24 bytes are held for each.
struct JoinRecord: Sendable {
    private enum Kind: UInt8 {
        /// Not found in its hour.
        case lost
        /// Found in its hour, where it was not before.
        case found
        /// Found here, while it stands in the hour beside.
        case moved

        var word: String {
            switch self {
            case .lost: "lost"
            case .found: "found"
            case .moved: "moved"
            }
        }
    }

    private struct Change {
        let number: Int64
        let model: Int32
        /// Hours from the joined one to the row's: -1, 0 or 1.
        let home: Int8
        let kind: Kind
    }

    let hour: JoinPass.DirtyHour
    /// By model, see ``JoinCandidates/joinedTo``.
    private let joinedTo: [Int64: Int64]
    private var changes: [Change] = []
    /// Outcomes that joined, by model.
    private(set) var outcomes: [Int64: Int64] = [:]

    /// - Parameter candidates: after their count.
    init(_ candidates: JoinCandidates) {
        hour = candidates.hour
        joinedTo = candidates.joinedTo
    }

    /// Adds a candidate.
    ///
    /// - Parameter isJoined: whether its prediction is in the hour.
    mutating func add(model: Int64, _ candidate: CandidateNumber, isJoined: Bool) {
        let isHere = candidate.home == 0
        let kind: Kind
        if isJoined {
            outcomes[model, default: 0] += 1
            if isHere, !candidate.wasUnmatched { return }
            kind = isHere ? .found : .moved
        } else {
            if !isHere || candidate.wasUnmatched { return }
            kind = .lost
        }
        changes.append(
            Change(
                number: candidate.number, model: Int32(truncatingIfNeeded: model),
                home: Int8(truncatingIfNeeded: candidate.home), kind: kind))
    }

    /// Writes it, in the swap's transaction, under the hour's exclusive lock and the outcome locks of its models.
    ///
    /// Rows that changed since they were read have other numbers and are left alone; their hours are marked.
    /// - Parameter repeated: lines of predictions in the hour whose prediction id had joined an earlier line, by model.
    /// - Throws: ``DatabaseError``.
    func write(repeated: [Int64: Int64], _ connection: Connection) throws {
        if !changes.isEmpty { try writeChanges(connection) }
        for model in hour.models.map(\.id).sorted() {
            try connection.query(
                """
                INSERT INTO nadi_store.join_hour AS j (model_id, hour, joined_to, predictions, outcomes, repeated_ids)
                SELECT $1, $2, $3, coalesce(sum(r.predictions), 0), $4, $5
                FROM nadi_store.series AS s JOIN nadi_store.request_hour AS r USING (series_id)
                WHERE s.model_id = $1 AND s.slice_key = 'all' AND r.hour = $2
                ON CONFLICT (model_id, hour) DO UPDATE SET joined_to = EXCLUDED.joined_to, predictions = EXCLUDED.predictions,
                    outcomes = EXCLUDED.outcomes, repeated_ids = EXCLUDED.repeated_ids, joined_at = now()
                """,
                [
                    .integer(model), .time(hour.hour_ms), .integer(joinedTo[model] ?? 0),
                    .integer(outcomes[model] ?? 0), .integer(repeated[model] ?? 0),
                ])
        }
    }

    private static let createStage = """
        CREATE TEMP TABLE IF NOT EXISTS stage_join (model_id int, home timestamptz, outcome_no bigint, kind text)
            ON COMMIT DELETE ROWS
        """

    private func writeChanges(_ connection: Connection) throws {
        try connection.execute(Self.createStage)
        var writer = try connection.copy(into: "stage_join", columns: ["model_id", "home", "outcome_no", "kind"])
        for change in changes {
            writer.append(Int64(change.model))
            writer.append(time: hour.hour_ms + Int64(change.home) * LoadClock.hour_ms)
            writer.append(change.number)
            writer.append(change.kind.word)
            try writer.endRow()
        }
        try writer.finish()
        try connection.execute("ANALYZE stage_join")
        let beside = [hour.hour_ms - LoadClock.hour_ms, hour.hour_ms, hour.hour_ms + LoadClock.hour_ms]
        let days = Set(beside.map(LoadClock.day)).sorted().map { "'\(LoadClock.dayText($0))'" }.joined(separator: ", ")
        func rows(_ kind: Kind) -> String {
            """
            c.kind = '\(kind.word)' AND o.prediction_day IN (\(days)) AND o.model_id = c.model_id
            AND o.prediction_hour = c.home AND o.outcome_no = c.outcome_no
            """
        }
        func holds(_ kind: Kind) -> Bool { changes.contains { $0.kind == kind } }
        if holds(.found) {
            try connection.query("UPDATE nadi_store.outcome AS o SET unmatched = false FROM stage_join AS c WHERE \(rows(.found))")
        }
        if holds(.lost) {
            // A new number, so that a sweep that has passed looks for it.
            try connection.query(
                """
                WITH lost AS (
                    UPDATE nadi_store.outcome AS o SET unmatched = true, outcome_no = nextval('nadi_store.outcome_number')
                    FROM stage_join AS c WHERE \(rows(.lost)) RETURNING o.model_id, o.hour_is_exact
                )
                \(DirtyMarks.insert(Self.besideHint))
                """, [.time(hour.hour_ms)])
        }
        if holds(.moved) {
            try OutcomeMoves.take(
                "DELETE FROM nadi_store.outcome AS o USING stage_join AS c WHERE \(rows(.moved))", to: hour.hour_ms, connection)
            try OutcomeMerge(connection: connection).run(numbers: .kept)
            try OutcomeWriting.markHours(connection)
        }
    }

    /// Hints for the hour that failed: the hours beside it that have predictions of the model are joined with them, too.
    static let besideHint = """
        SELECT f.model_id, n.hour, f.n
        FROM (SELECT model_id, count(*) AS n FROM lost WHERE NOT hour_is_exact GROUP BY 1) AS f,
             (VALUES ($1::timestamptz - interval '1 hour'), ($1::timestamptz + interval '1 hour')) AS n (hour)
        WHERE EXISTS (SELECT FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s USING (series_id)
                      WHERE s.model_id = f.model_id AND s.slice_key = 'all' AND r.hour = n.hour)
          AND NOT EXISTS (SELECT FROM nadi_store.join_hour AS g
                          WHERE g.model_id = f.model_id AND g.hour = n.hour AND g.is_final)
        """
}
