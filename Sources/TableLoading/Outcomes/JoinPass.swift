internal import ObjectStorage
internal import RecordBatches
internal import TableStorage

/// Joins outcomes with their predictions, hour by hour: reads a dirty hour's objects again and replaces its outcomes.
///
/// An hour's turn comes when enough labels wait or the oldest has waited long enough, so that a trickle does not read
/// the archive all day.
struct JoinPass: Sendable {
    let loader: Loader
    /// Memory of the hours that are joined at the same time.
    private let budget: ByteBudget

    init(_ loader: Loader) {
        self.loader = loader
        budget = ByteBudget(loader.settings.join.memoryBytes)
    }

    /// One hour and the models whose outcomes changed, as they were when they were read.
    struct DirtyHour: Sendable {
        /// A model's row in `dirty_hour`.
        struct Model: Sendable {
            let id: Int64
            let name: String
            let marks: Int64
            let waiting: Int64
        }

        let hour_ms: Int64
        var models: [Model] = []
    }

    /// What a pass did.
    struct Report: Sendable {
        var hours = 0
        /// Hours that could not be joined and are tried again later, with the reason.
        var failed: [(hour_ms: Int64, reason: String)] = []
    }

    /// What became of an hour.
    private enum Outcome {
        case joined(Bool)
        case closed
        case failed(any Error)
    }

    /// Joins what is due, or all that is dirty: two hours at a time, so that one reads its outcomes while the other reads its
    /// objects.
    ///
    /// An hour that fails waits longer from time to time and holds up no other.
    /// - Throws: `DatabaseError`; `StorageError` once three hours in a row failed by it.
    func run(everything: Bool) async throws -> Report {
        var report = Report()
        var storageFailures = 0
        // Hints that fail mark their neighbours: three rounds reach them.
        for _ in 0..<(everything ? 3 : 1) {
            let failed = Set(report.failed.map(\.hour_ms))
            let due = try await dueHours(everything: everything).filter { !failed.contains($0.hour_ms) }
            if due.isEmpty { break }
            try await withThrowingTaskGroup(of: (DirtyHour, Outcome).self) { group in
                var next = due.makeIterator()
                for _ in 0..<Self.width { if let hour = next.next() { group.addTask { await attempt(hour) } } }
                while let (hour, outcome) = try await group.next() {
                    switch outcome {
                    case .joined(let isDone):
                        if isDone { report.hours += 1 }
                        storageFailures = 0
                    case .closed: try await close(hour)
                    case .failed(let error as DatabaseError) where error.isRetryable: throw error
                    case .failed(let error as CancellationError): throw error
                    case .failed(let error):
                        storageFailures = error is StorageError ? storageFailures + 1 : 0
                        if storageFailures == 3 { throw error }
                        report.failed.append((hour.hour_ms, "\(error)"))
                        try await postpone(hour, "\(error)")
                    }
                    loader.progress("joined \(report.hours) hours")
                    if let hour = next.next() { group.addTask { await attempt(hour) } }
                }
            }
        }
        return report
    }

    /// Hours that are joined at the same time.
    private static let width = 2

    private func attempt(_ hour: DirtyHour) async -> (DirtyHour, Outcome) {
        do {
            return (hour, .joined(try await join(hour)))
        } catch let error as LoadError where error.code == .closedHour {
            return (hour, .closed)
        } catch {
            return (hour, .failed(error))
        }
    }

    /// Hours whose turn it is, those that wait longest first.
    private func dueHours(everything: Bool) async throws -> [DirtyHour] {
        let join = loader.settings.join
        return try await loader.side.runWithRetries { connection in
            let rows = try connection.query(
                """
                SELECT d.hour, d.model_id, m.model_name, d.marks, d.waiting
                FROM nadi_store.dirty_hour AS d JOIN nadi_store.model AS m USING (model_id)
                WHERE $1 OR (coalesce(d.next_attempt_at <= now(), true) AND (
                       d.since <= now() - CASE WHEN $2::bigint = 0 THEN interval '0' ELSE greatest(
                            $2::bigint * interval '1 second', $4::float8 * (now() - d.hour)) END
                    OR d.waiting >= $3::float8 * (
                        SELECT sum(r.predictions) FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s
                        USING (series_id) WHERE s.model_id = d.model_id AND s.slice_key = 'all' AND r.hour = d.hour)))
                ORDER BY min(d.since) OVER (PARTITION BY d.hour), d.hour, d.model_id
                """,
                [.boolean(everything), .integer(join.age_s), .real(join.share), .real(join.ageShare)]
            ).rows
            var hours: [DirtyHour] = []
            for row in rows {
                if hours.last?.hour_ms != row.time(0) {
                    if hours.count == join.hoursPerRun, !everything { break }
                    hours.append(DirtyHour(hour_ms: row.time(0)))
                }
                hours[hours.count - 1].models.append(
                    DirtyHour.Model(
                        id: row.integer(1), name: row.text(2), marks: row.integer(3), waiting: row.integer(4)))
            }
            return hours
        }
    }

    /// A failed hour is tried again after a minute, doubling to a day.
    private func postpone(_ hour: DirtyHour, _ reason: String) async throws {
        try await loader.side.runWithRetries { connection in
            _ = try connection.query(
                """
                UPDATE nadi_store.dirty_hour SET failures = failures + 1, last_error = left($3, 1000),
                    next_attempt_at = now() + least(1440, 2 ^ least(failures, 11)) * interval '1 minute'
                WHERE model_id = ANY ($1::int[]) AND hour = $2
                """, [.integers(hour.models.map(\.id)), .time(hour.hour_ms), .text(reason)])
        }
    }

    /// The hour's models whose labels have aged out: their numbers are final.
    private func aged(_ hour: DirtyHour) async throws -> Set<Int64> {
        try await loader.side.runWithRetries { connection in
            Set(
                try connection.query(
                    "SELECT model_id FROM nadi_store.join_hour WHERE is_final AND hour = $1 AND model_id = ANY ($2::int[])",
                    [.time(hour.hour_ms), .integers(hour.models.map(\.id))]
                ).rows.map { $0.integer(0) })
        }
    }

    /// The hour's marks as they are now: another loader may have joined it since, or a label may have come.
    private func marked(_ hour: DirtyHour) async throws -> DirtyHour {
        try await loader.side.runWithRetries { connection in
            let rows = try connection.query(
                """
                SELECT d.model_id, m.model_name, d.marks, d.waiting
                FROM nadi_store.dirty_hour AS d JOIN nadi_store.model AS m USING (model_id)
                WHERE d.hour = $1 AND d.model_id = ANY ($2::int[]) ORDER BY d.model_id
                """, [.time(hour.hour_ms), .integers(hour.models.map(\.id))]
            ).rows
            return DirtyHour(
                hour_ms: hour.hour_ms,
                models: rows.map {
                    DirtyHour.Model(id: $0.integer(0), name: $0.text(1), marks: $0.integer(2), waiting: $0.integer(3))
                })
        }
    }

    /// Joins an hour; false if there was nothing left to join.
    private func join(_ due: DirtyHour) async throws -> Bool {
        for _ in 0..<20 {
            // Marks first: a label that comes after them keeps the hour marked.
            let dirty = try await marked(due)
            let aged = try await aged(dirty)
            if !aged.isEmpty {
                try await close(
                    DirtyHour(hour_ms: dirty.hour_ms, models: dirty.models.filter { aged.contains($0.id) }))
            }
            let hour = DirtyHour(hour_ms: dirty.hour_ms, models: dirty.models.filter { !aged.contains($0.id) })
            if hour.models.isEmpty { return false }
            let (segments, candidates, count, dictionary) = try await loader.side.runWithRetries { connection in
                try HourSources.requireOpen(hour_ms: hour.hour_ms, type: "prediction", connection)
                // Segments before names: whatever predictions are read, their names were admitted.
                let segments = try HourSources.segments(hour_ms: hour.hour_ms, type: "prediction", connection)
                var candidates = JoinCandidates(hour: hour)
                let count = try candidates.count(connection)
                return (segments, candidates, count, try JoinDictionary.load(hour, connection))
            }
            let memory = loader.settings.join.memoryBytes
            let need = min(memory, JoinHour.need(count, slices: loader.settings.sliceTags.count))
            await budget.take(need)
            let joined: JoinHour.Joined
            do {
                joined = try await JoinHour(
                    loader: loader, candidates: candidates, count: count, segments: segments, dictionary: dictionary,
                    memory: memory
                ).run()
            } catch {
                await budget.give(need)
                throw error
            }
            await budget.give(need)
            let swap = JoinSwap(
                hour: hour, expected: segments.map(\.id), record: joined.record, result: joined.result,
                dictionary: dictionary, caps: loader.settings.caps)
            do {
                try await loader.database.runWithRetries { try swap.run($0) }
                return true
            } catch let error as LoadError where error.code == .overtaken {
                continue
            }
        }
        return false
    }

    /// An hour of which an object is gone, or whose labels have aged out: what waits for it is too late.
    private func close(_ hour: DirtyHour) async throws {
        try await loader.database.runWithRetries { try HourClosing(hour: hour).run($0) }
    }
}
