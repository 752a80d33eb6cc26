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
                    remedy: "Put another in its place: `nadi reference activate --model "
                        + "\(ShellWord.quoted(entry.model)) NAME "
                        + "--effective-from \(hour)`, or none with --none instead of NAME")
            }
            if entry.hours > 0 { throw try binned(entry, connection) }
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

    /// The refusal to delete what hours are binned on, with the way to bin them on something else, where there is one.
    private static func binned(
        _ entry: ReferenceListing.Entry, _ connection: Connection
    ) throws -> LoadError {
        let row = try connection.query(
            """
            SELECT min(hour) FILTER (WHERE NOT u.is_closed), max(hour) FILTER (WHERE NOT u.is_closed),
                   count(*) FILTER (WHERE u.is_closed)
            FROM (SELECT h.hour, EXISTS (SELECT FROM nadi_store.expired_hour AS x WHERE x.hour = h.hour) AS is_closed
                  FROM nadi_store.hour_edge_set AS h JOIN nadi_store.model USING (model_id)
                  WHERE model_name = $1 AND edge_set_id = $2) AS u
            """, [.text(entry.model), .integer(entry.id)])[0]
        let message = "\(entry.hours) loaded hours are binned on the reference \(entry.name) of \(entry.model)"
        let closed = row.integer(2)
        if closed > 0 {
            return LoadError(
                .reference,
                message + (closed < entry.hours ? ", \(closed) of them for ever: " : ": ")
                    + "their objects are past archive_days, so that they cannot be rebuilt",
                remedy: "The reference stays for as long as these hours do")
        }
        let from = row.optionalTime(0) ?? 0
        let to = LoadClock.rfcHour((row.optionalTime(1) ?? from) + LoadClock.hour_ms)
        return LoadError(
            .reference, message,
            remedy: "Bin them on what is in force now: `nadi rebuild --from \(LoadClock.rfcHour(from)) --to \(to)`")
    }
}
