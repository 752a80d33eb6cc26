internal import EventModel
internal import EventSegments
internal import TableStorage

/// The ledger against the bucket.
extension AuditContext {
    /// The listing without what was loaded after it.
    func withoutLoaded(_ bucket: AuditBucket) throws -> AuditBucket {
        var bucket = bucket
        let keys = (bucket.unloaded + bucket.arriving).map(\.key)
        let known = Set(
            try connection.query(
                "SELECT object_key FROM nadi_store.object WHERE object_key = ANY ($1::text[])", [.texts(keys)]
            ).rows.map { $0.text(0) })
        bucket.unloaded.removeAll { known.contains($0.key) }
        bucket.arriving.removeAll { known.contains($0.key) }
        return bucket
    }

    /// Objects: the bucket's listing against the ledger; what is not loaded.
    func objects(_ bucket: AuditBucket, _ report: inout AuditReport) throws {
        for entry in bucket.arriving {
            note(
                "arriving:\(entry.key)", "object \(entry.key) (\(entry.lines) lines) is in the bucket, not loaded yet",
                host: entry.host, &report)
        }
        for entry in bucket.unloaded {
            fail(
                "unloaded:\(entry.key)",
                "object \(entry.key) (\(entry.lines) lines) is in the bucket for over 15 minutes, not loaded",
                "See that the loader runs (`systemctl status nadi-loader.timer`), or run `nadi load --all`",
                lines: Int64(entry.lines), host: entry.host, &report)
        }
        for key in bucket.stray {
            if key.hasSuffix(ObjectKey.suffix) {
                fail(
                    "stray:\(key)",
                    "object \(key) does not stand in the folder of its own hour and host: it was copied or renamed, and is "
                        + "not loaded", "Compare it with the object of the same name elsewhere, then delete it", &report
                )
            } else {
                note("stray:\(key)", "\(key) is no object of Nadi's", &report)
            }
        }
        for (entry, fault) in bucket.changed {
            if let fault {
                fail(
                    "changed:\(entry.key)",
                    "object \(entry.key) was stored again since it was loaded, with other bytes: \(fault)",
                    "Restore it (versioning, a copy); its hours cannot be rebuilt until then",
                    lines: Int64(entry.lines),
                    host: entry.host, &report)
            } else {
                note("changed:\(entry.key)", "object \(entry.key) was stored again, byte for byte the same", &report)
            }
        }
        try unfinished(bucket, &report)
        try missing(bucket, &report)
    }

    /// Objects that are in the ledger and not loaded, or recorded as gone.
    private func unfinished(_ bucket: AuditBucket, _ report: inout AuditReport) throws {
        let back = Set(bucket.restored)
        let missing = Set(bucket.missing)
        let rows = try connection.query(
            """
            SELECT o.object_key, o.state, o.lines, o.sealed_at, coalesce(o.last_error, ''), o.attempts,
                   coalesce(o.lease_until > now() - interval '15 minutes', o.claimed_at > now() - interval '15 minutes'),
                   coalesce(h.host, ''), o.state = 'poisoned' AND EXISTS (\(GoneObjects.sameContent)),
                   o.loaded_at IS NOT NULL
            FROM nadi_store.object AS o LEFT JOIN nadi_store.host AS h USING (host_id)
            WHERE o.state IN ('claimed', 'poisoned', 'pending', 'lost', 'expired') AND \(scope.sql("o.sealed_at"))
              AND ($1::text IS NULL OR h.host = $1) AND (o.state <> 'expired' OR o.loaded_at IS NULL)
            ORDER BY o.object_id
            """, [.optional(scope.host)]
        ).rows
        for row in rows {
            let key = row.text(0)
            let host = row.text(7)
            let lines = row.integer(2)
            switch row.text(1) {
            case "poisoned" where row.boolean(8) && missing.contains(key):
                note("copy:\(key)", "object \(key) is gone; it was a copy of one that is loaded", &report)
            case "poisoned":
                fail(
                    "poisoned:\(key)",
                    "object \(key) (\(lines) lines) cannot be read: \(row.text(4)) (\(row.integer(5)) attempts)"
                        + (row.boolean(8) ? "; an object with the same content is loaded" : ""),
                    row.boolean(8)
                        ? "It is a copy: delete it"
                        : "Restore it from a copy, or accept the loss; it is tried again by itself",
                    lines: lines, host: host, &report)
            case "pending":
                fail(
                    "pending:\(key)", "object \(key) (\(lines) lines) needs the mapping \(row.text(4))",
                    "Add the mapping to the configuration", lines: lines, host: host, &report)
            case "claimed" where row.boolean(6):
                note("claimed:\(key)", "object \(key) is being loaded", lines: lines, host: host, &report)
            case "claimed":
                fail(
                    "unfinished:\(key)", "object \(key) was claimed by a loader that has gone", "Run `nadi load`",
                    lines: lines, host: host, &report)
            case "lost" where back.contains(key):
                note("restored:\(key)", "object \(key) was lost and is there again: run `nadi load --all`", &report)
            case "lost": failLost(key, lines, host, isCounted: row.boolean(9), &report)
            default: break
            }
        }
    }

    private func missing(_ bucket: AuditBucket, _ report: inout AuditReport) throws {
        let rows = try connection.query(
            """
            SELECT o.object_key, o.lines, o.sealed_at, coalesce(h.host, '')
            FROM nadi_store.object AS o LEFT JOIN nadi_store.host AS h USING (host_id)
            WHERE o.object_key = ANY ($1::text[]) AND o.state = 'loaded' AND \(scope.sql("o.sealed_at"))
              AND ($2::text IS NULL OR h.host = $2) ORDER BY o.object_id
            """, [.texts(bucket.missing), .optional(scope.host)]
        ).rows
        for row in rows {
            let key = row.text(0)
            if now_ms - row.time(2) > settings.retention.archiveDays * LoadClock.day_ms {
                note("expired:\(key)", "object \(key) is past archive_days", lines: row.integer(1), &report)
            } else {
                failLost(key, row.integer(1), row.text(3), isCounted: true, &report)
            }
        }
    }

    private func failLost(
        _ key: String, _ lines: Int64, _ host: String, isCounted: Bool, _ report: inout AuditReport
    ) {
        fail(
            "lost:\(key)",
            "object \(key) (\(lines) lines\(isCounted ? ", counted" : ", never counted")) is in the ledger, not in the bucket",
            "Restore it (versioning, a copy), or accept the loss; its hours can no longer be rebuilt", lines: lines,
            host: host, &report)
    }
}
