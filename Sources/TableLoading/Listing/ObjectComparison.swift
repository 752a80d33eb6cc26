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
        /// Loaded, and of another size or ETag in the bucket than it had when it was claimed.
        case changed(Entry)
        /// Under `events/`, with a name that is none of an object's, or not in the folder of its hour and host.
        case stray(key: String)
    }

    /// What the ledger says of a key.
    private struct Known {
        let key: String
        let isGone: Bool
        let isLoaded: Bool
        let size: Int64
        let etag: String?

        /// An object that could not be read at first was replaced since: what it was then says nothing.
        func differs(from entry: Entry) -> Bool {
            guard isLoaded, etag != "" else { return false }
            if size != Int64(entry.size) { return true }
            guard let etag, let now = entry.etag else { return false }
            return etag != now
        }
    }

    /// Walks bucket and ledger side by side, an hour's folder at a time, and reports what differs.
    ///
    /// Stores differ in the order of keys within a folder, not in that of the folders, whose names are equally long. What
    /// came between the listing and the question to the ledger is not missing: the store is asked again for each such key.
    /// Memory: one folder.
    /// - Parameter days: the UTC days whose folders are compared, from an instant of the first until before the end; nil
    ///   for all.
    package func compare(days: Range<Int64>? = nil, _ body: (Difference) async throws -> Void) async throws {
        let events = ObjectKey.events(prefix: prefix)
        let begin = try await database.run { try Self.ledgerBegin($0) }
        guard let days else { return try await compare(under: events, since: begin, body) }
        var day = LoadClock.day(days.lowerBound)
        while day < days.upperBound {
            try await compare(under: events + "dt=\(LoadClock.dayText(day))/", since: begin, body)
            day += LoadClock.day_ms
        }
    }

    private func compare(
        under base: String, since begin: Int64, _ body: (Difference) async throws -> Void
    ) async throws {
        // dt=2026-11-23/hr=04/
        let length = ObjectKey.events(prefix: prefix).utf8.count + 20
        var end = base
        try await store.forEachGroup(
            prefix: base, pageSize: pageSize,
            of: { key in
                guard key.utf8.count > length, key.utf8.dropFirst(length - 1).first == UInt8(ascii: "/") else {
                    return ""
                }
                return String(key.prefix(length))
            }
        ) { (folder: String, objects: [ObjectInfo]) in
            var listed: [Entry] = []
            for object in objects {
                if let entry = Entry(object, prefix: prefix) {
                    if entry.sealed_ms >= begin { listed.append(entry) }
                } else if !object.key.hasSuffix("/") {
                    try await body(.stray(key: object.key))
                }
            }
            if folder.isEmpty || listed.isEmpty || folder < end { return }
            try await reportMissing(from: end, before: folder, body)
            let after = String(folder.dropLast()) + "0"
            let known = try await ledger(from: folder, before: after)
            let states = Dictionary(known.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
            for entry in listed {
                switch states[entry.key] {
                case nil: try await body(.unknown(entry))
                case let row? where row.isGone: try await body(.restored(key: entry.key))
                case let row?: if row.differs(from: entry) { try await body(.changed(entry)) }
                }
            }
            let keys = Set(listed.map(\.key))
            for row in known where !row.isGone && !keys.contains(row.key) { try await report(row.key, body) }
            end = after
        }
        try await reportMissing(from: end, before: String(base.dropLast()) + "0", body)
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

    private func ledger(from: String, before: String, limit: Int? = nil) async throws -> [Known] {
        try await database.run { connection in
            try connection.query(
                """
                SELECT object_key, state IN ('expired', 'lost'), state = 'loaded', size_bytes, etag
                FROM nadi_store.object
                WHERE object_key >= $1 AND object_key < $2 ORDER BY object_key LIMIT $3::bigint
                """, [.text(from), .text(before), .optional(limit.map(String.init))]
            ).rows.map {
                Known(
                    key: $0.text(0), isGone: $0.boolean(1), isLoaded: $0.boolean(2), size: $0.integer(3),
                    etag: $0.optionalText(4))
            }
        }
    }
}
