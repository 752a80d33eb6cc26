internal import EventSegments
internal import ObjectStorage
internal import RecordBatches
internal import TableStorage

/// Joins labels with their predictions, hour by hour: reads a dirty hour's objects again and replaces its outcomes.
///
/// An hour's turn comes when enough labels wait or the oldest has waited long enough, so that a trickle does not read
/// the archive all day.
struct JoinPass: Sendable {
    let loader: Loader

    init(_ loader: Loader) { self.loader = loader }

    /// One hour and the models whose outcomes changed, with their marks when they were read.
    struct DirtyHour: Sendable {
        let hour_ms: Int64
        var models: [(id: Int64, name: String, marks: Int64)] = []
    }

    /// Joins what is due, or all that is dirty; returns how many hours.
    func run(everything: Bool) async throws -> Int {
        var joined = 0
        // Hints that fail mark their neighbours: three rounds reach them.
        for _ in 0..<(everything ? 3 : 1) {
            let due = try await dueHours(everything: everything)
            if due.isEmpty { break }
            for hour in due {
                do {
                    try await join(hour)
                    joined += 1
                } catch let error as LoadError where error.code == .closedHour {
                    try await close(hour)
                } catch let error as ObjectError {
                    loader.progress("hour \(LoadClock.hourText(hour.hour_ms)): \(error)")
                }
                loader.progress("joined \(joined) hours")
            }
        }
        return joined
    }

    private func dueHours(everything: Bool) async throws -> [DirtyHour] {
        let join = loader.settings.join
        return try await loader.side.run { connection in
            let rows = try connection.query(
                """
                SELECT d.hour, d.model_id, m.model_name, d.marks
                FROM nadi_store.dirty_hour AS d JOIN nadi_store.model AS m USING (model_id)
                WHERE $1 OR d.since <= now() - $2::bigint * interval '1 second'
                   OR d.waiting >= $3::float8 * (
                        SELECT sum(r.predictions) FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s
                        USING (series_id) WHERE s.model_id = d.model_id AND s.slice_key = 'all' AND r.hour = d.hour)
                ORDER BY d.hour DESC, d.model_id
                """, [.boolean(everything), .integer(join.age_s), .real(join.share)]
            ).rows
            var hours: [DirtyHour] = []
            for row in rows {
                if hours.last?.hour_ms != row.time(0) {
                    if hours.count == join.hoursPerRun, !everything { break }
                    hours.append(DirtyHour(hour_ms: row.time(0)))
                }
                hours[hours.count - 1].models.append((row.integer(1), row.text(2), row.integer(3)))
            }
            return hours
        }
    }

    private func join(_ hour: DirtyHour) async throws {
        for _ in 0..<20 {
            let (segments, outcomes) = try await loader.side.run { connection in
                (
                    try HourSources.segments(hour_ms: hour.hour_ms, type: "prediction", connection),
                    try JoinedOutcome.candidates(hour, connection)
                )
            }
            let joiner = loader.makeJoiner(outcomes.map(\.waiting), [hour.hour_ms / 1000])
            if !outcomes.isEmpty {
                try await HourSources.read(segments, store: loader.store) { _, bytes, places, _ in
                    let wanted = Set(places)
                    var place = -1
                    try joiner.add(bytes) { _ in
                        place += 1
                        return wanted.contains(place)
                    }
                }
            }
            let swap = JoinSwap(
                hour: hour, expected: segments.map(\.id), outcomes: outcomes, result: joiner.result(),
                caps: loader.settings.caps)
            do {
                return try await commit(swap)
            } catch let error as LoadError where error.code == .overtaken {
                continue
            }
        }
    }

    private func commit(_ swap: JoinSwap) async throws {
        var failures = 0
        while true {
            do {
                return try await loader.database.run { try swap.run($0) }
            } catch let error as DatabaseError where error.isRetryable {
                failures += 1
                if failures > 12 { throw error }
                try await Task.sleep(for: .seconds(Double.random(in: 0.01...min(10, 0.05 * Double(1 << failures)))))
            }
        }
    }

    /// An hour of which an object is gone: what waits for it is too late.
    private func close(_ hour: DirtyHour) async throws {
        try await loader.database.run { connection in
            try connection.transaction {
                try HourLocks.takeOutcomes(models: hour.models.map(\.id), connection)
                try connection.query(
                    """
                    WITH gone AS (
                        DELETE FROM nadi_store.outcome
                        WHERE model_id = ANY ($1::int[]) AND prediction_hour = $2 AND hour_is_exact
                          AND joined_hour IS NULL AND event_type = 'outcome' AND name = 'label'
                        RETURNING arrival_day, event_type, model_id
                    ), counted AS (
                        SELECT arrival_day, event_type, model_id, count(*) AS n FROM gone GROUP BY 1, 2, 3
                    )
                    UPDATE nadi_store.outcome_arrival AS a SET too_late = a.too_late + c.n FROM counted AS c
                    WHERE a.arrival_day = c.arrival_day AND a.event_type = c.event_type AND a.model_id = c.model_id
                    """, [.integers(hour.models.map(\.id)), .time(hour.hour_ms)])
                for model in hour.models {
                    try connection.query(
                        "DELETE FROM nadi_store.dirty_hour WHERE model_id = $1 AND hour = $2 AND marks = $3",
                        [.integer(model.id), .time(hour.hour_ms), .integer(model.marks)])
                }
            }
        }
    }
}

/// A label that may belong to an hour.
struct JoinedOutcome: Sendable {
    let model: Int64
    let predictionID: String
    /// Identity of the row that was read: a newer one has another place.
    let segment: Int64
    let line: Int64
    let waiting: WaitingOutcome

    /// Labels that name the hour, that it may be by their hint, or that it holds already.
    static func candidates(_ hour: JoinPass.DirtyHour, _ connection: Connection) throws -> [JoinedOutcome] {
        try connection.query(
            """
            SELECT o.model_id, m.model_name, o.prediction_id, o.event_time, o.label_text, o.label_number,
                   o.segment_id, o.line
            FROM nadi_store.outcome AS o JOIN nadi_store.model AS m USING (model_id)
            WHERE o.model_id = ANY ($1::int[]) AND o.event_type = 'outcome' AND o.name = 'label'
              AND (o.joined_hour = $2
                   OR (o.joined_hour IS NULL
                       AND (o.prediction_hour = $2
                            OR (NOT o.hour_is_exact AND o.prediction_hour BETWEEN $2 - interval '1 hour'
                                AND $2 + interval '1 hour'))))
            ORDER BY o.model_id, o.prediction_id
            """, [.integers(hour.models.map(\.id)), .time(hour.hour_ms)]
        ).rows.map { row in
            JoinedOutcome(
                model: row.integer(0), predictionID: row.text(2), segment: row.integer(6), line: row.integer(7),
                waiting: WaitingOutcome(
                    model: row.text(1), predictionID: row.text(2), type: .outcome, name: "label", time_ms: row.time(3),
                    labelText: row.optionalText(4), labelNumber: row.optionalReal(5)))
        }
    }
}
