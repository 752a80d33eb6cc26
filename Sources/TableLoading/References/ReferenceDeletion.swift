internal import EventModel
package import TableStorage

extension ReferenceStore {
    /// Deletes a reference: its rows go, its number and that it was there stay, its name is free again.
    ///
    /// - Throws: ``LoadError`` with ``LoadError/Code/reference`` where it is in force, or hours are binned on it;
    ///   ``DatabaseError``.
    @discardableResult
    package static func delete(
        _ text: String, model: String?, _ connection: Connection
    ) throws -> ReferenceListing.Entry {
        try connection.transaction {
            let found = try ReferenceListing.find(text, model: model, connection)
            // Whoever activates it meanwhile waits here, and then finds it deleted.
            try connection.query(
                "SELECT FROM nadi_store.reference WHERE reference_id = $1 FOR UPDATE", [.integer(found.id)])
            let entry = try ReferenceListing.find(id: found.id, connection)
            if let range = entry.inForce.first {
                let hour = LoadClock.rfcHour(range.from_ms)
                throw LoadError(
                    .reference,
                    "the reference \(entry.name) of \(entry.model) is in force from \(LoadClock.hourText(range.from_ms)) UTC "
                        + (range.until_ms.map { "until \(LoadClock.hourText($0)) UTC" } ?? "on"),
                    remedy: "Put another in its place: `nadi reference activate --model \(entry.model) NAME "
                        + "--effective-from \(hour)`, or none with --none instead of NAME")
            }
            if entry.hours > 0 {
                let row = try connection.query(
                    """
                    SELECT min(hour), max(hour) FROM nadi_store.hour_edge_set AS h JOIN nadi_store.model USING (model_id)
                    WHERE model_name = $1 AND edge_set_id = $2
                    """, [.text(entry.model), .integer(entry.id)])[0]
                let to = LoadClock.rfcHour(row.time(1) + LoadClock.hour_ms)
                throw LoadError(
                    .reference,
                    "\(entry.hours) loaded hours are binned on the reference \(entry.name) of \(entry.model)",
                    remedy:
                        "Bin them on what is in force now: `nadi rebuild --from \(LoadClock.rfcHour(row.time(0))) --to \(to)`"
                )
            }
            for table in ["feature", "score", "spread", "performance"] {
                try connection.query(
                    "DELETE FROM nadi_store.reference_\(table) WHERE reference_id = $1", [.integer(entry.id)])
            }
            try connection.query(
                """
                UPDATE nadi_store.reference SET deleted_at = now(),
                    reference_name = reference_name || ' (deleted ' || reference_id || ')'
                WHERE reference_id = $1
                """, [.integer(entry.id)])
            return entry
        }
    }
}

extension LoadClock {
    /// `2026-11-23T10:00:00Z`.
    package static func rfcHour(_ time_ms: Int64) -> String {
        dayText(time_ms) + "T" + hourText(time_ms).suffix(5) + ":00Z"
    }

    /// `2026-11-23 10:15:30`.
    package static func secondText(_ time_ms: Int64) -> String {
        dayText(time_ms) + " " + Timestamp.format(time_ms).dropFirst(11).prefix(8)
    }
}
