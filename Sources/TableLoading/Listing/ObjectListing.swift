internal import EventSegments
package import ObjectStorage
package import TableStorage

/// New objects: what the bucket lists and the ledger does not know.
///
/// Recent hours and the next two are listed each run, seven days once an hour, everything once a day. Pages of the
/// listing are compared with the ledger's keys of the same range, so that memory does not grow with the archive.
package struct ObjectListing: Sendable {
    /// An object that the ledger does not have.
    package struct Entry: Sendable, Hashable {
        package let key: String
        package let host: String
        package let sealed_ms: Int64
        /// When it was stored, by the store's clock.
        package let modified_ms: Int64
        package let size: Int
        package let etag: String?
        package let lines: Int

        /// Nil for what is no event object under the prefix.
        init?(_ object: ObjectInfo, prefix: String) {
            guard let key = ObjectKey(parsing: object.key, prefix: prefix) else { return nil }
            self.key = object.key
            host = key.host
            sealed_ms = key.sealed_ms
            modified_ms = object.modified_ms
            size = object.size
            etag = object.etag
            lines = key.lines
        }
    }

    /// How far a listing reaches.
    package enum Reach: String, Sendable {
        case recent, week = "listed_week", all = "listed_all"
    }

    let store: any ObjectStore
    let database: DatabaseThread
    let prefix: String
    let pageSize: Int

    package init(store: any ObjectStore, database: DatabaseThread, prefix: String, pageSize: Int = 1000) {
        self.store = store
        self.database = database
        self.prefix = prefix
        self.pageSize = pageSize
    }

    /// The widest reach that is due.
    package func dueReach(now_ms: Int64) async throws -> Reach {
        try await database.run { connection in
            let rows = try connection.query(
                "SELECT name, at FROM nadi_store.loader_state WHERE name IN ('listed_week', 'listed_all')"
            ).rows
            let at = Dictionary(uniqueKeysWithValues: rows.map { ($0.text(0), $0.time(1)) })
            if now_ms - (at["listed_all"] ?? 0) >= LoadClock.day_ms { return .all }
            if now_ms - (at["listed_week"] ?? 0) >= LoadClock.hour_ms { return .week }
            return .recent
        }
    }

    /// Calls `body` with new objects, page by page, in the order of their keys within a folder.
    ///
    /// - Parameter stranger: takes keys that no shipper makes, when everything is listed.
    /// - Throws: `StorageError`, ``DatabaseError``, and what `body` throws.
    package func forEachNew(
        _ reach: Reach, now_ms: Int64, stranger: (String) -> Void = { _ in }, _ body: ([Entry]) async throws -> Void
    ) async throws {
        switch reach {
        case .all:
            try await pages(ObjectKey.events(prefix: prefix), startAfter: nil, stranger, body)
        case .week, .recent:
            let first = reach == .week ? now_ms - 7 * LoadClock.day_ms : try await recentStart(now_ms: now_ms)
            let last = try await newestReport(now_ms: now_ms) + 2 * LoadClock.hour_ms
            var hour = LoadClock.hour(first)
            while hour <= last {
                try await pages(
                    ObjectKey.hourFolder(prefix: prefix, hourContaining_ms: hour), startAfter: nil, { _ in }, body)
                hour += LoadClock.hour_ms
            }
        }
        if reach != .recent {
            let names = reach == .all ? ["listed_week", "listed_all"] : ["listed_week"]
            try await database.run { connection in
                _ = try connection.query(
                    """
                    INSERT INTO nadi_store.loader_state (name, at) SELECT unnest($1::text[]), $2
                    ON CONFLICT (name) DO UPDATE SET at = greatest(loader_state.at, EXCLUDED.at)
                    """, [.texts(names), .time(now_ms)])
            }
        }
    }

    /// Two hours ago, or the oldest thing that may have come since a listing was last finished, at most seven days.
    ///
    /// What a host held then or holds now may arrive under its own hour. Hosts that have not reported for a
    /// day are left to the wider listings.
    private func recentStart(now_ms: Int64) async throws -> Int64 {
        try await database.run { connection in
            let oldest = try connection.query(
                """
                SELECT min(least(covered_at, covered_oldest_at, oldest_unshipped_at)) FROM nadi_store.host
                WHERE reported_at IS DISTINCT FROM covered_at OR (covered_oldest_at IS NOT NULL AND reported_at > $1)
                """, [.time(now_ms - LoadClock.day_ms)])[0]
            let start = min(now_ms - 2 * LoadClock.hour_ms, oldest.optionalTime(0) ?? .max)
            return max(start, now_ms - 7 * LoadClock.day_ms)
        }
    }

    /// Now by the database's clock, or by a host's that is ahead of it, at most two days: keys bear the hosts' time, and what
    /// a report covers must have been looked for.
    private func newestReport(now_ms: Int64) async throws -> Int64 {
        try await database.run { connection in
            let newest = try connection.query("SELECT max(reported_at) FROM nadi_store.host")[0].optionalTime(0) ?? now_ms
            return max(now_ms, min(newest, now_ms + 2 * LoadClock.day_ms))
        }
    }

    /// When the ledger begins, milliseconds since the epoch: older months were dropped, their objects are not new.
    static func ledgerBegin(_ connection: Connection) throws -> Int64 {
        try connection.query("SELECT at FROM nadi_store.loader_state WHERE name = 'ledger_kept'").first?.time(0) ?? .min
    }

    private func pages(
        _ folder: String, startAfter: String?, _ stranger: (String) -> Void,
        _ body: ([Entry]) async throws -> Void
    ) async throws {
        let begin = try await database.run { try Self.ledgerBegin($0) }
        var last = startAfter
        while true {
            let page = try await store.list(prefix: folder, startAfter: last, limit: pageSize)
            let entries = page.objects.compactMap { object -> Entry? in
                let entry = Entry(object, prefix: prefix)
                // Consoles show empty folders by keys that end in a slash.
                if entry == nil, object.size > 0 || !object.key.hasSuffix("/") { stranger(object.key) }
                return entry.flatMap { $0.sealed_ms >= begin ? $0 : nil }
            }
            if !entries.isEmpty {
                let keys = entries.map(\.key)
                let known = try await database.run { connection in
                    Set(
                        try connection.query(
                            "SELECT object_key FROM nadi_store.object WHERE object_key = ANY ($1::text[])",
                            [.texts(keys)]
                        ).rows.map { $0.text(0) })
                }
                let new = entries.filter { !known.contains($0.key) }
                if !new.isEmpty { try await body(new) }
            }
            guard page.isTruncated, let key = page.objects.last?.key else { return }
            last = key
        }
    }
}
