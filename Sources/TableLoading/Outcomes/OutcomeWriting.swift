internal import EventSegments
internal import RecordBatches
internal import TableStorage

/// Writes a batch's outcome and feedback rows: the newest of a prediction id and name wins, the others are counted as
/// superseded under their day of arrival; changed hours are marked dirty.
///
/// The caller holds the outcome locks of the batch's models, so that no other loader writes their rows.
struct OutcomeWriting {
    let connection: Connection
    let batch: AdmittedAggregates
    /// `segment_id` by place in the aggregates' segments.
    let segments: [Int64]
    /// Days after its prediction's hour within which a label is joined.
    let labelDays: Int64

    static let columns = [
        "model_id", "event_type", "name", "prediction_id", "revision", "event_time", "event_id", "label_text",
        "label_number", "value", "value_currency", "score", "prediction_hour", "hour_is_exact", "arrival_day",
        "segment_id", "line",
    ]

    func write() throws {
        if !batch.rows.outcomes.isEmpty {
            try stage()
            try connection.query(Self.countArrivals)
            try connection.query(
                LateLabels.count("DELETE FROM stage_outcome AS o WHERE \(LateLabels.isLate("o", days: "$1"))"),
                [.integer(labelDays)])
            try connection.query(Self.dropRepeats)
            try connection.query(Self.dropOlder)
            try connection.query(Self.countReplaced)
            try connection.query(Self.markReplaced)
            try connection.query(Self.upsert)
            try connection.query(Self.markNew)
        }
        try stageHoursWithWaitingLabels()
    }

    /// Marks the hours of all rows written in the transaction, in one sorted statement, so that two loaders never wait for
    /// each other in a circle.
    static func markHours(_ connection: Connection) throws {
        try connection.query(
            DirtyMarks.insert("SELECT model_id, hour, sum(waiting)::bigint FROM stage_mark GROUP BY 1, 2"))
    }

    private func stage() throws {
        let rows = batch.rows
        var writer = try connection.copy(into: "stage_outcome", columns: Self.columns)
        for row in rows.outcomes {
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
            writer.append(time: row.predictionHour_s.map { $0 * 1000 })
            writer.append(row.predictionTimeIsExact && row.predictionTime_ms != nil)
            writer.append(LoadClock.dayText(rows.segments[row.segment].segment.sealed_ms))
            writer.append(segments[row.segment])
            writer.append(row.line)
            try writer.endRow()
        }
        try writer.finish()
    }

    /// What decides between two rows of one key: revision, event time, event id; then, so that the order of loading
    /// does not matter, the earlier arrival and the content.
    private static func rank(_ row: String) -> String {
        """
        \(row).revision, \(row).event_time, \(row).event_id COLLATE "C", -(\(row).arrival_day - DATE '2000-01-01'),
        coalesce(\(row).label_text, '') COLLATE "C", coalesce(\(row).label_number, '-Infinity'),
        coalesce(\(row).value, '-Infinity'), coalesce(\(row).score, '-Infinity')
        """
    }

    private static let sameKey = """
        s.model_id = o.model_id AND s.event_type = o.event_type AND s.name = o.name
        AND s.prediction_id = o.prediction_id
        """

    static let countArrivals = """
        INSERT INTO nadi_store.outcome_arrival AS a (arrival_day, event_type, model_id, lines)
        SELECT arrival_day, event_type, model_id, count(*) FROM stage_outcome GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (arrival_day, event_type, model_id) DO UPDATE SET lines = a.lines + EXCLUDED.lines
        """

    private static func supersede(_ gone: String) -> String {
        """
        \(gone), counted AS (
            SELECT arrival_day, event_type, model_id, count(*) AS n FROM gone GROUP BY 1, 2, 3
        )
        UPDATE nadi_store.outcome_arrival AS a SET superseded = a.superseded + c.n FROM counted AS c
        WHERE a.arrival_day = c.arrival_day AND a.event_type = c.event_type AND a.model_id = c.model_id
        """
    }

    static let dropRepeats = supersede(
        """
        WITH ranked AS (
            SELECT s.ctid AS place, row_number() OVER (PARTITION BY s.model_id, s.event_type, s.name, s.prediction_id
                ORDER BY ROW(\(rank("s"))) DESC, s.segment_id DESC, s.line DESC) AS number
            FROM stage_outcome AS s
        ), gone AS (
            DELETE FROM stage_outcome AS s USING ranked AS r WHERE s.ctid = r.place AND r.number > 1
            RETURNING s.arrival_day, s.event_type, s.model_id
        )
        """)

    static let dropOlder = supersede(
        """
        WITH gone AS (
            DELETE FROM stage_outcome AS s USING nadi_store.outcome AS o
            WHERE \(sameKey) AND NOT ROW(\(rank("s"))) > ROW(\(rank("o")))
            RETURNING s.arrival_day, s.event_type, s.model_id
        )
        """)

    static let countReplaced = supersede(
        """
        WITH gone AS (
            SELECT o.arrival_day, o.event_type, o.model_id
            FROM stage_outcome AS s JOIN nadi_store.outcome AS o ON \(sameKey)
        )
        """)

    /// Labels alone are joined; other outcomes and feedback are read from their rows.
    private static let isLabel = "event_type = 'outcome' AND s.name = 'label'"

    static let markReplaced = """
        INSERT INTO stage_mark (model_id, hour, waiting)
        SELECT o.model_id, o.joined_hour, count(*)
        FROM stage_outcome AS s JOIN nadi_store.outcome AS o ON \(sameKey)
        WHERE o.joined_hour IS NOT NULL AND s.\(isLabel)
        GROUP BY 1, 2
        """

    static let upsert = """
        INSERT INTO nadi_store.outcome AS o (\(columns.joined(separator: ", ")), checksum)
        SELECT \(columns.joined(separator: ", ")), \(checksum) FROM stage_outcome
        ORDER BY model_id, event_type, name, prediction_id
        ON CONFLICT (model_id, event_type, name, prediction_id) DO UPDATE SET
        \(columns.dropFirst(4).filter { !hourColumns.contains($0) }.map { "\($0) = EXCLUDED.\($0)" }
            .joined(separator: ", ")),
        prediction_hour = coalesce(EXCLUDED.prediction_hour, o.joined_hour, o.prediction_hour),
        hour_is_exact = CASE WHEN EXCLUDED.prediction_hour IS NULL THEN o.joined_hour IS NOT NULL OR o.hour_is_exact
                             ELSE EXCLUDED.hour_is_exact END,
        joined_hour = NULL, hint_tried = false, checksum = EXCLUDED.checksum
        """

    /// The checksum of what the event said: all columns but those that joining changes.
    static let checksum = """
        hash_record_extended(ROW(\(columns.filter { !hourColumns.contains($0) }.joined(separator: ", "))), 0)
        """

    /// A correction without a time keeps the hour that was found for what it corrects.
    private static let hourColumns = ["prediction_hour", "hour_is_exact"]

    static let markNew = """
        INSERT INTO stage_mark (model_id, hour, waiting)
        SELECT s.model_id, s.prediction_hour, count(*) FROM stage_outcome AS s
        WHERE s.prediction_hour IS NOT NULL AND s.\(isLabel)
        GROUP BY 1, 2
        """

    /// Predictions that arrive after their labels: their hours are joined again.
    private func stageHoursWithWaitingLabels() throws {
        let rows = batch.rows
        var pairs: Set<[Int64]> = []
        for key in rows.requestHours.keys {
            pairs.insert([batch.models[rows.series[key.series].model], key.time_s * 1000])
        }
        if pairs.isEmpty { return }
        let sorted = pairs.sorted { ($0[0], $0[1]) < ($1[0], $1[1]) }
        try connection.query(
            """
            INSERT INTO stage_mark (model_id, hour, waiting)
            SELECT u.model_id, u.hour, 1 FROM unnest($1::int[], $2::timestamptz[]) AS u (model_id, hour)
            WHERE EXISTS (SELECT FROM nadi_store.outcome AS s
                          WHERE s.model_id = u.model_id AND s.joined_hour IS NULL AND s.\(Self.isLabel)
                            AND (s.prediction_hour = u.hour OR (NOT s.hour_is_exact AND s.prediction_hour BETWEEN
                                 u.hour - interval '1 hour' AND u.hour + interval '1 hour')))
            """, [.integers(sorted.map { $0[0] }), .times(sorted.map { $0[1] })])
    }
}
