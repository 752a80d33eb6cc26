internal import EventSegments
internal import RecordBatches
internal import TableStorage

/// Writes a batch's outcome and feedback rows, each on the day of its prediction, and marks the hours that changed.
///
/// The caller holds the outcome locks of the batch's models, so that no other loader writes their rows.
struct OutcomeWriting {
    let connection: Connection
    let batch: AdmittedAggregates
    /// `segment_id` by place in the aggregates' segments.
    let segments: [Int64]
    /// Days after its prediction's hour within which an outcome is joined.
    let labelDays: Int64

    func write() throws {
        if !batch.rows.outcomes.isEmpty {
            let beyondMidnight = try stage()
            try connection.query(Self.countArrivals)
            try connection.query(LateLabels.unplaceHints, [.integer(labelDays)])
            try connection.query(
                LateLabels.count("DELETE FROM stage_outcome AS o WHERE \(LateLabels.isLate("o", days: "$1"))"),
                [.integer(labelDays)])
            if try mayProbe() { try connection.query(Self.placeBesideKnown) }
            if !beyondMidnight.isEmpty {
                let days = beyondMidnight.sorted().map { LoadClock.dayText($0) }
                try connection.query(Self.placeAcrossMidnight, [.texts(days)])
            }
            if try connection.query("SELECT EXISTS (SELECT FROM nadi_store.outcome_unplaced)")[0].boolean(0) {
                try connection.query(Self.takeWaiting)
            }
            try OutcomeMerge(connection: connection).run(numbers: .new)
        }
        try stageHoursThatPredictionsChange()
    }

    /// Marks the hours of all rows written in the transaction, in one sorted statement, so that two loaders never wait for
    /// each other in a circle.
    static func markHours(_ connection: Connection) throws {
        try connection.query(
            DirtyMarks.insert("SELECT model_id, hour, sum(waiting)::bigint FROM stage_mark GROUP BY 1, 2"))
    }

    /// The hour of an outcome's prediction as far as it can be: none that begins later than the day after the outcome's
    /// arrival, since nobody knows of a prediction before it is made.
    static func predictionHour_ms(_ row: OutcomeRow, arrival_ms: Int64) -> Int64? {
        guard let hour = row.predictionHour_s, hour * 1000 < LoadClock.day(arrival_ms) + 2 * LoadClock.day_ms,
            hour >= 0
        else { return nil }
        return hour * 1000
    }

    /// Makes the partitions of days, milliseconds since the epoch, unless they exist.
    ///
    /// To be called before the transaction, which then need not wait for others that make partitions, and again under the
    /// outcome locks, without which a day can go again.
    static func ensureDays(_ days_ms: some Sequence<Int64>, _ connection: Connection) throws {
        let days = Set(days_ms).sorted().map { LoadClock.dayText($0) }
        if days.isEmpty { return }
        try connection.query(
            """
            SELECT nadi_store.ensure_partition('outcome', d) FROM unnest($1::date[]) AS d
            WHERE to_regclass('nadi_store.outcome_' || to_char(d, 'YYYYMMDD')) IS NULL
            """, [.texts(days)])
    }

    /// Stages all rows; says which days begin or end an hour from a hint.
    private func stage() throws -> Set<Int64> {
        let rows = batch.rows
        var beyondMidnight: Set<Int64> = []
        var writer = try connection.copy(into: "stage_outcome", columns: OutcomeMerge.columns)
        for row in rows.outcomes {
            let sealed_ms = rows.segments[row.segment].segment.sealed_ms
            let hour_ms = Self.predictionHour_ms(row, arrival_ms: sealed_ms)
            let isExact = row.predictionTimeIsExact && hour_ms != nil
            if let hour_ms, !isExact {
                for beside in [hour_ms - LoadClock.hour_ms, hour_ms + LoadClock.hour_ms]
                where LoadClock.day(beside) != LoadClock.day(hour_ms) {
                    beyondMidnight.insert(LoadClock.day(beside))
                }
            }
            writer.append(hour_ms.map { LoadClock.dayText($0) } ?? "0001-01-01")
            writer.append(batch.models[row.model])
            writer.append(row.type.rawValue)
            writer.append(row.name)
            writer.append(row.predictionID)
            writer.append(row.revision)
            writer.append(time: row.time_ms)
            writer.append(row.eventID)
            writer.append(row.labelText)
            writer.append(row.labelNumber)
            writer.append(row.value)
            writer.append(row.currency)
            writer.append(row.score)
            writer.append(time: hour_ms)
            writer.append(isExact)
            writer.append(LoadClock.dayText(sealed_ms))
            writer.append(segments[row.segment])
            writer.append(row.line)
            try writer.endRow()
        }
        try writer.finish()
        return beyondMidnight
    }

    /// Whether some rows know no hour, and so few that each may be looked for on every day.
    ///
    /// That is done under locks that other loaders wait for. More are left to the sweep, which finds their hour anew and ranks
    /// them there.
    private func mayProbe() throws -> Bool {
        let row = try connection.query(
            """
            SELECT (SELECT count(*) FROM stage_outcome WHERE prediction_day = \(OutcomeMerge.unplaced)),
                   (SELECT count(*) FROM pg_inherits WHERE inhparent = 'nadi_store.outcome'::regclass)
            """)[0]
        return row.integer(0) > 0 && row.integer(0) * row.integer(1) <= Self.mostProbes
    }

    /// Most looks into an index for the rows of a batch that know no hour: about a second.
    private static let mostProbes: Int64 = 100_000

    static let countArrivals = """
        INSERT INTO nadi_store.outcome_arrival AS a (arrival_day, event_type, model_id, lines, untimed)
        SELECT arrival_day, event_type, model_id, count(*), count(*) FILTER (WHERE prediction_hour IS NULL)
        FROM stage_outcome GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (arrival_day, event_type, model_id)
        DO UPDATE SET lines = a.lines + EXCLUDED.lines, untimed = a.untimed + EXCLUDED.untimed
        """

    /// Rows that know no hour go where the rest of their key is: a correction keeps the hour that was found for what it
    /// corrects.
    private static let placeBesideKnown = """
        UPDATE stage_outcome AS s
        SET prediction_day = k.prediction_day, prediction_hour = k.prediction_hour, hour_is_exact = k.hour_is_exact
        FROM (
            SELECT DISTINCT ON (place) place, prediction_day, prediction_hour, hour_is_exact
            FROM (
                SELECT s.ctid AS place, o.prediction_day, o.prediction_hour, o.hour_is_exact
                FROM stage_outcome AS s JOIN nadi_store.outcome AS o ON \(OutcomeMerge.sameOutcome("s", "o"))
                WHERE s.prediction_day = \(OutcomeMerge.unplaced) AND o.prediction_day > \(OutcomeMerge.unplaced)
                UNION ALL
                SELECT s.ctid, o.prediction_day, o.prediction_hour, o.hour_is_exact
                FROM stage_outcome AS s JOIN stage_outcome AS o ON \(OutcomeMerge.sameOutcome("s", "o"))
                WHERE s.prediction_day = \(OutcomeMerge.unplaced) AND o.prediction_day > \(OutcomeMerge.unplaced)
            ) AS u ORDER BY place, hour_is_exact DESC, prediction_hour DESC
        ) AS k
        WHERE s.ctid = k.place
        """

    /// Hints for the hour before or after midnight whose prediction was found on the other day.
    private static let placeAcrossMidnight = """
        UPDATE stage_outcome AS s SET prediction_day = o.prediction_day, prediction_hour = o.prediction_hour, hour_is_exact = true
        FROM nadi_store.outcome AS o
        WHERE o.prediction_day = ANY ($1::date[]) AND NOT s.hour_is_exact AND o.hour_is_exact
          AND \(OutcomeMerge.sameOutcome("s", "o"))
          AND ((extract(hour FROM s.prediction_hour AT TIME ZONE 'UTC') = 0 AND o.prediction_day = s.prediction_day - 1
                AND o.prediction_hour = s.prediction_hour - interval '1 hour')
               OR (extract(hour FROM s.prediction_hour AT TIME ZONE 'UTC') = 23 AND o.prediction_day = s.prediction_day + 1
                   AND o.prediction_hour = s.prediction_hour + interval '1 hour'))
        """

    /// Rows that wait without an hour, of keys whose hour has come: they compete with it.
    private static let takeWaiting = """
        WITH gone AS (
            DELETE FROM nadi_store.outcome AS o USING stage_outcome AS s
            WHERE o.prediction_day = \(OutcomeMerge.unplaced) AND s.prediction_day > \(OutcomeMerge.unplaced)
              AND \(OutcomeMerge.sameOutcome("s", "o"))
            RETURNING s.prediction_day, s.prediction_hour, s.hour_is_exact, \(OutcomeMerge.list(OutcomeMerge.saidColumns, of: "o"))
        )
        INSERT INTO stage_outcome (prediction_day, prediction_hour, hour_is_exact, \(OutcomeMerge.list(OutcomeMerge.saidColumns)))
        SELECT * FROM gone
        """

    /// Predictions that arrive after their outcomes, or in an hour that was joined: it is joined again.
    ///
    /// Of several lines with one prediction id the first joins, so that any new line may change what was joined. What does
    /// not wait for them is no reason to hurry.
    private func stageHoursThatPredictionsChange() throws {
        let rows = batch.rows
        var pairs: Set<[Int64]> = []
        for key in rows.requestHours.keys {
            pairs.insert([batch.models[rows.series[key.series].model], key.time_s * 1000])
        }
        if pairs.isEmpty { return }
        let sorted = pairs.sorted { ($0[0], $0[1]) < ($1[0], $1[1]) }
        try Self.stageHours(models: sorted.map { $0[0] }, hours_ms: sorted.map { $0[1] }, connection)
    }

    /// Stages marks of pairs of model and hour whose predictions changed.
    static func stageHours(models: [Int64], hours_ms: [Int64], _ connection: Connection) throws {
        // No outcome is placed before 1970.
        let days = Set(hours_ms.flatMap { [$0 - LoadClock.hour_ms, $0 + LoadClock.hour_ms].map(LoadClock.day) })
            .filter { $0 >= 0 }
        try connection.query(
            """
            INSERT INTO stage_mark (model_id, hour, waiting)
            SELECT u.model_id, u.hour, CASE WHEN w.waits THEN 1 ELSE 0 END
            FROM unnest($1::int[], $2::timestamptz[]) AS u (model_id, hour)
            LEFT JOIN nadi_store.join_hour AS j ON j.model_id = u.model_id AND j.hour = u.hour
            CROSS JOIN LATERAL (
                SELECT EXISTS (
                    SELECT FROM nadi_store.outcome AS o
                    WHERE o.prediction_day = ANY ($3::date[]) AND o.model_id = u.model_id AND o.unmatched
                      AND o.prediction_hour BETWEEN u.hour - interval '1 hour' AND u.hour + interval '1 hour'
                      AND (o.prediction_hour = u.hour OR NOT o.hour_is_exact)) AS waits) AS w
            WHERE NOT coalesce(j.is_final, false) AND (w.waits OR j.hour IS NOT NULL)
            """, [.integers(models), .times(hours_ms), .texts(days.sorted().map { LoadClock.dayText($0) })])
    }
}
