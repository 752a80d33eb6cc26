internal import EventSegments
internal import TableStorage

/// Writes into the ledger that loaded objects are gone from the bucket.
///
/// They are `expired` when they were older than `archive_days`, `lost` before that; one that is there again is `loaded`.
struct GoneObjects {
    let loader: Loader

    init(_ loader: Loader) { self.loader = loader }

    /// Selects loaded objects of the same number of segments, lines and hash as the object `o`.
    static let sameContent = """
        SELECT FROM nadi_store.object AS c WHERE c.object_id <> o.object_id AND c.loaded_at IS NOT NULL AND c.lines = o.lines
          AND right(c.object_key, length(substring(o.object_key FROM '-[^/]*$'))) = substring(o.object_key FROM '-[^/]*$')
        """

    /// Compares the whole bucket with the ledger.
    func record(_ listing: ObjectListing, now_ms: Int64) async throws {
        let oldest_ms = now_ms - loader.settings.retention.archiveDays * LoadClock.day_ms
        var changes: [(key: String, state: String)] = []
        try await listing.compare { difference in
            switch difference {
            case .unknown, .changed, .stray: break
            case .missing(let key):
                let sealed_ms = ObjectKey(parsing: key, prefix: loader.settings.prefix)?.sealed_ms ?? now_ms
                changes.append((key, sealed_ms < oldest_ms ? "expired" : "lost"))
            case .restored(let key): changes.append((key, "loaded"))
            }
            if changes.count >= 1000 {
                try await write(changes)
                changes = []
            }
        }
        if !changes.isEmpty { try await write(changes) }
    }

    /// Objects that were never loaded stay what they are: poisoned ones name the loss. One that held nothing but the
    /// segments of a loaded object, as its name says, was a copy: it is forgotten.
    private func write(_ changes: [(key: String, state: String)]) async throws {
        try await loader.side.run { connection in
            _ = try connection.query(
                """
                UPDATE nadi_store.object AS o SET state = u.state
                FROM unnest($1::text[], $2::text[]) AS u (key, state)
                WHERE o.object_key = u.key AND o.loaded_at IS NOT NULL AND o.state IN ('loaded', 'lost', 'expired')
                """, [.texts(changes.map(\.key)), .texts(changes.map(\.state))])
            let gone = changes.filter { $0.state != "loaded" }.map(\.key)
            _ = try connection.query(
                """
                DELETE FROM nadi_store.object AS o
                WHERE o.object_key = ANY ($1::text[]) AND o.state = 'poisoned' AND o.loaded_at IS NULL
                  AND (o.lease_until IS NULL OR o.lease_until < now()) AND EXISTS (\(Self.sameContent))
                """, [.texts(gone)])
        }
    }
}
