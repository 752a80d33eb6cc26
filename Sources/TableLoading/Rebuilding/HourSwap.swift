internal import EventSegments
internal import RecordBatches
internal import TableStorage

/// Replaces an hour's rows by newly derived ones under the hour's and the day's exclusive locks.
struct HourSwap {
    let hour_ms: Int64
    /// The hour's segments in the ledger when it was read, ascending.
    let expected: [Int64]
    let aggregates: Aggregates
    /// `segment_id` by place in the aggregates' segments.
    let segments: [Int64]
    let retention: Retention
    let caps: LoadSettings.Caps

    /// Swaps; returns true.
    /// - Throws: ``LoadError`` with ``LoadError/Code/overtaken`` if the hour's segments changed since they were read, or
    ///   another reference was put in force.
    func run(_ connection: Connection) throws -> Bool {
        let admitted = try Admission(caps).admit(aggregates, connection)
        try connection.execute(MergeStatements.createStages)
        let now = try LoadClock.now_ms(connection)
        if hour_ms >= retention.firstMinuteDay(now_ms: now) {
            try retention.ensurePartitions(of: "request_minute", days_ms: [LoadClock.day(hour_ms)], connection)
            try retention.ensurePartitions(of: "resource_minute", days_ms: [LoadClock.day(hour_ms)], connection)
        }
        let sealed = aggregates.segments.lazy.filter { !$0.rejectLines.isEmpty }.map { $0.segment.sealed_ms }
        try retention.ensurePartitions(
            of: "reject_line",
            days_ms: Set(sealed.map(LoadClock.day)).filter { $0 >= retention.firstMinuteDay(now_ms: now) }, connection)
        return try connection.transaction {
            try HourLocks.take(hour_ms, connection)
            guard try HourSources.segments(hour_ms: hour_ms, connection).map(\.id) == expected else {
                throw LoadError(.overtaken, "the hour's segments changed while they were read")
            }
            let hour = SQLValue.time(hour_ms)
            let models = try DriftMarks.models(hour_ms: hour_ms, connection)
            for table in ["request_minute", "resource_minute"] {
                try connection.query(
                    "DELETE FROM nadi_store.\(table) WHERE minute >= $1 AND minute < $1 + interval '1 hour'", [hour])
            }
            for table in ["request_hour", "feature_hour", "score_hour", "resource_hour"] {
                try connection.query("DELETE FROM nadi_store.\(table) WHERE hour = $1", [hour])
            }
            try Staging(
                connection: connection, batch: admitted,
                firstMinute_s: retention.firstMinuteDay(now_ms: now) / 1000
            ).merge(withDays: false)
            for table in ["request", "feature", "score"] {
                try connection.query(
                    "SELECT nadi_store.derive_\(table)_day($1)", [.time(LoadClock.day(hour_ms))])
            }
            try HourEdgeSets.replace(admitted, hour_ms: hour_ms, connection)
            try replaceLedger(connection)
            try connection.query(
                "DELETE FROM nadi_store.reject_line WHERE segment_id = ANY ($1::bigint[])", [.integers(segments)])
            try BatchCommit.copyRejectLines(
                aggregates.segments, segments, first_ms: retention.firstMinuteDay(now_ms: now), connection)
            try replaceDeployments(admitted, connection)
            try DriftMarks.insert(
                DriftMarks.hours(admitted).union(models.map { ModelHour(model: $0, hour_ms: hour_ms) }), connection)
            try connection.query(DirtyMarks.insert(Self.withOutcomes), [hour])
            // Its predictions may be others: what waits is looked for among them again.
            try connection.query("DELETE FROM nadi_store.swept_hour WHERE hour = $1", [hour])
            return true
        }
    }

    /// Models with outcomes that are or may be the hour's, unless these have aged out.
    private static let withOutcomes = """
        SELECT m.model_id, $1::timestamptz, 1 FROM nadi_store.model AS m
        WHERE NOT EXISTS (SELECT FROM nadi_store.join_hour AS j WHERE j.model_id = m.model_id AND j.hour = $1 AND j.is_final)
          AND (EXISTS (SELECT FROM nadi_store.outcome AS o WHERE o.model_id = m.model_id AND o.prediction_hour = $1)
               OR EXISTS (SELECT FROM nadi_store.outcome AS o
                          WHERE o.model_id = m.model_id AND o.unmatched AND NOT o.hour_is_exact AND o.prediction_hour
                              IN ($1::timestamptz - interval '1 hour', $1::timestamptz + interval '1 hour'))
               OR EXISTS (SELECT FROM nadi_store.join_hour AS j WHERE j.model_id = m.model_id AND j.hour = $1))
        """

    /// Lines per type of the hour, and what was rejected, as they are now.
    ///
    /// Which mapping was applied is recorded once all
    /// hours are swapped.
    private func replaceLedger(_ connection: Connection) throws {
        // A segment has lines in hours of other days, whose swap holds other locks: its rows belong to one swap at a time.
        try connection.query(
            "SELECT FROM nadi_store.segment WHERE segment_id = ANY ($1::bigint[]) ORDER BY segment_id FOR NO KEY UPDATE",
            [.integers(segments)])
        try connection.query(
            "DELETE FROM nadi_store.segment_hour WHERE hour = $1 AND segment_id = ANY ($2::bigint[])",
            [.time(hour_ms), .integers(segments)])
        try connection.query(
            "DELETE FROM nadi_store.segment_reject WHERE segment_id = ANY ($1::bigint[])", [.integers(segments)])
        var hours: [(Int64, String, Int64)] = []
        var rejects: [(segment: Int64, reason: String, lines: Int64, kept: Int64)] = []
        let first_ms = retention.firstMinuteDay(now_ms: LoadClock.now_ms())
        for (result, segment) in zip(aggregates.segments, segments) {
            for (key, lines) in result.hours where key.hour_s * 1000 == hour_ms && lines > 0 {
                hours.append((segment, key.type.rawValue, lines))
            }
            for (reason, lines) in result.rejects where lines > 0 {
                let kept = BatchCommit.keptLines(result, reason, first_ms: first_ms)
                rejects.append((segment, reason.rawValue, lines, kept))
            }
        }
        try connection.query(
            """
            INSERT INTO nadi_store.segment_hour (segment_id, hour, event_type, lines, object_sealed_at)
            SELECT u.s, $1, t, n, g.object_sealed_at FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS u (s, t, n)
            JOIN nadi_store.segment AS g ON g.segment_id = u.s
            """,
            [.time(hour_ms), .integers(hours.map(\.0)), .texts(hours.map(\.1)), .integers(hours.map(\.2))])
        try connection.query(
            """
            INSERT INTO nadi_store.segment_reject (segment_id, reason, lines, kept_lines, object_sealed_at)
            SELECT u.s, r, n, k, g.object_sealed_at
            FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) AS u (s, r, n, k)
            JOIN nadi_store.segment AS g ON g.segment_id = u.s
            """,
            [
                .integers(rejects.map(\.segment)), .texts(rejects.map(\.reason)), .integers(rejects.map(\.lines)),
                .integers(rejects.map(\.kept)),
            ])
        try connection.query(
            """
            UPDATE nadi_store.segment AS s
            SET rejected_lines = u.rejected, loaded_lines = s.lines - u.rejected
            FROM unnest($1::bigint[], $2::bigint[]) AS u (id, rejected)
            WHERE s.segment_id = u.id
            """, [.integers(segments), .integers(aggregates.segments.map(\.rejectedLines))])
    }

    private func replaceDeployments(_ admitted: AdmittedAggregates, _ connection: Connection) throws {
        let rows = admitted.rows.deployments.filter { LoadClock.hour($0.time_ms) == hour_ms }
        try connection.query(
            """
            DELETE FROM nadi_store.deployment WHERE segment_id = ANY ($1::bigint[])
              AND ((deployed_at >= $2 AND deployed_at < $2 + interval '1 hour')
                   OR (segment_id, line) IN (SELECT * FROM unnest($3::bigint[], $4::bigint[])))
            """,
            // A changed mapping may have moved a line here from an hour whose turn comes later.
            [
                .integers(segments), .time(hour_ms), .integers(rows.map { segments[$0.segment] }),
                .integers(rows.map { Int64($0.line) }),
            ])
        try BatchCommit.copyDeployments(rows, admitted, segments, connection)
    }
}
