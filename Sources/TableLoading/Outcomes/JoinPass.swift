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
    private let dictionaries = JoinDictionaries()

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
            /// Outcomes that joined the last time.
            let joined: Int64
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
        case closed(reason: String)
        case failed(any Error)
    }

    /// Joins what is due, or all that is dirty: two hours at a time, so that one reads its outcomes while the other reads its
    /// objects, and several hours in one transaction, since each swap derives its day anew.
    ///
    /// An hour that fails, be it when its rows are written, waits longer from time to time and holds up no other.
    /// - Throws: `DatabaseError` where the server fails rather than an hour; `StorageError` once three hours in a row failed
    ///   by it.
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
                    waiting += try await swap(swaps, &report)
                    loader.progress("joined \(report.hours) hours")
                    continue
                }
                guard let (hour, outcome) = try await group.next() else { break }
                running -= 1
                switch outcome {
                case .joined(let swap):
                    if let swap { ready.append(swap) }
                    storageFailures = 0
                case .closed(let reason):
                    do {
                        try await close(hour, reason)
                    } catch {
                        try await postpone(hour, error, &report)
                    }
                case .failed(let error):
                    storageFailures = error is StorageError ? storageFailures + 1 : 0
                    if storageFailures == 3 { throw error }
                    try await postpone(hour, error, &report)
                }
            }
        }
    }

    /// Replaces the rows of hours, together or, where that fails, one by one.
    ///
    /// - Returns: hours that are to be joined again.
    private func swap(_ swaps: [JoinSwap], _ report: inout Report) async throws -> [DirtyHour] {
        do {
            let overtaken = try await loader.database.runWithRetries(except: Self.slow) { try JoinSwap.run(swaps, $0) }
            report.hours += swaps.count - overtaken.count
            return overtaken
        } catch {
            if Self.endsPass(error) { throw error }
            if swaps.count > 1 {
                var overtaken: [DirtyHour] = []
                for one in swaps { overtaken += try await swap([one], &report) }
                return overtaken
            }
            if (error as? LoadError)?.code == .overtaken { return swaps.map(\.hour) }
            for one in swaps { try await postpone(one.hour, error, &report) }
            return []
        }
    }

    /// A statement that took longer than it may is as slow when it is run again.
    static let slow: Set<String> = ["57014"]

    /// Whether no other hour would fare better.
    private static func endsPass(_ error: any Error) -> Bool {
        guard let error = error as? DatabaseError else { return error is CancellationError }
        return error.isConnectionLost || error.sqlState.hasPrefix("53") || error.sqlState == "25006"
    }

    /// Hours that are joined at the same time.
    private static let width = 2
    /// Hours, and rows of hours, that are swapped in one transaction.
    private static let swapsAtATime = 24
    private static let rowsAtATime = 4000

    private func attempt(_ hour: DirtyHour) async -> (DirtyHour, Outcome) {
        do {
            return (hour, .joined(try await join(hour)))
        } catch let error as LoadError where error.code == .closedHour {
            return (hour, .closed(reason: error.message))
        } catch {
            return (hour, .failed(error))
        }
    }

    /// Seconds that outcomes wait for an hour without any predictions before these are given up for lost there: predictions
    /// that are loaded after their labels, as in a backfill, would have each row written twice.
    private static let patience_s: Int64 = 6 * 3600

    /// Hours whose turn it is, those that wait longest first.
    private func dueHours(everything: Bool) async throws -> [DirtyHour] {
        let join = loader.settings.join
        return try await loader.side.runWithRetries { connection in
            let rows = try connection.query(
                """
                SELECT d.hour, d.model_id, m.model_name, d.marks, d.waiting
                FROM nadi_store.dirty_hour AS d JOIN nadi_store.model AS m USING (model_id)
                CROSS JOIN LATERAL (
                    SELECT sum(r.predictions) AS n FROM nadi_store.request_hour AS r JOIN nadi_store.series AS s
                    USING (series_id) WHERE s.model_id = d.model_id AND s.slice_key = 'all' AND r.hour = d.hour) AS p
                WHERE $1 OR (coalesce(d.next_attempt_at <= now(), true) AND (
                       d.since <= now() - CASE WHEN $2::bigint = 0 THEN interval '0' ELSE greatest(
                            $2::bigint * interval '1 second', $4::float8 * (now() - d.hour),
                            CASE WHEN p.n > 0 THEN interval '0' ELSE $5::bigint * interval '1 second' END) END
                    OR d.waiting >= $3::float8 * p.n))
                ORDER BY min(d.since) OVER (PARTITION BY d.hour), d.hour, d.model_id
                """,
                [
                    .boolean(everything), .integer(join.age_s), .real(join.share), .real(join.ageShare),
                    .integer(Self.patience_s),
                ]
            ).rows
            var hours: [DirtyHour] = []
            for row in rows {
                if hours.last?.hour_ms != row.time(0) {
                    if hours.count == join.hoursPerRun, !everything { break }
                    hours.append(DirtyHour(hour_ms: row.time(0)))
                }
                hours[hours.count - 1].models.append(
                    DirtyHour.Model(
                        id: row.integer(1), name: row.text(2), marks: row.integer(3), waiting: row.integer(4), joined: 0
                    ))
            }
            return hours
        }
    }

    /// A failed hour is tried again after a minute, doubling to a day.
    /// - Throws: the error itself, where it is not the hour's.
    private func postpone(_ hour: DirtyHour, _ error: any Error, _ report: inout Report) async throws {
        if Self.endsPass(error) { throw error }
        let reason = "\(error)"
        report.failed.append((hour.hour_ms, reason))
        try await loader.side.runWithRetries { connection in
            _ = try connection.query(
                """
                UPDATE nadi_store.dirty_hour SET failures = failures + 1, last_error = left($3, 1000),
                    next_attempt_at = now() + least(1440, 2 ^ least(failures, 11)) * interval '1 minute'
                WHERE model_id = ANY ($1::int[]) AND hour = $2
                """, [.integers(hour.models.map(\.id)), .time(hour.hour_ms), .text(reason)])
        }
    }

    /// The hour's marks as they are now, since another loader may have joined it or a label may have come, and apart from them
    /// those of models whose outcomes have aged out: their numbers are final.
    private func marked(_ hour: DirtyHour) async throws -> (open: DirtyHour, final: DirtyHour) {
        try await loader.side.runWithRetries { connection in
            try JoinCandidates(hour: hour).meetRivals(connection)
            let rows = try connection.query(
                """
                SELECT d.model_id, m.model_name, d.marks, d.waiting, coalesce(j.outcomes, 0), coalesce(j.is_final, false)
                FROM nadi_store.dirty_hour AS d JOIN nadi_store.model AS m USING (model_id)
                LEFT JOIN nadi_store.join_hour AS j USING (model_id, hour)
                WHERE d.hour = $1 AND d.model_id = ANY ($2::int[]) ORDER BY d.model_id
                """, [.time(hour.hour_ms), .integers(hour.models.map(\.id))]
            ).rows
            func models(isFinal: Bool) -> DirtyHour {
                DirtyHour(
                    hour_ms: hour.hour_ms,
                    models: rows.filter { $0.boolean(5) == isFinal }.map {
                        DirtyHour.Model(
                            id: $0.integer(0), name: $0.text(1), marks: $0.integer(2), waiting: $0.integer(3),
                            joined: $0.integer(4))
                    })
            }
            return (models(isFinal: false), models(isFinal: true))
        }
    }

    /// Joins an hour; nil if there was nothing left to join.
    private func join(_ due: DirtyHour) async throws -> JoinSwap? {
        // Marks first: a label that comes after them keeps the hour marked.
        let (hour, final) = try await marked(due)
        if !final.models.isEmpty { try await close(final, "its outcomes have aged out") }
        if hour.models.isEmpty { return nil }
        let (segments, candidates, dictionary) = try await loader.side.runWithRetries { connection in
            try HourSources.requireOpen(hour_ms: hour.hour_ms, type: "prediction", connection)
            // Segments before names: whatever predictions are read, their names were admitted.
            let segments = try HourSources.segments(hour_ms: hour.hour_ms, type: "prediction", connection)
            var candidates = JoinCandidates(hour: hour)
            try candidates.settle(connection)
            return (segments, candidates, try dictionaries.dictionary(hour, connection))
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
        // An hour with more than its share has all memory for itself, and one with still more is joined in parts. Where so many
        // are known to wait, they are not read for nothing.
        let known = hour.models.reduce(0) { $0 + max($1.joined, $1.waiting) }
        var result: JoinHour.Joined?
        for share in [memory / Self.width, memory]
        where result == nil && JoinHour.fits(known, memory: share, loader.settings) {
            result = try await joined(memory: share) { try await $0.runAtOnce() }
        }
        if result == nil { result = try await joined(memory: memory) { try await $0.runInParts() } }
        guard let result else { return nil }
        return JoinSwap(
            hour: hour, expected: HourSources.Mark(segments), record: result.record, result: result.result,
            dictionary: dictionary, caps: loader.settings.caps)
    }

    /// An hour of which an object is gone, or whose labels have aged out: what waits for it is too late.
    private func close(_ hour: DirtyHour, _ reason: String) async throws {
        let late = try await loader.database.runWithRetries { try HourClosing(hour: hour).run($0) }
        loader.progress(
            "hour \(LoadClock.hourText(hour.hour_ms)) is closed, \(late) outcomes came too late for it: \(reason)")
    }
}
