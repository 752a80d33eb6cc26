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
        /// Joined, and still to be swapped; nil where there was nothing left to join.
        case joined(JoinSwap?)
        case closed
        case failed(any Error)
    }

    /// Joins what is due, or all that is dirty: two hours at a time, so that one reads its outcomes while the other reads its
    /// objects, and several hours in one transaction, since each swap derives its day anew.
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
            try await run(due, &report, &storageFailures)
        }
        return report
    }

    private func run(_ due: [DirtyHour], _ report: inout Report, _ storageFailures: inout Int) async throws {
        var waiting = Array(due.reversed())
        var ready: [JoinSwap] = []
        var attempts: [Int64: Int] = [:]
        try await withThrowingTaskGroup(of: (DirtyHour, Outcome).self) { group in
            var running = 0
            while true {
                while running < Self.width, let hour = waiting.popLast() {
                    attempts[hour.hour_ms, default: 0] += 1
                    // Hours that others change all the time are left to the next run.
                    if attempts[hour.hour_ms, default: 0] > 20 { continue }
                    group.addTask { await attempt(hour) }
                    running += 1
                }
                let isFull = ready.count == Self.swapsAtATime || ready.reduce(0) { $0 + $1.rows } > Self.rowsAtATime
                if isFull || (running == 0 && !ready.isEmpty) {
                    let swaps = ready
                    ready = []
                    let overtaken = try await loader.database.runWithRetries { try JoinSwap.run(swaps, $0) }
                    waiting += overtaken
                    report.hours += swaps.count - overtaken.count
                    loader.progress("joined \(report.hours) hours")
                    continue
                }
                guard let (hour, outcome) = try await group.next() else { break }
                running -= 1
                switch outcome {
                case .joined(let swap):
                    if let swap { ready.append(swap) }
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
            }
        }
    }

    /// Hours that are joined at the same time.
    private static let width = 2
    /// Hours, and rows of hours, that are swapped in one transaction.
    private static let swapsAtATime = 12
    private static let rowsAtATime = 4000

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

    /// Joins an hour; nil if there was nothing left to join.
    private func join(_ due: DirtyHour) async throws -> JoinSwap? {
        // Marks first: a label that comes after them keeps the hour marked.
        let dirty = try await marked(due)
        let aged = try await aged(dirty)
        if !aged.isEmpty {
            try await close(DirtyHour(hour_ms: dirty.hour_ms, models: dirty.models.filter { aged.contains($0.id) }))
        }
        let hour = DirtyHour(hour_ms: dirty.hour_ms, models: dirty.models.filter { !aged.contains($0.id) })
        if hour.models.isEmpty { return nil }
        let (segments, candidates, dictionary) = try await loader.side.runWithRetries { connection in
            try HourSources.requireOpen(hour_ms: hour.hour_ms, type: "prediction", connection)
            // Segments before names: whatever predictions are read, their names were admitted.
            let segments = try HourSources.segments(hour_ms: hour.hour_ms, type: "prediction", connection)
            var candidates = JoinCandidates(hour: hour)
            try candidates.settle(connection)
            return (segments, candidates, try JoinDictionary.load(hour, connection))
        }
        func joined(memory: Int, _ run: (JoinHour) async throws -> JoinHour.Joined?) async throws -> JoinHour.Joined? {
            await budget.take(memory)
            do {
                let joined = try await run(
                    JoinHour(
                        loader: loader, candidates: candidates, segments: segments, dictionary: dictionary,
                        memory: memory))
                await budget.give(memory)
                return joined
            } catch {
                await budget.give(memory)
                throw error
            }
        }
        let memory = loader.settings.join.memoryBytes
        var result = try await joined(memory: memory / Self.width) { try await $0.runAtOnce() }
        // An hour with more has all memory for itself.
        if result == nil { result = try await joined(memory: memory) { try await $0.runInParts() } }
        guard let result else { return nil }
        return JoinSwap(
            hour: hour, expected: segments.map(\.id), record: result.record, result: result.result,
            dictionary: dictionary, caps: loader.settings.caps)
    }

    /// An hour of which an object is gone, or whose labels have aged out: what waits for it is too late.
    private func close(_ hour: DirtyHour) async throws {
        try await loader.database.runWithRetries { try HourClosing(hour: hour).run($0) }
    }
}
