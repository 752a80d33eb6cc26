package import TableStorage

/// Rows of the ledger that say which loader works on an object, with a lease that another may take over once it has
/// run out.
package struct ObjectClaims: Sendable {
    /// An object that this loader may load.
    package struct Claim: Sendable, Hashable {
        package let objectID: Int64
        package let key: String
        package let size: Int
        package let sealed_ms: Int64
        package let attempts: Int
    }

    let database: DatabaseThread
    let owner: String
    let lease_s: Int64

    package init(database: DatabaseThread, owner: String, lease_s: Int64) {
        self.database = database
        self.owner = owner
        self.lease_s = lease_s
    }

    /// Claims new objects under the hosts of their keys; those that another loader has claimed meanwhile are left out.
    package func claim(_ entries: [ObjectListing.Entry]) async throws -> [Claim] {
        let sorted = entries.sorted { $0.key < $1.key }
        let owner = owner
        let lease = lease_s
        return try await database.run { connection in
            for host in Set(sorted.map(\.host)).sorted() { _ = try HostReports.hostID(host, connection) }
            for month in Set(sorted.map { LoadClock.dayText($0.sealed_ms).prefix(7) }).sorted() {
                try connection.query("SELECT nadi_store.ensure_ledger($1::timestamptz)", [.text("\(month)-01Z")])
            }
            return try connection.query(
                """
                INSERT INTO nadi_store.object AS o
                    (object_key, host_id, sealed_at, size_bytes, etag, state, lines, attempts, lease_owner,
                     lease_until)
                SELECT u.key, h.host_id, u.sealed, u.size, nullif(u.etag, ''), 'claimed', u.lines, 1, $6,
                       now() + $7::bigint * interval '1 second'
                FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::text[], $5::bigint[], $8::text[])
                    AS u (key, sealed, size, etag, lines, host)
                JOIN nadi_store.host AS h ON h.host = u.host
                WHERE u.sealed >= nadi_store.ledger_begin()
                ORDER BY u.key COLLATE "C"
                ON CONFLICT (object_key, sealed_at) DO NOTHING
                RETURNING object_id, object_key, size_bytes, sealed_at, attempts
                """,
                [
                    .texts(sorted.map(\.key)), .times(sorted.map(\.sealed_ms)),
                    .integers(sorted.map { Int64($0.size) }),
                    .texts(sorted.map { $0.etag ?? "" }), .integers(sorted.map { Int64($0.lines) }), .text(owner),
                    .integer(lease), .texts(sorted.map(\.host)),
                ]
            ).rows.map(Self.claim)
        }
    }

    /// Takes over what is unfinished and due: leases that ran out, poisoned objects whose time has come again, and
    /// pending ones whose mappings are all known now.
    package func claimUnfinished(limit: Int, knownFormats: [String]) async throws -> [Claim] {
        let owner = owner
        let lease = lease_s
        return try await database.run { connection in
            try connection.query(
                """
                UPDATE nadi_store.object AS o
                SET state = 'claimed', lease_owner = $1, lease_until = now() + $2::bigint * interval '1 second',
                    attempts = o.attempts + 1
                FROM (SELECT object_id FROM nadi_store.object AS c
                      WHERE c.state IN ('claimed', 'poisoned', 'pending')
                        AND (c.lease_until IS NULL OR c.lease_until < now())
                        AND (c.next_attempt_at IS NULL OR c.next_attempt_at <= now())
                        AND (c.state <> 'pending' OR c.last_error IS NULL OR c.last_error = ANY ($4::text[]))
                      ORDER BY object_id LIMIT $3 FOR UPDATE SKIP LOCKED) AS due
                WHERE o.object_id = due.object_id
                RETURNING o.object_id, o.object_key, o.size_bytes, o.sealed_at, o.attempts
                """, [.text(owner), .integer(lease), .integer(Int64(limit)), .texts(knownFormats)]
            ).rows.map(Self.claim).sorted { $0.key < $1.key }
        }
    }

    /// Lengthens the leases of objects that are still being worked on.
    package func renew(_ objects: [Int64]) async throws {
        let owner = owner
        let lease = lease_s
        try await database.run { connection in
            _ = try connection.query(
                """
                UPDATE nadi_store.object SET lease_until = now() + $3::bigint * interval '1 second'
                WHERE object_id = ANY ($1::bigint[]) AND lease_owner = $2 AND state = 'claimed'
                """, [.integers(objects.sorted()), .text(owner), .integer(lease)])
        }
    }

    /// Gives objects back untouched, for another run.
    package func release(_ objects: [Int64]) async throws {
        let owner = owner
        try await database.run { connection in
            _ = try connection.query(
                """
                UPDATE nadi_store.object SET lease_until = NULL
                WHERE object_id = ANY ($1::bigint[]) AND lease_owner = $2 AND state = 'claimed'
                """, [.integers(objects.sorted()), .text(owner)])
        }
    }

    /// Records why an object could not be loaded; it is tried again after a minute, doubling up to six hours, or to
    /// `longest_s` seconds.
    package func setAside(_ claim: Claim, poisoned reason: String, longest_s: Int = 21_600) async throws {
        let owner = owner
        let delay = min(longest_s, 60 << min(max(0, claim.attempts - 1), 12))
        try await database.run { connection in
            _ = try connection.query(
                """
                UPDATE nadi_store.object
                SET state = 'poisoned', last_error = left($3, 500), lease_until = NULL, etag = '',
                    next_attempt_at = now() + $4::bigint * interval '1 second'
                WHERE object_id = $1 AND lease_owner = $2 AND state = 'claimed'
                """, [.integer(claim.objectID), .text(owner), .text(reason), .integer(Int64(delay))])
        }
    }

    /// Leaves an object until the configuration knows its mapping.
    package func setAside(_ claim: Claim, pendingMapping name: String, lines: Int) async throws {
        let owner = owner
        try await database.run { connection in
            _ = try connection.query(
                """
                UPDATE nadi_store.object
                SET state = 'pending', last_error = $3, lines = $4, lease_until = NULL, next_attempt_at = NULL
                WHERE object_id = $1 AND lease_owner = $2 AND state = 'claimed'
                """, [.integer(claim.objectID), .text(owner), .text(name), .integer(Int64(lines))])
        }
    }

    private static func claim(_ row: QueryResult.Row) -> Claim {
        Claim(
            objectID: row.integer(0), key: row.text(1), size: Int(row.integer(2)), sealed_ms: row.time(3),
            attempts: Int(row.integer(4)))
    }
}
