internal import EventSegments
internal import ObjectStorage
internal import TableStorage

/// Walks the bucket's event objects beside the ledger, an hour's folder at a time.
///
/// Stores differ in the order of keys within a folder, not in that of the folders, whose names are equally long.
/// Memory: one folder's keys.
struct BucketWalk: Sendable {
    /// What the walk meets.
    enum Step: Sendable {
        /// An object of the bucket, with its state in the ledger: nil where the ledger does not know it.
        case object(ObjectListing.Entry, state: String?)
        /// A key below `events/` that no shipper makes.
        case stranger(key: String)
        /// Loaded by the ledger, not in the bucket.
        case missing(key: String)
    }

    let store: any ObjectStore
    /// Nil walks the bucket alone.
    let database: DatabaseThread?
    let prefix: String
    /// The first hour, and the one to stop before, milliseconds since the epoch.
    let from_ms: Int64?
    let to_ms: Int64?

    /// What to list: the hours one by one where they are few, else everything.
    private func listings(_ events: String) -> [String] {
        guard let from_ms, let to_ms, to_ms - from_ms <= 1000 * LoadClock.hour_ms else { return [events] }
        return stride(from: LoadClock.hour(from_ms), to: LoadClock.hour(to_ms), by: Int(LoadClock.hour_ms)).map {
            ObjectKey.hourFolder(prefix: prefix, hourContaining_ms: $0)
        }
    }

    /// Walks.
    /// - Throws: `StorageError`, `DatabaseError`, and what `body` throws.
    func run(_ body: (Step) async throws -> Void) async throws {
        let events = ObjectKey.events(prefix: prefix)
        let first = from_ms.map { ObjectKey.hourFolder(prefix: prefix, hourContaining_ms: $0) }
        let last = to_ms.map { ObjectKey.hourFolder(prefix: prefix, hourContaining_ms: $0) }
        // dt=2026-11-23/hr=04/
        let length = events.utf8.count + 20
        var end = first ?? events
        for part in listings(events) {
            try await store.forEachGroup(
                prefix: part,
                of: { key in
                    guard key.utf8.count > length, key.utf8.dropFirst(length - 1).first == UInt8(ascii: "/") else {
                        return ""
                    }
                    return String(key.prefix(length))
                }
            ) { (folder: String, objects: [ObjectInfo]) in
                if let first, !folder.isEmpty, folder < first { return }
                if let last, !folder.isEmpty, folder >= last { return }
                let entries = objects.map { ObjectListing.Entry($0, prefix: prefix) }
                for (object, entry) in zip(objects, entries) where entry == nil {
                    // The keys by which consoles show empty folders.
                    if object.size > 0 || !object.key.hasSuffix("/") { try await body(.stranger(key: object.key)) }
                }
                let listed = entries.compactMap { $0 }
                if folder.isEmpty || listed.isEmpty || folder < end { return }
                try await reportMissing(from: end, before: folder, except: [], body)
                let after = String(folder.dropLast()) + "0"
                let states = try await states(listed.map(\.key))
                for entry in listed { try await body(.object(entry, state: states[entry.key])) }
                try await reportMissing(from: folder, before: after, except: Set(listed.map(\.key)), body)
                end = after
            }
        }
        try await reportMissing(from: end, before: last ?? String(events.dropLast()) + "0", except: [], body)
    }

    private func states(_ keys: [String]) async throws -> [String: String] {
        guard let database else { return [:] }
        return try await database.run { connection in
            let rows = try connection.query(
                "SELECT object_key, state FROM nadi_store.object WHERE object_key = ANY ($1::text[])", [.texts(keys)]
            ).rows
            return Dictionary(rows.map { ($0.text(0), $0.text(1)) }, uniquingKeysWith: { first, _ in first })
        }
    }

    /// What came between the listing and the question to the ledger is not missing: the store is asked again.
    private func reportMissing(
        from: String, before: String, except listed: Set<String>, _ body: (Step) async throws -> Void
    ) async throws {
        guard let database, from < before else { return }
        var from = from
        while true {
            let begin = from
            let keys = try await database.run { connection in
                try connection.query(
                    """
                    SELECT object_key FROM nadi_store.object
                    WHERE object_key >= $1 AND object_key < $2 AND state IN ('loaded', 'lost')
                    ORDER BY object_key LIMIT 1000
                    """, [.text(begin), .text(before)]
                ).rows.map { $0.text(0) }
            }
            for key in keys where !listed.contains(key) {
                if try await store.head(key) == nil { try await body(.missing(key: key)) }
            }
            guard keys.count == 1000, let last = keys.last else { return }
            from = last + "\u{1}"
        }
    }
}
