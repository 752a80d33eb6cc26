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
        let row = try connection.query(
            """
            SELECT coalesce(sum(line_count), 0)::bigint, coalesce(sum(joined_count), 0)::bigint,
                   coalesce(sum(waiting_count), 0)::bigint, coalesce(sum(unmatched_count), 0)::bigint
            FROM nadi.outcome_arrival
            """)[0]
        (lines, joined, waiting, unmatched) = (row.integer(0), row.integer(1), row.integer(2), row.integer(3))
        let dirty = try connection.query(
            "SELECT count(*), count(*) FILTER (WHERE failures > 0), min(since) FROM nadi_store.dirty_hour")[0]
        (dirtyHours, failedHours, dirtySince_ms) = (dirty.integer(0), dirty.integer(1), dirty.optionalTime(2))
    }
}
