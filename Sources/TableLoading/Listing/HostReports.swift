internal import EventModel
package import EventSegments
package import ObjectStorage
package import TableStorage

/// Reads `hosts/<host>.json` and keeps the hosts' and writers' counts, which only grow.
package struct HostReports: Sendable {
    let store: any ObjectStore
    let database: DatabaseThread
    let prefix: String

    package init(store: any ObjectStore, database: DatabaseThread, prefix: String) {
        self.store = store
        self.database = database
        self.prefix = prefix
    }

    /// Reads all reports and records them; returns what could not be read, by key.
    /// - Throws: `StorageError` for the listing, ``DatabaseError``.
    package func refresh() async throws -> [(key: String, reason: String)] {
        var failures: [(key: String, reason: String)] = []
        var keys: [String] = []
        try await store.forEachObject(prefix: ObjectKey.hosts(prefix: prefix)) { object in
            if object.key.hasSuffix(".json") { keys.append(object.key) }
        }
        for key in keys {
            do {
                let report = try HostReport(decoding: try await store.get(key))
                try await record(report)
            } catch let error as ObjectFormatError {
                failures.append((key, error.description))
            } catch let error as StorageError {
                failures.append((key, error.description))
            }
        }
        return failures
    }

    /// The newest report of each host, before a listing of the bucket.
    package struct Covered: Sendable {
        let hosts: [Int64]
        let reported_ms: [Int64]
        /// -1 for none.
        let oldest_ms: [Int64]
    }

    /// What a listing that begins now will cover.
    package func newest() async throws -> Covered {
        try await database.run { connection in
            let rows = try connection.query(
                """
                SELECT host_id, reported_at, oldest_unshipped_at FROM nadi_store.host
                WHERE reported_at IS NOT NULL ORDER BY host_id
                """
            ).rows
            return Covered(
                hosts: rows.map { $0.integer(0) }, reported_ms: rows.map { $0.time(1) },
                oldest_ms: rows.map { $0.optionalTime(2) ?? -1 })
        }
    }

    /// Records that a listing has followed these reports and that all its new objects are claimed.
    package func cover(_ covered: Covered) async throws {
        try await database.run { connection in
            _ = try connection.query(
                """
                UPDATE nadi_store.host AS h SET covered_at = u.reported,
                    covered_oldest_at = CASE WHEN u.oldest >= 0 THEN to_timestamp(u.oldest / 1000.0) END
                FROM unnest($1::int[], $2::timestamptz[], $3::bigint[]) AS u (id, reported, oldest)
                WHERE h.host_id = u.id AND (h.covered_at IS NULL OR h.covered_at < u.reported)
                """, [.integers(covered.hosts), .times(covered.reported_ms), .integers(covered.oldest_ms)])
        }
    }

    /// Records one report; an older one than the recorded changes nothing but counts, which only grow.
    ///
    /// A partial report lacks the writers of a spool directory that could not be read: they are taken to be as they were,
    /// and nothing counts as complete beyond what was known before.
    package func record(_ report: HostReport) async throws {
        try await database.run { connection in
            try connection.transaction {
                let host = try Self.hostID(report.host, connection)
                if report.isPartial {
                    try connection.query(
                        """
                        UPDATE nadi_store.writer AS w SET reported_at = $2 FROM nadi_store.host AS h
                        WHERE h.host_id = $1 AND w.host_id = $1 AND w.reported_at = h.reported_at
                            AND h.reported_at < $2
                        """, [.integer(host), .time(report.time_ms)])
                }
                try connection.query(
                    """
                    UPDATE nadi_store.host SET reported_at = $2, state = $3, shipper_version = $4,
                        unshipped_segments = $5, unshipped_lines = $6, unshipped_bytes = $7,
                        oldest_unshipped_at = CASE WHEN $11
                            THEN least($8, coalesce(oldest_unshipped_at, reported_at, $2)) ELSE $8 END,
                        last_upload_at = $9, last_error = $10
                    WHERE host_id = $1 AND (reported_at IS NULL OR reported_at <= $2)
                    """,
                    [
                        .integer(host), .time(report.time_ms), .text(report.state.rawValue),
                        .text(report.shipperVersion), .integer(Int64(report.unshipped.segments)),
                        .integer(Int64(report.unshipped.lines)), .integer(Int64(report.unshipped.bytes)),
                        .optionalTime(report.unshipped.oldest_ms), .optionalTime(report.lastUpload_ms),
                        .optional(report.lastError), .boolean(report.isPartial),
                    ])
                for writer in report.writers.sorted(by: { $0.writer < $1.writer }) {
                    try connection.query(
                        """
                        INSERT INTO nadi_store.writer AS w
                            (writer, host_id, appended, written, dropped_buffer_full, dropped_disk_full,
                             dropped_io_error, dropped_too_large, dropped_invalid, reported_at, reported_segments)
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::bigint[])
                        ON CONFLICT (writer) DO UPDATE SET
                            appended = greatest(w.appended, EXCLUDED.appended),
                            written = greatest(w.written, EXCLUDED.written),
                            dropped_buffer_full = greatest(w.dropped_buffer_full, EXCLUDED.dropped_buffer_full),
                            dropped_disk_full = greatest(w.dropped_disk_full, EXCLUDED.dropped_disk_full),
                            dropped_io_error = greatest(w.dropped_io_error, EXCLUDED.dropped_io_error),
                            dropped_too_large = greatest(w.dropped_too_large, EXCLUDED.dropped_too_large),
                            dropped_invalid = greatest(w.dropped_invalid, EXCLUDED.dropped_invalid),
                            reported_segments = CASE WHEN w.reported_at IS NULL OR w.reported_at <= EXCLUDED.reported_at
                                                     THEN EXCLUDED.reported_segments ELSE w.reported_segments END,
                            reported_at = greatest(w.reported_at, EXCLUDED.reported_at)
                        """,
                        [
                            .text(writer.writer), .integer(host), .integer(Int64(writer.counts.appended)),
                            .integer(Int64(writer.counts.written)), .integer(Int64(writer.counts.dropped.buffer_full)),
                            .integer(Int64(writer.counts.dropped.disk_full)),
                            .integer(Int64(writer.counts.dropped.io_error)),
                            .integer(Int64(writer.counts.dropped.too_large)),
                            .integer(Int64(writer.counts.dropped.invalid)), .time(report.time_ms),
                            .integers(writer.spoolSegments.map(Int64.init)),
                        ])
                }
            }
        }
    }

    /// The host's number, made if it is new.
    static func hostID(_ host: String, _ connection: Connection) throws -> Int64 {
        if let row = try connection.query(
            "SELECT host_id FROM nadi_store.host WHERE host = $1", [.text(host)]
        ).first {
            return row.integer(0)
        }
        try connection.query(
            "INSERT INTO nadi_store.host (host) VALUES ($1) ON CONFLICT (host) DO NOTHING", [.text(host)])
        return try connection.query("SELECT host_id FROM nadi_store.host WHERE host = $1", [.text(host)])[0].integer(0)
    }
}
