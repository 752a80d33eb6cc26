internal import EventSegments
internal import ObjectStorage
internal import RecordBatches
internal import TableStorage

/// Looks everywhere for the predictions of outcomes that carry neither a time nor a time-bearing id, or whose hint failed: at
/// most once a day, newest hour first, all waiting ids at once.
///
/// An hour is read only where it may hold something that was not looked for: outcomes newer than its last sweep, or segments
/// that came since. Memory is 32 bytes for each id; beyond ``idsAtATime`` the hours are read as often as it takes.
struct OutcomeSweep: Sendable {
    let loader: Loader
    /// Most ids that are looked for in one reading.
    let idsAtATime: Int64

    init(_ loader: Loader, idsAtATime: Int64 = 8_000_000) {
        self.loader = loader
        self.idsAtATime = idsAtATime
    }

    /// What one sweep did.
    struct Report: Sendable {
        /// Hours whose objects were read, newest first; again for each part of the ids.
        var hours_ms: [Int64] = []
        /// Predictions that were found.
        var found = 0
    }

    /// An hour that may hold predictions that are waited for.
    struct Hour: Sendable {
        let begin_ms: Int64
        /// Outcomes up to this number were looked for in all of it.
        let sweptTo: Int64
    }

    /// Sweeps if a day has passed since the last one.
    func runIfDue(now_ms: Int64) async throws {
        let last = try await loader.side.run { connection in
            try connection.query("SELECT at FROM nadi_store.loader_state WHERE name = 'swept'").first?.time(0)
        }
        if now_ms - (last ?? 0) >= LoadClock.day_ms { _ = try await run() }
    }

    /// Sweeps now.
    /// - Throws: `StorageError`, `DatabaseError`; what was found before is kept.
    @discardableResult
    func run() async throws -> Report {
        var report = Report()
        let labelDays = loader.settings.retention.labelDays
        let waits = try await loader.side.runWithRetries { connection in
            try connection.query(
                "SELECT EXISTS (\(Self.waiting("1", newerThan: 0)))")[0].boolean(0)
        }
        if !waits { return report }
        let (to, hours) = try await loader.side.runWithRetries { connection in
            // The number first: what is written later is newer, and what is loaded later changes an hour's segments.
            let to = try HourLocks.settledOutcomeNumber(connection)
            return (to, try Self.hours(labelDays: labelDays, connection))
        }
        // What was never swept is looked through for everything, the rest for what is new.
        for group in [hours.filter { $0.sweptTo == 0 }, hours.filter { $0.sweptTo > 0 }] where !group.isEmpty {
            try await sweep(group, newerThan: group.map(\.sweptTo).min() ?? 0, to: to, &report)
        }
        try await loader.side.runWithRetries { connection in
            _ = try connection.query(
                """
                INSERT INTO nadi_store.loader_state (name, at, value) VALUES ('swept', now(), $1)
                ON CONFLICT (name) DO UPDATE SET at = now(), value = EXCLUDED.value
                """, [.text(String(to))])
        }
        return report
    }

    private func sweep(_ hours: [Hour], newerThan: Int64, to: Int64, _ report: inout Report) async throws {
        let (models, count) = try await loader.side.runWithRetries { connection in
            (
                Dictionary(
                    try connection.query("SELECT model_name, model_id FROM nadi_store.model").rows.map {
                        ($0.text(0), $0.integer(1))
                    }, uniquingKeysWith: { first, _ in first }),
                try connection.query(
                    "SELECT count(*) FROM (\(Self.waiting("1", newerThan: newerThan))) AS w")[0].integer(0)
            )
        }
        let parts = max(1, (count + idsAtATime - 1) / idsAtATime)
        var swept: [Int64: [Int64]] = [:]
        var passedOver: Set<Int64> = []
        for part in 0..<parts {
            let finder = loader.makeFinder(models, Int(count / parts + 1))
            try await loader.side.runWithRetries { connection in
                let condition = "(hashtextextended(o.prediction_id, 0) & 2147483647) % \(parts) = \(part)"
                try connection.copyOut(
                    Self.waiting("o.model_id, o.prediction_id", newerThan: newerThan, condition), columns: 2
                ) { row in
                    let model = row.int()
                    finder.finder.add(model: model, predictionID: row.textBytes())
                }
            }
            for hour in hours where !passedOver.contains(hour.begin_ms) {
                if finder.finder.waiting == 0 { break }
                let segments = try await loader.side.runWithRetries {
                    try HourSources.segments(hour_ms: hour.begin_ms, type: "prediction", $0)
                }
                report.hours_ms.append(hour.begin_ms)
                do {
                    report.found += try await read(hour.begin_ms, segments, finder)
                } catch let error as LoadError {
                    passedOver.insert(hour.begin_ms)
                    loader.progress("sweep passes over hour \(LoadClock.hourText(hour.begin_ms)): \(error)")
                    continue
                } catch let error as ObjectError {
                    passedOver.insert(hour.begin_ms)
                    loader.progress("sweep passes over hour \(LoadClock.hourText(hour.begin_ms)): \(error)")
                    continue
                }
                // What the first part has seen: what came since is there for the next sweep.
                if part == 0 { swept[hour.begin_ms] = segments.map(\.id) }
                if part == parts - 1, let seen = swept[hour.begin_ms] { try await remember(hour.begin_ms, seen, to) }
            }
        }
    }

    private func read(_ hour_ms: Int64, _ segments: [HourSources.Segment], _ lent: LentFinder) async throws -> Int {
        let finder = lent.finder
        finder.look(atHour: hour_ms / 1000)
        var count = 0
        try await HourSources.read(segments, store: loader.store, formats: loader.formats) { object, _, places, _ in
            let wanted = Set(places)
            try finder.read(object) { wanted.contains($0) }
            let found = finder.take()
            if found.isEmpty { return }
            count += found.count
            try await self.record(found, hour_ms)
        }
        return count
    }

    private func remember(_ hour_ms: Int64, _ segments: [Int64], _ to: Int64) async throws {
        try await loader.side.runWithRetries { connection in
            _ = try connection.query(
                """
                INSERT INTO nadi_store.swept_hour AS h (hour, swept_to, segments, segment_sum)
                SELECT $1, $2, count(*), coalesce(sum(s), 0) FROM unnest($3::bigint[]) AS s
                ON CONFLICT (hour) DO UPDATE SET swept_to = EXCLUDED.swept_to, segments = EXCLUDED.segments,
                    segment_sum = EXCLUDED.segment_sum, swept_at = now()
                """, [.time(hour_ms), .integer(to), .integers(segments)])
        }
    }

    /// The outcomes that a sweep looks for: whose hour nobody knows, or whose id's time was no hint.
    private static func waiting(_ columns: String, newerThan: Int64, _ condition: String = "true") -> String {
        """
        SELECT \(columns) FROM nadi_store.outcome AS o
        WHERE o.prediction_day = \(OutcomeMerge.unplaced) AND o.outcome_no > \(newerThan) AND \(condition)
        UNION ALL
        SELECT \(columns) FROM nadi_store.outcome AS o
        WHERE o.prediction_day > \(OutcomeMerge.unplaced) AND o.unmatched AND NOT o.hour_is_exact
          AND o.outcome_no > \(newerThan) AND \(condition)
        """
    }

    /// Hours with predictions of models that wait, in which something was not looked for, newest first.
    ///
    /// A prediction is made within `label_days` before the arrival of its outcome, or with this; where the id bears a time,
    /// hardly a day before it.
    static func hours(labelDays: Int64, _ connection: Connection) throws -> [Hour] {
        try connection.query(
            """
            WITH window_of AS MATERIALIZED (
                SELECT model_id, greatest(arrival_day - $1::int, prediction_day - 1)::timestamp AT TIME ZONE 'UTC' AS first,
                       (arrival_day + 2)::timestamp AT TIME ZONE 'UTC' AS last, max(outcome_no) AS newest
                FROM (\(waiting("o.model_id, o.arrival_day, o.prediction_day, o.outcome_no", newerThan: 0))) AS w
                GROUP BY 1, 2, 3
            ), hour_of AS (
                SELECT DISTINCT s.model_id, r.hour
                FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s USING (series_id)
                WHERE s.slice_key = 'all' AND s.model_id IN (SELECT model_id FROM window_of)
                  AND r.hour >= (SELECT min(first) FROM window_of) AND r.hour < (SELECT max(last) FROM window_of)
                  AND NOT EXISTS (SELECT FROM nadi_store.join_hour AS j
                                  WHERE j.model_id = s.model_id AND j.hour = r.hour AND j.is_final)
            ), wanted AS (
                SELECT h.hour, max(w.newest) AS newest
                FROM hour_of AS h JOIN window_of AS w ON w.model_id = h.model_id AND h.hour >= w.first AND h.hour < w.last
                GROUP BY 1
            ), known AS (
                SELECT w.hour, w.newest, CASE WHEN s.segments = g.n AND s.segment_sum = g.total THEN s.swept_to ELSE 0 END AS swept_to
                FROM wanted AS w LEFT JOIN nadi_store.swept_hour AS s USING (hour)
                CROSS JOIN LATERAL (
                    SELECT count(*) AS n, coalesce(sum(h.segment_id), 0) AS total FROM nadi_store.segment_hour AS h
                    WHERE h.hour = w.hour AND h.event_type = 'prediction') AS g
            )
            SELECT hour, swept_to FROM known WHERE newest > swept_to ORDER BY hour DESC
            """, [.integer(labelDays)]
        ).rows.map { Hour(begin_ms: $0.time(0), sweptTo: $0.integer(1)) }
    }

    /// The hour of these predictions is known now; the next pass joins their outcomes.
    ///
    /// Those that came too late for it are counted as such.
    private func record(_ found: [PredictionFinder.Found], _ hour_ms: Int64) async throws {
        let labelDays = loader.settings.retention.labelDays
        try await loader.database.runWithRetries { connection in
            try connection.execute(OutcomeMerge.createStages)
            try connection.execute(
                "CREATE TEMP TABLE IF NOT EXISTS stage_found (model_id int, prediction_id text COLLATE \"C\") ON COMMIT DELETE ROWS")
            try connection.transaction {
                try HourLocks.takeOutcomes(models: Set(found.map(\.model)), connection)
                var writer = try connection.copy(into: "stage_found", columns: ["model_id", "prediction_id"])
                for one in found {
                    writer.append(one.model)
                    writer.append(one.predictionID)
                    try writer.endRow()
                }
                try writer.finish()
                let days = try connection.query(
                    "SELECT DISTINCT prediction_day::text FROM nadi_store.outcome AS o WHERE o.unmatched AND NOT o.hour_is_exact"
                ).rows.map { $0.text(0) }
                try OutcomeMoves.take(
                    """
                    DELETE FROM nadi_store.outcome AS o USING stage_found AS f
                    WHERE o.prediction_day = ANY ($1::date[]) AND o.model_id = f.model_id AND o.prediction_id = f.prediction_id
                      AND (o.prediction_hour IS NULL OR (o.unmatched AND NOT o.hour_is_exact))
                    """, to: hour_ms, connection, [.texts(days + ["0001-01-01"])])
                try connection.query(
                    LateLabels.count("DELETE FROM stage_outcome AS o WHERE \(LateLabels.isLate("o", days: "$1"))"),
                    [.integer(labelDays)])
                try OutcomeMerge(connection: connection).run(numbers: .new)
                try OutcomeWriting.markHours(connection)
            }
        }
    }
}
