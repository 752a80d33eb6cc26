internal import EventModel
internal import EventSegments
package import ObjectStorage
package import RecordBatches
package import TableStorage

/// Finds where a prediction's lines are, what became of each, and what is known of its labels.
///
/// Reads only the objects that may hold them: those with events of the id's own hour (UUIDv7) and its neighbours, or of
/// its labels' hour, or of a range that is given; and those sealed then, which may have rejected them.
package struct Where: Sendable {
    /// What to look for, and where.
    package struct Query: Sendable {
        package var id: String
        package var model: String?
        package var from_ms: Int64?
        package var to_ms: Int64?

        package init(id: String, model: String? = nil, from_ms: Int64? = nil, to_ms: Int64? = nil) {
            self.id = id
            self.model = model
            self.from_ms = from_ms
            self.to_ms = to_ms
        }
    }

    /// How long after an event its segment may be sealed and still be looked at, milliseconds: lines that were rejected
    /// have no event hour in the ledger.
    static let sealedAfter_ms: Int64 = 2 * LoadClock.hour_ms

    let store: any ObjectStore
    let database: DatabaseThread
    let settings: LoadSettings
    let mappings: [Mapping]
    let progress: @Sendable (String) -> Void

    package init(
        store: any ObjectStore, database: DatabaseThread, settings: LoadSettings, mappings: [Mapping],
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.store = store
        self.database = database
        self.settings = settings
        self.mappings = mappings
        self.progress = progress
    }

    /// Looks.
    /// - Throws: ``LoadError`` with ``LoadError/Code/configuration`` where nothing says when the prediction was made;
    ///   `StorageError`, ``DatabaseError``.
    package func find(_ query: Query) async throws -> WhereReport {
        var report = WhereReport(id: query.id)
        report.labels = try await database.run { try WhereReport.Label.all(query, $0) }
        let windows = try windows(query, report.labels)
        report.windows = windows
        let candidates = try await candidates(windows)
        let search = LineSearch(id: query.id, mappings: mappings)
        for (index, candidate) in candidates.enumerated() {
            progress("\(index + 1) of \(candidates.count) objects")
            try await look(candidate, search, query, &report)
        }
        let (until, silent) = try await database.run { connection in
            let row = try connection.query("SELECT complete_until, silent_hosts FROM nadi.complete_until")[0]
            return (row.optionalTime(0), row.text(1))
        }
        report.completeUntil_ms = until
        report.silentHosts = silent
        return report
    }

    /// Ranges of event times.
    private func windows(_ query: Query, _ labels: [WhereReport.Label]) throws -> [Range<Int64>] {
        if query.from_ms != nil || query.to_ms != nil {
            let from = query.from_ms ?? 0
            return [LoadClock.hour(from)..<max(LoadClock.hour(from), query.to_ms ?? LoadClock.now_ms())]
        }
        var hours: Set<Int64> = []
        if let hint = UUIDv7(query.id) {
            let hour = LoadClock.hour(hint.time_ms)
            hours.formUnion([hour - LoadClock.hour_ms, hour, hour + LoadClock.hour_ms])
        }
        for label in labels {
            if let joined = label.joined_ms { hours.insert(joined) }
            if let hour = label.predictionHour_ms {
                hours.formUnion([hour - LoadClock.hour_ms, hour, hour + LoadClock.hour_ms])
            }
        }
        guard !hours.isEmpty else {
            throw LoadError(
                .configuration, "the id \(query.id) bears no time (it is no UUIDv7), and no label of it says when",
                remedy: "Say --from and --to, the narrower the quicker")
        }
        var windows: [Range<Int64>] = []
        for hour in hours.sorted() {
            if let last = windows.last, last.upperBound >= hour {
                windows[windows.count - 1] = last.lowerBound..<(hour + LoadClock.hour_ms)
            } else {
                windows.append(hour..<(hour + LoadClock.hour_ms))
            }
        }
        return windows
    }

    // MARK: Objects

    /// An object that may hold the lines.
    struct Candidate: Sendable {
        let key: String
        let host: String
        /// Of the ledger, or `unloaded`.
        let state: String
        let detail: String
        /// What became of its segments, by place; empty where none is in the ledger.
        var segments: [LoadBatch.Place: String] = [:]
        /// Whether all of its segments are to be read, not those of the ledger alone.
        var all = false
    }

    private func candidates(_ windows: [Range<Int64>]) async throws -> [Candidate] {
        var found: [String: Candidate] = [:]
        for window in windows {
            let sealed = window.lowerBound - EventSlack.before_ms..<window.upperBound + Self.sealedAfter_ms
            let rows = try await database.run { connection in
                try connection.query(
                    """
                    WITH wanted AS (
                        SELECT segment_id FROM nadi_store.segment_hour WHERE hour >= $1 AND hour < $2
                        UNION SELECT s.segment_id FROM nadi_store.segment AS s JOIN nadi_store.object AS o USING (object_id)
                        WHERE o.sealed_at >= $3 AND o.sealed_at < $4
                    )
                    SELECT o.object_key, coalesce(h.host, ''), o.state, coalesce(o.last_error, ''), w.writer, s.seq, s.state
                    FROM wanted JOIN nadi_store.segment AS s USING (segment_id)
                    JOIN nadi_store.object AS o USING (object_id) JOIN nadi_store.writer AS w USING (writer_id)
                    LEFT JOIN nadi_store.host AS h ON h.host_id = o.host_id
                    UNION ALL
                    SELECT o.object_key, coalesce(h.host, ''), o.state, coalesce(o.last_error, ''), NULL, NULL, NULL
                    FROM nadi_store.object AS o LEFT JOIN nadi_store.host AS h USING (host_id)
                    WHERE o.sealed_at >= $3 AND o.sealed_at < $4 AND o.loaded_at IS NULL
                    """,
                    [
                        .time(LoadClock.hour(window.lowerBound)), .time(window.upperBound), .time(sealed.lowerBound),
                        .time(sealed.upperBound),
                    ]
                ).rows.map { row in
                    (
                        Candidate(key: row.text(0), host: row.text(1), state: row.text(2), detail: row.text(3)),
                        row.optionalText(4), row.optionalInteger(5), row.optionalText(6)
                    )
                }
            }
            for (candidate, writer, seq, state) in rows {
                var one = found[candidate.key] ?? candidate
                if let writer, let seq, let state {
                    one.segments[LoadBatch.Place(writer: writer, seq: Int(seq))] = state
                } else {
                    one.all = true
                }
                found[candidate.key] = one
            }
            try await addUnloaded(sealed, &found)
        }
        return found.values.sorted { $0.key < $1.key }
    }

    /// Objects of the bucket that the ledger does not know.
    private func addUnloaded(_ sealed: Range<Int64>, _ found: inout [String: Candidate]) async throws {
        // Not longer ago than a listing by hours can find: what is older is loaded.
        var hour = LoadClock.hour(max(sealed.lowerBound, LoadClock.now_ms() - 7 * LoadClock.day_ms))
        let end = min(sealed.upperBound, LoadClock.now_ms() + 2 * LoadClock.hour_ms)
        while hour < end {
            var listed: [ObjectListing.Entry] = []
            try await store.forEachObject(prefix: ObjectKey.hourFolder(prefix: settings.prefix, hourContaining_ms: hour)) {
                if let entry = ObjectListing.Entry($0, prefix: settings.prefix) { listed.append(entry) }
            }
            let keys = listed.map(\.key)
            let known = try await database.run { connection in
                Set(
                    try connection.query(
                        "SELECT object_key FROM nadi_store.object WHERE object_key = ANY ($1::text[])", [.texts(keys)]
                    ).rows.map { $0.text(0) })
            }
            for entry in listed where !known.contains(entry.key) {
                found[entry.key] = Candidate(key: entry.key, host: entry.host, state: "unloaded", detail: "", all: true)
            }
            hour += LoadClock.hour_ms
        }
    }

    private func look(
        _ candidate: Candidate, _ search: LineSearch, _ query: Query, _ report: inout WhereReport
    ) async throws {
        do {
            let reader = try ObjectReader(try await store.get(candidate.key))
            report.objects += 1
            for (index, segment) in reader.manifest.segments.enumerated() {
                let state = candidate.segments[LoadBatch.Place(segment)]
                guard state != nil || candidate.all else { continue }
                guard search.knows(segment.format) else {
                    report.unread.append(
                        (candidate.key, "its mapping '\(segment.format)' is not in the configuration"))
                    continue
                }
                for line in try search.search(reader, segment: index)
                where query.model == nil || line.model.isEmpty || line.model == query.model {
                    report.matches.append(
                        WhereReport.Match(
                            line: line, writer: segment.writer, seq: segment.seq, file: segment.file,
                            sealed_ms: segment.sealed_ms, object: candidate.key, host: candidate.host,
                            segmentState: state, objectState: candidate.state, objectError: candidate.detail))
                }
            }
        } catch let error as ObjectError {
            report.unread.append((candidate.key, error.description))
        } catch let error as StorageError where error.kind == .notFound {
            report.unread.append((candidate.key, "it is gone from the bucket"))
        }
    }
}

/// How much earlier than an event its segment may be sealed: clocks may run ahead by ten minutes.
private enum EventSlack {
    static let before_ms: Int64 = 10 * 60_000
}
