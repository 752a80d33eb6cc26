internal import EventSegments
internal import ObjectStorage
internal import RecordBatches
internal import TableStorage

/// Looks everywhere for the predictions of outcomes that carry neither a time nor a time-bearing id, or whose hint failed: at
/// most once a day, newest hour first, all waiting ids at once.
///
/// One loader sweeps at a time, and only so many hours in one run: the next run goes on below them, so that loading never
/// waits long. An hour is read only where it may hold something that was not looked for: outcomes newer than its last sweep,
/// or segments that came since. Memory is 32 bytes for each id; beyond ``idsAtATime`` the hours are read as often as it takes.
package struct OutcomeSweep: Sendable {
    let loader: Loader
    /// Most ids that are looked for in one reading.
    let idsAtATime: Int64

    package init(_ loader: Loader, idsAtATime: Int64 = 8_000_000) {
        self.loader = loader
        self.idsAtATime = idsAtATime
    }

    /// What one run did.
    package struct Report: Sendable {
        /// Hours whose objects were read, newest first; again for each part of the ids.
        package fileprivate(set) var hours_ms: [Int64] = []
        /// Predictions that were found.
        package fileprivate(set) var found = 0
        /// What could not be read, and why.
        package fileprivate(set) var failed: [(what: String, reason: String)] = []
        /// Whether another loader sweeps.
        package fileprivate(set) var isTaken = false
    }

    /// Goes on with the sweep that is under way, or begins one if a day has passed since the last, for so many hours and
    /// seconds as the settings say; or, if asked for `everything`, begins one now and finishes it.
    ///
    /// What fails is told in the report and tried again later.
    /// - Throws: ``DatabaseError`` where not even that can be written down; `CancellationError`.
    @discardableResult
    package func run(everything: Bool = true) async throws -> Report {
        var report = Report()
        guard try await claim() else {
            loader.progress("another loader sweeps")
            report.isTaken = true
            return report
        }
        do {
            try await sweep(everything: everything, &report)
            try await release()
        } catch {
            if !(error is CancellationError) { try await postpone("\(error)") }
            try await release()
            if error is CancellationError { throw error }
            report.failed.append(("the sweep", "\(error)"))
        }
        return report
    }

    private func sweep(everything: Bool, _ report: inout Report) async throws {
        let begun = LoadClock.monotonic_s()
        guard let state = try await loader.side.runWithRetries({ try SweepState.begin(everything: everything, $0) })
        else { return }
        repeat {
            let chunk = try await nextHours()
            if chunk.hours.isEmpty {
                return try await loader.side.runWithRetries { try SweepState.finish($0) }
            }
            try await sweep(chunk, state, since: everything ? nil : begun, &report)
        } while everything
    }

    // MARK: One loader at a time

    /// Whether no other loader sweeps: a lock of this session, which goes with it.
    private func claim() async throws -> Bool {
        try await loader.side.runWithRetries { connection in
            try connection.query("SELECT pg_try_advisory_lock($1::int, 0)", [.integer(HourLocks.sweepSpace)])[0]
                .boolean(0)
        }
    }

    private func release() async throws {
        try await loader.side.runWithRetries { connection in
            _ = try connection.query("SELECT pg_advisory_unlock($1::int, 0)", [.integer(HourLocks.sweepSpace)])
        }
    }

    private func postpone(_ reason: String) async throws {
        loader.progress("the sweep is put off: \(reason)")
        try await loader.side.runWithRetries { try SweepState.postpone(reason, $0) }
    }

    // MARK: Hours

    /// Hours that are swept together, and how many ids are looked for.
    struct Chunk: Sendable {
        var hours: [SweepHour] = []
        var parts: Int64 = 1
        /// Only ids with greater numbers are looked for.
        var newerThan: Int64 = 0
        /// About how many ids there are.
        var ids: Int64 = 0
    }

    private func nextHours() async throws -> Chunk {
        let labelDays = loader.settings.retention.labelDays
        let limit = loader.settings.sweep.hoursPerRun
        return try await loader.side.runWithRetries { connection in
            var chunk = Chunk()
            (chunk.hours, chunk.ids) = try SweepHour.next(labelDays: labelDays, limit: max(1, limit), connection)
            guard let first = chunk.hours.first else { return chunk }
            // Where there are more ids than fit, hours that were never swept as they are are looked through for all of them,
            // and the others for those that are new.
            if chunk.ids > idsAtATime {
                chunk.hours = Array(chunk.hours.prefix { ($0.sweptTo == 0) == (first.sweptTo == 0) })
            }
            chunk.newerThan = chunk.hours.map(\.sweptTo).min() ?? 0
            if chunk.ids > idsAtATime { chunk.ids = try SweepHour.count(newerThan: chunk.newerThan, connection) }
            chunk.parts = max(1, (chunk.ids + idsAtATime - 1) / idsAtATime)
            // As much is read in one run, in however many parts.
            chunk.hours = Array(chunk.hours.prefix(max(1, limit / Int(chunk.parts))))
            return chunk
        }
    }

    /// - Parameter begun_s: when the run began, where it has an end.
    private func sweep(
        _ chunk: Chunk, _ state: SweepState, since begun_s: Double?, _ report: inout Report
    ) async throws {
        var hours = chunk.hours
        // By hour, what its first part has seen: what came since is there for the next sweep.
        var seen: [Int64: [Int64]] = [:]
        var passedOver: Set<Int64> = []
        for part in 0..<chunk.parts {
            let (ids, days) = try await fill(part, chunk)
            let begin_s = LoadClock.monotonic_s()
            // Reading may take as long as what had to be done before it.
            let allowed_s = begun_s.map { max(loader.settings.sweep.secondsPerRun, begin_s - $0) } ?? .infinity
            // Hours in a row that the store refused.
            var refused: [(hour: SweepHour, error: StorageError)] = []
            for (place, hour) in hours.enumerated() where !passedOver.contains(hour.begin_ms) {
                if ids.waiting == 0 || refused.count == 3 { break }
                if part == 0, place > 0, LoadClock.monotonic_s() - begin_s > allowed_s {
                    // The other parts look through the same hours.
                    hours.removeSubrange(place...)
                    break
                }
                do {
                    if let segments = try await segments(hour.begin_ms) {
                        report.hours_ms.append(hour.begin_ms)
                        report.found += try await read(hour.begin_ms, segments, ids, days)
                        let numbers = segments.map(\.id)
                        if seen[hour.begin_ms] == nil { seen[hour.begin_ms] = numbers }
                        if chunk.parts == 1 { try await remember(hour.begin_ms, numbers, state.to) }
                    } else {
                        passedOver.insert(hour.begin_ms)
                    }
                } catch let error as StorageError {
                    refused.append((hour, error))
                    continue
                } catch let error as LoadError {
                    pass(over: hour, error, &passedOver, &report)
                } catch let error as ObjectError {
                    pass(over: hour, error, &passedOver, &report)
                }
                // The store does answer: what it refused concerns these hours alone.
                for (hour, error) in refused { pass(over: hour, error, &passedOver, &report) }
                refused = []
            }
            guard let first = refused.first else { continue }
            if state.failures < SweepState.patience {
                // From there on it is tried again later.
                if chunk.parts == 1, let above = hours.last(where: { $0.begin_ms > first.hour.begin_ms }) {
                    try await loader.side.runWithRetries { try SweepState.move(below: above.begin_ms, $0) }
                }
                throw first.error
            }
            for (hour, error) in refused { pass(over: hour, error, &passedOver, &report) }
        }
        if chunk.parts > 1 {
            // A part that did not read an hour had nothing left to look for.
            for hour in hours where !passedOver.contains(hour.begin_ms) {
                if let segments = seen[hour.begin_ms] { try await remember(hour.begin_ms, segments, state.to) }
            }
        }
        if let last = hours.last {
            try await loader.side.runWithRetries { try SweepState.move(below: last.begin_ms, $0) }
        }
    }

    private func pass(
        over hour: SweepHour, _ error: any Error, _ passedOver: inout Set<Int64>, _ report: inout Report
    ) {
        passedOver.insert(hour.begin_ms)
        loader.progress("sweep passes over hour \(LoadClock.hourText(hour.begin_ms)): \(error)")
        report.failed.append(("sweep of hour \(LoadClock.hourText(hour.begin_ms))", "\(error)"))
    }

    /// The segments to be read; nil for an hour that no join may change, where nothing is to be found.
    private func segments(_ hour_ms: Int64) async throws -> [HourSources.Segment]? {
        try await loader.side.runWithRetries { connection in
            let segments = try HourSources.segments(hour_ms: hour_ms, type: "prediction", connection)
            let gone = try connection.query(
                """
                SELECT EXISTS (SELECT FROM nadi_store.object WHERE object_id = ANY ($1::bigint[]) AND state IN ('lost', 'expired'))
                    OR EXISTS (SELECT FROM nadi_store.expired_hour WHERE hour = $2 AND event_type = 'prediction')
                """, [.integers(Set(segments.map(\.object)).sorted()), .time(hour_ms)])
            return gone[0].boolean(0) ? nil : segments
        }
    }

    /// The ids of a part, and the days on which they stand.
    private func fill(_ part: Int64, _ chunk: Chunk) async throws -> (PredictionIDs, days: [String]) {
        try await loader.side.runWithRetries { connection in
            let models = try connection.query("SELECT model_name, model_id FROM nadi_store.model").rows
            let ids = PredictionIDs(
                models: Dictionary(models.map { ($0.text(0), $0.integer(1)) }, uniquingKeysWith: { first, _ in first }),
                count: Int(chunk.ids / chunk.parts + 1))
            try SweepHour.fill(ids, newerThan: chunk.newerThan, part: part, of: chunk.parts, connection)
            // After the ids: what begins to wait on another day has a number for the next sweep.
            return (ids, try SweepHour.days(connection))
        }
    }

    private func read(
        _ hour_ms: Int64, _ segments: [HourSources.Segment], _ ids: PredictionIDs, _ days: [String]
    ) async throws -> Int {
        let labelDays = loader.settings.retention.labelDays
        let database = loader.database
        return try await SweepReading(loader: loader, hour_ms: hour_ms, ids: ids) { found in
            try await database.runWithRetries { connection in
                try SweepRecord(hour_ms: hour_ms, labelDays: labelDays, days: days).write(found, connection)
            }
        }.read(segments)
    }

    /// An hour was looked through up to a number.
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
}
