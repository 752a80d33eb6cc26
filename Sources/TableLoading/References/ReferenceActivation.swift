package import TableStorage

/// Which reference is in force from which hour (of events) on.
package enum ReferenceActivation {
    /// What an activation means for hours that are loaded already.
    package struct Effect: Sendable {
        /// The hour from which on it holds, milliseconds since the epoch.
        package var from_ms: Int64
        /// The hour from which on another one holds; nil for none.
        package var until_ms: Int64?
        /// Loaded hours in that range that were binned on other edges.
        package var otherHours: Int64
        package var firstOther_ms: Int64?
        package var lastOther_ms: Int64?
    }

    /// Puts a reference in force, or none.
    ///
    /// - Parameters:
    ///   - reference: its name or number; nil for none from then on.
    ///   - from_ms: the begin of an hour.
    /// - Throws: ``LoadError`` with ``LoadError/Code/reference``; ``DatabaseError``.
    package static func activate(
        model: String, reference: String?, from_ms: Int64, _ connection: Connection
    ) throws -> Effect {
        try requireHour(from_ms)
        if reference != nil, let fault = ReferenceStore.fault(model: model) {
            throw LoadError(.reference, "--model \(fault)", remedy: "Name a model that is counted by itself")
        }
        return try connection.transaction {
            let modelID = try ReferenceListing.model(model, connection)
            let found = try reference.map { try ReferenceListing.find($0, model: model, connection) }
            if let found {
                // Whoever deletes it meanwhile comes first or finds it in force.
                try connection.query(
                    "SELECT FROM nadi_store.reference WHERE reference_id = $1 FOR SHARE", [.integer(found.id)])
                _ = try ReferenceListing.find(id: found.id, connection)
            }
            try set(model: modelID, reference: found?.id, from_ms: from_ms, connection)
            return try effect(model: modelID, reference: found?.id, from_ms: from_ms, connection)
        }
    }

    /// - Throws: ``LoadError`` with ``LoadError/Code/reference`` unless the time is the begin of an hour.
    package static func requireHour(_ time_ms: Int64) throws(LoadError) {
        guard LoadClock.hour(time_ms) != time_ms else { return }
        throw LoadError(
            .reference,
            "effective_from is an hour of events, and \(LoadClock.secondText(time_ms)) UTC is not the begin of one",
            remedy: "Say \(LoadClock.rfcHour(LoadClock.hour(time_ms))) or \(LoadClock.rfcHour(nextHour(time_ms)))")
    }

    /// The begin of the next full hour.
    package static func nextHour(_ time_ms: Int64) -> Int64 { LoadClock.hour(time_ms) + LoadClock.hour_ms }

    static func set(model: Int64, reference: Int64?, from_ms: Int64, _ connection: Connection) throws {
        try connection.query(
            """
            INSERT INTO nadi_store.reference_activation (model_id, effective_from, reference_id) VALUES ($1, $2, $3)
            ON CONFLICT (model_id, effective_from) DO UPDATE SET reference_id = EXCLUDED.reference_id, activated_at = now()
            """, [.integer(model), .time(from_ms), .optional(reference)])
        // What is loaded already was compared with another reference, or with none.
        try connection.query("SELECT nadi_store.mark_drift($1::int, $2)", [.integer(model), .time(from_ms)])
    }

    /// What an activation leaves as it is.
    package static func effect(
        model: Int64, reference: Int64?, from_ms: Int64, _ connection: Connection
    ) throws -> Effect {
        let row = try connection.query(
            """
            WITH next AS (
                SELECT min(effective_from) AS hour FROM nadi_store.reference_activation
                WHERE model_id = $1 AND effective_from > $2
            )
            SELECT (SELECT hour FROM next), count(*), min(h.hour), max(h.hour)
            FROM nadi_store.hour_edge_set AS h
            WHERE h.model_id = $1 AND h.hour >= $2 AND h.hour < coalesce((SELECT hour FROM next), 'infinity')
              AND h.edge_set_id <> coalesce($3::int, 0)
            """, [.integer(model), .time(from_ms), .optional(reference)])[0]
        return Effect(
            from_ms: from_ms, until_ms: row.optionalTime(0), otherHours: row.integer(1),
            firstOther_ms: row.optionalTime(2), lastOther_ms: row.optionalTime(3))
    }
}
