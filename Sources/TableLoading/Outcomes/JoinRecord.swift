internal import TableStorage

/// What a join found out about its candidates, part by part, and how the swap writes it.
///
/// Rows that joined where they stand are not touched: `join_hour.joined_to` says that they are joined. Written are those that
/// were not found, those that were found again, and those that were found although a hint had put them into the hour beside:
/// eight bytes are held for each.
struct JoinRecord: Sendable {
    private enum Kind: String {
        /// Not found in its hour: from now on that is a hint, whatever the label's sender knew.
        case lost
        /// Found in its hour, where it was not before.
        case found
        /// Found here, while it stands in the hour beside.
        case moved
    }

    /// Rows of one hour, by their `outcome_no`.
    private struct Rows: Hashable {
        let kind: Kind
        let model: Int64
        /// Hours from the joined one to the rows': -1, 0 or 1.
        let home: Int64
    }

    let hour: JoinPass.DirtyHour
    /// By model, see ``JoinCandidates/joinedTo``.
    private let joinedTo: [Int64: Int64]
    private var changes: [Rows: [Int64]] = [:]
    /// Outcomes that joined, by model.
    private(set) var outcomes: [Int64: Int64] = [:]
    /// Models with outcomes that stood in the hour.
    private var hasOwn: Set<Int64> = []

    /// - Parameter candidates: once they are settled.
    init(_ candidates: JoinCandidates) {
        hour = candidates.hour
        joinedTo = candidates.joinedTo
    }

    /// Whether rows of outcomes are to be written.
    var hasChanges: Bool { !changes.isEmpty }
    /// How many rows of outcomes are to be written.
    var changeCount: Int { changes.values.reduce(0) { $0 + $1.count } }
    /// How many of them were not found.
    var lostCount: Int { count(.lost) }

    private func count(_ kind: Kind) -> Int { changes.reduce(0) { $1.key.kind == kind ? $0 + $1.value.count : $0 } }

    /// Adds a candidate.
    ///
    /// - Parameter isJoined: whether its prediction is in the hour.
    mutating func add(model: Int64, _ candidate: CandidateNumber, isJoined: Bool) {
        let isHere = candidate.home == 0
        if isHere, !hasOwn.contains(model) { hasOwn.insert(model) }
        let kind: Kind
        if isJoined {
            outcomes[model, default: 0] += 1
            if isHere, !candidate.wasUnmatched { return }
            kind = isHere ? .found : .moved
        } else {
            if !isHere || candidate.wasUnmatched { return }
            kind = .lost
        }
        changes[Rows(kind: kind, model: model, home: candidate.home), default: []].append(candidate.number)
    }

    /// Takes out some that were not found, as a record of their own for ``writeAhead(_:)``.
    mutating func takeLost(most: Int) -> JoinRecord {
        var taken = self
        taken.changes = [:]
        var left = most
        for rows in changes.keys where rows.kind == .lost && left > 0 {
            let numbers = changes[rows, default: []]
            taken.changes[rows] = Array(numbers.suffix(left))
            changes[rows] = numbers.count > left ? Array(numbers.dropLast(left)) : nil
            left -= min(left, numbers.count)
        }
        return taken
    }

    /// Writes rows that were not found, in a transaction of its own, before the hour's swap.
    ///
    /// What they are does not depend on it: they are not counted before it nor after it. Should their predictions come
    /// meanwhile, the swap finds other segments than were read, and the hour is joined again.
    /// - Throws: ``DatabaseError``.
    func writeAhead(_ connection: Connection) throws {
        try connection.execute(Self.createStage)
        try connection.transaction {
            try HourLocks.take(hour.hour_ms, connection)
            try HourLocks.takeOutcomes(models: hour.models.map(\.id), connection)
            try Self.writeChanges([self], connection)
        }
    }

    /// Writes several hours' records, in their swap's transaction, under the hours' exclusive locks and the outcome locks of
    /// their models.
    ///
    /// Rows that changed since they were read have other numbers and are left alone; their hours are marked.
    /// - Parameter records: each with the lines of predictions in its hour whose prediction id had joined an earlier line, by
    ///   model.
    /// - Throws: ``LoadError`` with ``LoadError/Code/overtaken`` where a row that was found is no longer what it was;
    ///   ``DatabaseError``.
    static func write(_ records: [(record: JoinRecord, repeated: [Int64: Int64])], _ connection: Connection) throws {
        let changed = records.map(\.record).filter(\.hasChanges)
        if !changed.isEmpty { try writeChanges(changed, connection) }
        var rows: [[Int64]] = []
        for (record, repeated) in records {
            for model in record.hour.models.map(\.id) {
                rows.append([
                    model, record.hour.hour_ms, record.joinedTo[model] ?? 0, record.outcomes[model] ?? 0,
                    repeated[model] ?? 0,
                    record.hasOwn.contains(model) ? 1 : 0,
                ])
            }
        }
        func column(_ place: Int) -> SQLValue { .integers(rows.map { $0[place] }) }
        // An hour that was read for the outcomes beside it alone, and has no predictions, was not joined.
        try connection.query(
            """
            INSERT INTO nadi_store.join_hour AS j (model_id, hour, joined_to, predictions, outcomes, repeated_ids)
            SELECT u.model_id, u.hour, u.joined_to, coalesce(p.n, 0), u.outcomes, u.repeated_ids
            FROM unnest($1::int[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
                AS u (model_id, hour, joined_to, outcomes, repeated_ids, own)
            CROSS JOIN LATERAL (SELECT sum(r.predictions) AS n
                                FROM nadi_store.series AS s JOIN nadi_store.request_hour AS r USING (series_id)
                                WHERE s.model_id = u.model_id AND s.slice_key = 'all' AND r.hour = u.hour) AS p
            WHERE p.n > 0 OR u.own > 0 OR EXISTS (SELECT FROM nadi_store.join_hour AS k
                                                  WHERE k.model_id = u.model_id AND k.hour = u.hour)
            ORDER BY 1, 2
            ON CONFLICT (model_id, hour) DO UPDATE SET joined_to = EXCLUDED.joined_to, predictions = EXCLUDED.predictions,
                outcomes = EXCLUDED.outcomes, repeated_ids = EXCLUDED.repeated_ids, joined_at = now()
            """, [column(0), .times(rows.map { $0[1] }), column(2), column(3), column(4), column(5)])
    }

    /// The session's tables that ``write(_:_:)`` needs where there are changes.
    static let createStages = OutcomeMerge.createStages + createStage

    private static let createStage = """
        CREATE TEMP TABLE IF NOT EXISTS stage_join (hour timestamptz, model_id int, home timestamptz, outcome_no bigint, kind text)
            ON COMMIT DELETE ROWS;
        """

    private static func writeChanges(_ records: [JoinRecord], _ connection: Connection) throws {
        var writer = try connection.copy(
            into: "stage_join", columns: ["hour", "model_id", "home", "outcome_no", "kind"])
        for record in records {
            for (rows, numbers) in record.changes {
                for number in numbers {
                    writer.append(time: record.hour.hour_ms)
                    writer.append(rows.model)
                    writer.append(time: record.hour.hour_ms + rows.home * LoadClock.hour_ms)
                    writer.append(number)
                    writer.append(rows.kind.rawValue)
                    try writer.endRow()
                }
            }
        }
        try writer.finish()
        let all = records.reduce(0) { $0 + $1.changeCount }
        if all > 1000 { try connection.execute("ANALYZE stage_join") }
        let days = Set(
            records.flatMap { record in (-1...1).map { LoadClock.day(record.hour.hour_ms + $0 * LoadClock.hour_ms) } })
        let dayList = days.sorted().map { "'\(LoadClock.dayText($0))'" }.joined(separator: ", ")
        func rows(_ kind: Kind) -> String {
            """
            c.kind = '\(kind.rawValue)' AND o.prediction_day IN (\(dayList)) AND o.model_id = c.model_id
            AND o.prediction_hour = c.home AND o.outcome_no = c.outcome_no
            """
        }
        func count(_ kind: Kind) -> Int64 { Int64(records.reduce(0) { $0 + $1.count(kind) }) }
        // What a join of the hour on the other side, or a sweep, has taken meanwhile must not count here too.
        func require(_ kind: Kind, _ written: Int64, _ wanted: Int64) throws(LoadError) {
            if written != wanted {
                throw LoadError(
                    .overtaken, "\(wanted - written) \(kind.rawValue) outcomes have changed since they were read")
            }
        }
        if count(.found) > 0 {
            let found = try connection.query(
                """
                UPDATE nadi_store.outcome AS o SET unmatched = false, hour_is_exact = true FROM stage_join AS c
                WHERE \(rows(.found)) AND o.unmatched
                """
            ).changedRows
            try require(.found, found, count(.found))
        }
        if count(.lost) > 0 {
            // A new number, so that a sweep that has passed looks for it.
            try connection.query(
                """
                WITH lost AS (
                    UPDATE nadi_store.outcome AS o
                    SET unmatched = true, hour_is_exact = false, outcome_no = nextval('nadi_store.outcome_number')
                    FROM stage_join AS c WHERE \(rows(.lost)) RETURNING o.model_id, o.prediction_hour AS hour
                )
                \(DirtyMarks.insert(Self.besideHint))
                """)
        }
        if count(.moved) > 0 {
            for record in records where record.count(.moved) > 0 {
                let moved = try OutcomeMoves.take(
                    """
                    DELETE FROM nadi_store.outcome AS o USING stage_join AS c
                    WHERE c.hour = to_timestamp(\(record.hour.hour_ms / 1000)) AND \(rows(.moved)) AND o.unmatched
                    """, to: record.hour.hour_ms, connection)
                try require(.moved, moved, Int64(record.count(.moved)))
            }
            try OutcomeMerge(connection: connection).run(numbers: .kept)
            try OutcomeWriting.markHours(connection)
        }
    }

    /// Of `lost` (model_id, hour), outcomes that are not where they were thought to be: the hours beside it that have predictions
    /// of the model are joined with them, too.
    ///
    /// On another day, also one that has none yet: predictions that are loaded at the same time hold other locks, and would not
    /// see what is lost.
    static let besideHint = """
        SELECT f.model_id, n.hour, sum(f.n)::bigint
        FROM (SELECT model_id, hour, count(*) AS n FROM lost GROUP BY 1, 2) AS f
        CROSS JOIN LATERAL (VALUES (f.hour - interval '1 hour'), (f.hour + interval '1 hour')) AS n (hour)
        WHERE (date_trunc('day', n.hour, 'UTC') <> date_trunc('day', f.hour, 'UTC')
               OR EXISTS (SELECT FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s USING (series_id)
                          WHERE s.model_id = f.model_id AND s.slice_key = 'all' AND r.hour = n.hour))
          AND NOT EXISTS (SELECT FROM nadi_store.join_hour AS g
                          WHERE g.model_id = f.model_id AND g.hour = n.hour AND g.is_final)
        GROUP BY 1, 2
        """
}
