package import TableStorage

/// How far outcomes are joined: sums of the view `nadi.outcome_arrival`, and the hours that wait for their join.
///
/// Costs as much as there are waiting outcomes.
package struct WaitingOutcomes: Sendable {
    /// All outcome and feedback lines that ever arrived.
    package let lines: Int64
    package let joined: Int64
    /// Their hour is to be joined, or the sweep is to look for their prediction.
    package let waiting: Int64
    /// Their prediction was looked for and not found.
    package let unmatched: Int64
    package let dirtyHours: Int64
    /// Hours whose last join failed.
    package let failedHours: Int64
    /// Since when the oldest mark waits; nil where none does.
    package let dirtySince_ms: Int64?

    /// Reads them.
    /// - Throws: ``DatabaseError``.
    package init(_ connection: Connection) throws {
        try self.init(counts: try Self.count(connection), connection)
    }

    /// Reads them as they were at most five minutes ago, but for the hours, which are those of now: for who asks all the time.
    /// - Throws: ``DatabaseError``.
    package init(recent connection: Connection) throws {
        let kept = try connection.query(
            """
            SELECT string_to_array(value, ' ')::bigint[] FROM nadi_store.loader_state
            WHERE name = 'outcomes_counted' AND at > now() - interval '5 minutes'
            """
        ).first?.integers(0)
        if let kept, kept.count == 4 {
            try self.init(counts: kept, connection)
            return
        }
        let counts = try Self.count(connection)
        try connection.query(
            """
            INSERT INTO nadi_store.loader_state (name, at, value) VALUES ('outcomes_counted', now(), $1)
            ON CONFLICT (name) DO UPDATE SET at = EXCLUDED.at, value = EXCLUDED.value
            """, [.text(counts.map(String.init).joined(separator: " "))])
        try self.init(counts: counts, connection)
    }

    private init(counts: [Int64], _ connection: Connection) throws {
        (lines, joined, waiting, unmatched) = (counts[0], counts[1], counts[2], counts[3])
        let dirty = try connection.query(
            "SELECT count(*), count(*) FILTER (WHERE failures > 0), min(since) FROM nadi_store.dirty_hour")[0]
        (dirtyHours, failedHours, dirtySince_ms) = (dirty.integer(0), dirty.integer(1), dirty.optionalTime(2))
    }

    private static func count(_ connection: Connection) throws -> [Int64] {
        let row = try connection.query(
            """
            SELECT coalesce(sum(line_count), 0)::bigint, coalesce(sum(joined_count), 0)::bigint,
                   coalesce(sum(waiting_count), 0)::bigint, coalesce(sum(unmatched_count), 0)::bigint
            FROM nadi.outcome_arrival
            """)[0]
        return (0..<4).map { row.integer($0) }
    }
}
