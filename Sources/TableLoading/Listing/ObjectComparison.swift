internal import EventSegments
internal import ObjectStorage
internal import TableStorage

extension ObjectListing {
    /// One difference between the bucket and the ledger.
    package enum Difference: Sendable, Hashable {
        /// In the bucket, not in the ledger.
        case unknown(Entry)
        /// In the ledger, not in the bucket.
        case missing(key: String)
        /// In the bucket, and `expired` or `lost` in the ledger.
        case restored(key: String)
    }

    /// Walks bucket and ledger side by side, an hour's folder at a time, and reports what only one of them has.
    ///
    /// Stores differ in the order of keys within a folder, not in that of the folders, whose names are equally long. What
    /// came between the listing and the question to the ledger is not missing: the store is asked again for each such key.
    /// Memory: one folder.
    package func compare(_ body: (Difference) async throws -> Void) async throws {
        let events = ObjectKey.events(prefix: prefix)
        let begin = try await database.run { try Self.ledgerBegin($0) }
        // dt=2026-11-23/hr=04/
        let length = events.utf8.count + 20
        var end = events
        try await store.forEachGroup(
            prefix: events, pageSize: pageSize,
            of: { key in
                guard key.utf8.count > length, key.utf8.dropFirst(length - 1).first == UInt8(ascii: "/") else {
                    return ""
                }
                return String(key.prefix(length))
            }
        ) { (folder: String, objects: [ObjectInfo]) in
            let listed = objects.compactMap { Entry($0, prefix: prefix) }.filter { $0.sealed_ms >= begin }
            if folder.isEmpty || listed.isEmpty || folder < end { return }
            try await reportMissing(from: end, before: folder, body)
            let after = String(folder.dropLast()) + "0"
            let known = try await ledger(from: folder, before: after)
            let states = Dictionary(known.map { ($0.key, $0.isGone) }, uniquingKeysWith: { first, _ in first })
            for entry in listed {
                switch states[entry.key] {
                case nil: try await body(.unknown(entry))
                case true?: try await body(.restored(key: entry.key))
                case false?: break
                }
            }
            let keys = Set(listed.map(\.key))
            for row in known where !row.isGone && !keys.contains(row.key) { try await report(row.key, body) }
            end = after
        }
        try await reportMissing(from: end, before: String(events.dropLast()) + "0", body)
    }

    private func report(_ key: String, _ body: (Difference) async throws -> Void) async throws {
        if try await store.head(key) == nil { try await body(.missing(key: key)) }
    }

    /// Hours of which the bucket lists nothing.
    private func reportMissing(
        from: String, before: String, _ body: (Difference) async throws -> Void
    ) async throws {
        var from = from
        while true {
            let rows = try await ledger(from: from, before: before, limit: 1000)
            for row in rows where !row.isGone { try await report(row.key, body) }
            guard rows.count == 1000, let last = rows.last else { return }
            from = last.key + "\u{1}"
        }
    }

    private func ledger(
        from: String, before: String, limit: Int? = nil
    ) async throws -> [(key: String, isGone: Bool)] {
        try await database.run { connection in
            try connection.query(
                """
                SELECT object_key, state IN ('expired', 'lost') FROM nadi_store.object
                WHERE object_key >= $1 AND object_key < $2 ORDER BY object_key LIMIT $3::bigint
                """, [.text(from), .text(before), .optional(limit.map(String.init))]
            ).rows.map { ($0.text(0), $0.boolean(1)) }
        }
    }
}
