internal import RecordBatches
internal import TableStorage

/// An hour that may hold predictions that are waited for, and what waits.
struct SweepHour: Sendable {
    let begin_ms: Int64
    /// Outcomes up to this number were looked for in all of it; 0 where it was never read as it is.
    let sweptTo: Int64

    /// The outcomes that a sweep looks for: whose hour nobody knows, or whose id's time was no hint.
    ///
    /// Those of models beyond the cap stand under `other`, while their predictions bear their own model's name: nobody can
    /// find them.
    private static func waiting(_ columns: String, newerThan: Int64 = 0, _ condition: String = "true") -> String {
        let rest = """
            o.outcome_no > \(newerThan) AND \(condition)
            AND o.model_id IS DISTINCT FROM (SELECT m.model_id FROM nadi_store.model AS m WHERE m.model_name = '\(Admission.other)')
            """
        return """
            SELECT \(columns) FROM nadi_store.outcome AS o WHERE o.prediction_day = \(OutcomeMerge.unplaced) AND \(rest)
            UNION ALL
            SELECT \(columns) FROM nadi_store.outcome AS o
            WHERE o.prediction_day > \(OutcomeMerge.unplaced) AND o.unmatched AND NOT o.hour_is_exact AND \(rest)
            """
    }

    static func anyWaits(_ connection: Connection) throws -> Bool {
        try connection.query("SELECT EXISTS (\(waiting("1")))")[0].boolean(0)
    }

    static func count(newerThan: Int64, _ connection: Connection) throws -> Int64 {
        try connection.query("SELECT count(*) FROM (\(waiting("1", newerThan: newerThan))) AS w")[0].integer(0)
    }

    /// The days on which outcomes wait whose id's time was no hint.
    static func days(_ connection: Connection) throws -> [String] {
        try connection.query(
            "SELECT DISTINCT prediction_day::text FROM nadi_store.outcome AS o WHERE o.unmatched AND NOT o.hour_is_exact"
        ).rows.map { $0.text(0) }
    }

    /// Adds the ids of a part: all of one id are in the same.
    static func fill(
        _ ids: PredictionIDs, newerThan: Int64, part: Int64, of parts: Int64, _ connection: Connection
    ) throws {
        let condition = "(hashtextextended(o.prediction_id, 0) & 2147483647) % \(parts) = \(part)"
        try connection.copyOut(
            waiting("o.model_id, o.prediction_id", newerThan: newerThan, parts > 1 ? condition : "true"), columns: 2
        ) { row in
            let model = row.int()
            ids.add(model: model, predictionID: row.textBytes())
        }
    }

    /// Hours of the sweep that is under way with predictions of models that wait, in which something was not looked for,
    /// newest first; and how many outcomes wait.
    ///
    /// A prediction is made within `label_days` before the arrival of its outcome, or with this; where the id bears a time,
    /// hardly a day before it. The segments of an hour are counted once its turn has come.
    static func next(
        labelDays: Int64, limit: Int, _ connection: Connection
    ) throws -> (hours: [SweepHour], ids: Int64) {
        let rows = try connection.query(
            """
            WITH window_of AS MATERIALIZED (
                SELECT model_id, greatest(arrival_day - $1::int, prediction_day - 1)::timestamp AT TIME ZONE 'UTC' AS first,
                       (arrival_day + 2)::timestamp AT TIME ZONE 'UTC' AS last, max(outcome_no) AS newest, count(*) AS n
                FROM (\(waiting("o.model_id, o.arrival_day, o.prediction_day, o.outcome_no"))) AS w
                WHERE outcome_no <= (SELECT outcome_to FROM nadi_store.sweep) GROUP BY 1, 2, 3
            ), hour_of AS (
                SELECT DISTINCT s.model_id, r.hour
                FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s USING (series_id)
                WHERE s.slice_key = 'all' AND s.model_id IN (SELECT model_id FROM window_of)
                  AND r.hour >= (SELECT min(first) FROM window_of)
                  AND r.hour < (SELECT least(max(last), (SELECT next_before FROM nadi_store.sweep)) FROM window_of)
                  AND NOT EXISTS (SELECT FROM nadi_store.join_hour AS j
                                  WHERE j.model_id = s.model_id AND j.hour = r.hour AND j.is_final)
            ), wanted AS MATERIALIZED (
                SELECT h.hour, max(w.newest) AS newest
                FROM hour_of AS h JOIN window_of AS w ON w.model_id = h.model_id AND h.hour >= w.first AND h.hour < w.last
                GROUP BY 1
            )
            SELECT w.hour, k.swept_to, (SELECT sum(n) FROM window_of)::bigint
            FROM (SELECT hour, newest FROM wanted ORDER BY hour DESC) AS w
            CROSS JOIN LATERAL (
                SELECT coalesce((
                    SELECT s.swept_to FROM nadi_store.swept_hour AS s
                    WHERE s.hour = w.hour AND (s.segments, s.segment_sum) = (
                        SELECT count(*), coalesce(sum(h.segment_id), 0) FROM nadi_store.segment_hour AS h
                        WHERE h.hour = w.hour AND h.event_type = 'prediction')), 0) AS swept_to OFFSET 0) AS k
            WHERE w.newest > k.swept_to ORDER BY w.hour DESC LIMIT $2
            """, [.integer(labelDays), .integer(Int64(limit))]
        ).rows
        return (rows.map { SweepHour(begin_ms: $0.time(0), sweptTo: $0.integer(1)) }, rows.first?.integer(2) ?? 0)
    }
}
