internal import EventSegments
internal import ObjectStorage
internal import RecordBatches
internal import TableStorage

/// Finds the hours of labels that carry neither a time nor a time-bearing id: newest hour first, all waiting ids at
/// once, at most once a day.
struct OutcomeSweep: Sendable {
    let loader: Loader

    init(_ loader: Loader) { self.loader = loader }

    /// Sweeps if a day has passed since the last one.
    func runIfDue(now_ms: Int64) async throws {
        let last = try await loader.side.run { connection in
            try connection.query("SELECT at FROM nadi_store.loader_state WHERE name = 'swept'").first?.time(0)
        }
        if now_ms - (last ?? 0) >= LoadClock.day_ms { try await run() }
    }

    /// Sweeps now.
    func run() async throws {
        let (outcomes, hours) = try await loader.side.run { connection in
            (try Self.waiting(connection), try Self.hours(connection))
        }
        if outcomes.isEmpty { return }
        var left = outcomes
        for hour in hours {
            if left.isEmpty { break }
            let segments = try await loader.side.run {
                try HourSources.segments(hour_ms: hour, type: "prediction", $0)
            }
            let joiner = loader.makeJoiner(left.map(\.waiting), [hour / 1000])
            do {
                try await HourSources.read(segments, store: loader.store, formats: loader.formats) {
                    _, bytes, places, _ in
                    let wanted = Set(places)
                    var place = -1
                    try joiner.add(bytes) { _ in
                        place += 1
                        return wanted.contains(place)
                    }
                }
            } catch let error as LoadError {
                loader.progress("sweep passes over hour \(LoadClock.hourText(hour)): \(error)")
                continue
            } catch let error as ObjectError {
                loader.progress("sweep passes over hour \(LoadClock.hourText(hour)): \(error)")
                continue
            }
            let found = joiner.result().joined.map(\.outcome)
            if found.isEmpty { continue }
            let matched = found.map { left[$0] }
            try await record(matched, hour)
            let gone = Set(found)
            left = left.enumerated().filter { !gone.contains($0.offset) }.map(\.element)
        }
        try await loader.side.run { connection in
            _ = try connection.query(
                """
                INSERT INTO nadi_store.loader_state (name, at) VALUES ('swept', now())
                ON CONFLICT (name) DO UPDATE SET at = now()
                """)
        }
    }

    private static func waiting(_ connection: Connection) throws -> [JoinedOutcome] {
        try connection.query(
            """
            SELECT o.model_id, m.model_name, o.prediction_id, o.event_time, o.label_text, o.label_number,
                   o.segment_id, o.line
            FROM nadi_store.outcome AS o JOIN nadi_store.model AS m USING (model_id)
            WHERE o.event_type = 'outcome' AND o.name = 'label' AND o.joined_hour IS NULL
              AND (o.prediction_hour IS NULL OR (NOT o.hour_is_exact AND o.hint_tried))
            ORDER BY o.model_id, o.prediction_id
            """
        ).rows.map { row in
            JoinedOutcome(
                model: row.integer(0), predictionID: row.text(2), segment: row.integer(6), line: row.integer(7),
                waiting: WaitingOutcome(
                    model: row.text(1), predictionID: row.text(2), type: .outcome, name: "label", time_ms: row.time(3),
                    labelText: row.optionalText(4), labelNumber: row.optionalReal(5)))
        }
    }

    private static func hours(_ connection: Connection) throws -> [Int64] {
        try connection.query(
            """
            SELECT DISTINCT hour FROM nadi_store.segment_hour WHERE event_type = 'prediction' ORDER BY hour DESC
            """
        ).rows.map { $0.time(0) }
    }

    /// The hour of these labels is known now; the next pass joins it.
    ///
    /// Those that came too late for it are counted as such.
    private func record(_ outcomes: [JoinedOutcome], _ hour: Int64) async throws {
        let labelDays = loader.settings.retention.labelDays
        try await loader.database.run { connection in
            try connection.transaction {
                try HourLocks.takeOutcomes(models: outcomes.map(\.model), connection)
                try connection.query(
                    """
                    WITH known AS MATERIALIZED (
                        UPDATE nadi_store.outcome AS o SET prediction_hour = $1, hour_is_exact = true
                        FROM unnest($2::int[], $3::text[], $4::bigint[], $5::bigint[]) AS u (model, id, segment, line)
                        WHERE o.model_id = u.model AND o.prediction_id = u.id AND o.segment_id = u.segment
                          AND o.line = u.line AND o.event_type = 'outcome' AND o.name = 'label'
                        RETURNING o.model_id
                    )
                    \(DirtyMarks.insert("SELECT model_id, $1::timestamptz, count(*) FROM known GROUP BY 1"))
                    """,
                    [
                        .time(hour), .integers(outcomes.map(\.model)), .texts(outcomes.map(\.predictionID)),
                        .integers(outcomes.map(\.segment)), .integers(outcomes.map(\.line)),
                    ])
                try connection.query(
                    LateLabels.count(
                        """
                        DELETE FROM nadi_store.outcome AS o
                        WHERE o.model_id = ANY ($2::int[]) AND o.prediction_hour = $3 AND o.joined_hour IS NULL
                          AND \(LateLabels.isLate("o", days: "$1"))
                        """), [.integer(labelDays), .integers(outcomes.map(\.model)), .time(hour)])
            }
        }
    }
}
