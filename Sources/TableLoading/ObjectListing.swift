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
        package let sealed_ms: Int64
        package let size: Int
        package let etag: String?
        package let lines: Int
    }

    /// How far a listing reaches.
    package enum Reach: String, Sendable {
        case recent, week = "listed_week", all = "listed_all"
    }

    let store: any ObjectStore
    let database: DatabaseThread
    let prefix: String

    package init(store: any ObjectStore, database: DatabaseThread, prefix: String) {
        self.store = store
        self.database = database
        self.prefix = prefix
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
    /// - Throws: `StorageError`, ``DatabaseError``, and what `body` throws.
    package func forEachNew(
        _ reach: Reach, now_ms: Int64, _ body: ([Entry]) async throws -> Void
    ) async throws {
        switch reach {
        case .all:
            try await pages(ObjectKey.events(prefix: prefix), startAfter: nil, body)
        case .week, .recent:
            let first = reach == .week ? now_ms - 7 * LoadClock.day_ms : try await recentStart(now_ms: now_ms)
            var hour = LoadClock.hour(first)
            while hour <= now_ms + 2 * LoadClock.hour_ms {
                try await pages(
                    ObjectKey.hourFolder(prefix: prefix, hourContaining_ms: hour), startAfter: nil, body)
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

    /// Two hours ago, or the oldest thing that a host said it still held (it may arrive under its own hour), at most
    /// seven days.
    private func recentStart(now_ms: Int64) async throws -> Int64 {
        try await database.run { connection in
            let oldest = try connection.query(
                "SELECT min(oldest_unshipped_at) FROM nadi_store.host WHERE state IS DISTINCT FROM 'ended'")[0]
            let start = min(now_ms - 2 * LoadClock.hour_ms, oldest.optionalTime(0) ?? .max)
            return max(start, now_ms - 7 * LoadClock.day_ms)
        }
    }

    private func pages(
        _ folder: String, startAfter: String?, _ body: ([Entry]) async throws -> Void
    ) async throws {
        var last = startAfter
        while true {
            let page = try await store.list(prefix: folder, startAfter: last, limit: 1000)
            let entries = page.objects.compactMap { object -> Entry? in
                guard let key = ObjectKey(parsing: object.key, prefix: prefix) else { return nil }
                return Entry(
                    key: object.key, sealed_ms: key.sealed_ms, size: object.size, etag: object.etag, lines: key.lines)
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

    /// One difference between the bucket and the ledger.
    package enum Difference: Sendable, Hashable {
        /// In the bucket, not in the ledger.
        case unknown(Entry)
        /// In the ledger, not in the bucket.
        case missing(key: String)
    }

    /// Walks bucket and ledger side by side, in the order of keys, and reports what only one of them has.
    ///
    /// Constant memory: a page of each at a time.
    package func compare(_ body: (Difference) async throws -> Void) async throws {
        let folder = ObjectKey.events(prefix: prefix)
        var last = folder
        while true {
            let page = try await store.list(prefix: folder, startAfter: last == folder ? nil : last, limit: 1000)
            let end = page.isTruncated ? page.objects.last?.key : nil
            let from = last
            let known = try await database.run { connection in
                try connection.query(
                    """
                    SELECT object_key FROM nadi_store.object
                    WHERE object_key > $1 AND object_key ^@ $2 AND ($3::text IS NULL OR object_key <= $3)
                      AND state NOT IN ('expired', 'lost')
                    ORDER BY object_key
                    """, [.text(from), .text(folder), .optional(end)]
                ).rows.map { $0.text(0) }
            }
            let listed = page.objects.compactMap { object -> Entry? in
                ObjectKey(parsing: object.key, prefix: prefix).map {
                    Entry(
                        key: object.key, sealed_ms: $0.sealed_ms, size: object.size, etag: object.etag, lines: $0.lines)
                }
            }
            let listedKeys = Set(listed.map(\.key))
            let knownKeys = Set(known)
            for entry in listed where !knownKeys.contains(entry.key) { try await body(.unknown(entry)) }
            for key in known where !listedKeys.contains(key) { try await body(.missing(key: key)) }
            guard let end else { return }
            last = end
        }
    }
}
