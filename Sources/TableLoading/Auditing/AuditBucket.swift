internal import EventSegments
internal import ObjectStorage
internal import RecordBatches
internal import TableStorage

/// What the bucket's listing showed.
struct AuditBucket: Sendable {
    /// In the bucket, not in the ledger, longer than the grace.
    var unloaded: [ObjectListing.Entry] = []
    /// The same, within the grace: on their way.
    var arriving: [ObjectListing.Entry] = []
    var missing: [String] = []
    /// Recorded as gone, and there again.
    var restored: [String] = []
    /// Stored again since they were loaded, with what their bytes say against the ledger; nil where they say the same.
    var changed: [(entry: ObjectListing.Entry, fault: String?)] = []
    /// Named as no object is.
    var stray: [String] = []

    mutating func add(_ difference: ObjectListing.Difference, _ scope: AuditScope, now_ms: Int64) {
        switch difference {
        case .unknown(let entry):
            guard scope.holds(sealed_ms: entry.sealed_ms), scope.host ?? entry.host == entry.host else { return }
            if now_ms - entry.modified_ms < Audit.grace_ms { arriving.append(entry) } else { unloaded.append(entry) }
        case .missing(let key): missing.append(key)
        case .restored(let key): restored.append(key)
        case .changed(let entry): changed.append((entry, nil))
        case .stray(let key): stray.append(key)
        }
    }
}

/// Objects read again and held against what the ledger has loaded of them.
struct ObjectProof {
    let store: any ObjectStore
    let database: DatabaseThread

    /// What is wrong with an object; nil where each segment that the ledger has of it is there, byte for byte.
    ///
    /// One object in memory.
    /// - Throws: `StorageError` other than that the object is gone; ``DatabaseError``.
    func fault(_ key: String) async throws -> String? {
        let loaded = try await database.run { connection in
            try connection.query(
                """
                SELECT w.writer, s.seq, encode(s.raw_sha256, 'hex') FROM nadi_store.segment AS s
                JOIN nadi_store.object AS o USING (object_id) JOIN nadi_store.writer AS w USING (writer_id)
                WHERE o.object_key = $1
                """, [.text(key)]
            ).rows.map { (place: LoadBatch.Place(writer: $0.text(0), seq: Int($0.integer(1))), sha: $0.text(2)) }
        }
        do {
            let reader = try ObjectReader(try await store.get(key))
            var found: Set<String> = []
            for (index, segment) in reader.manifest.segments.enumerated() {
                try reader.read(index) { _ in }
                found.insert("\(segment.writer)-\(segment.seq) \(segment.rawSHA256)")
            }
            for one in loaded where !found.contains("\(one.place.writer)-\(one.place.seq) \(one.sha)") {
                return "segment \(one.place.writer)-\(one.place.seq) has other bytes than those loaded"
            }
            return nil
        } catch let error as ObjectError {
            return error.description
        } catch let error as StorageError where error.kind == .notFound {
            return "it is gone"
        }
    }

    /// Records an object's present size and ETag as those of what was loaded.
    func accept(_ entry: ObjectListing.Entry) async throws {
        try await database.run { connection in
            _ = try connection.query(
                """
                UPDATE nadi_store.object SET size_bytes = $2, etag = nullif($3, '')
                WHERE object_key = $1 AND state = 'loaded'
                """, [.text(entry.key), .integer(Int64(entry.size)), .text(entry.etag ?? "")])
        }
    }
}
