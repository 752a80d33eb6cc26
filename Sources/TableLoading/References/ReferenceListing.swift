internal import EventModel
package import TableStorage

/// The references of models, as `nadi reference list` and `show` tell of them.
package enum ReferenceListing {
    /// A row of `nadi_store.reference`.
    package struct Entry: Sendable {
        package var id: Int64
        package var model: String
        package var name: String
        package var source: String
        package var rows: Int64
        package var sampledFrom: Int64
        package var labels: Int64
        package var task: String
        package var firstTime_ms: Int64?
        package var lastTime_ms: Int64?
        package var calibration: String
        package var created_ms: Int64
        package var isDeleted: Bool
        /// Ranges of hours in which it is in force; an end that is nil is open.
        package var inForce: [(from_ms: Int64, until_ms: Int64?)] = []
        /// Loaded hours that are binned on its edges.
        package var hours: Int64 = 0
    }

    /// All references, by model and number.
    ///
    /// - Parameter model: only of this one.
    package static func all(model: String?, deleted: Bool, _ connection: Connection) throws -> [Entry] {
        if let model { _ = try self.model(model, connection) }
        return try entries(
            "($1::text IS NULL OR m.model_name = $1) AND ($2 OR r.deleted_at IS NULL)",
            [.optional(model), .boolean(deleted)], connection)
    }

    /// A reference by its name or number.
    ///
    /// - Throws: ``LoadError`` with ``LoadError/Code/reference`` where there is none, or several models have one of the name.
    package static func find(_ text: String, model: String?, _ connection: Connection) throws -> Entry {
        let known = try all(model: model, deleted: false, connection)
        var found = known.filter { $0.name == text }
        if found.isEmpty, let id = Int64(text) { found = known.filter { $0.id == id } }
        if found.count > 1 {
            throw LoadError(
                .reference,
                "\(found.count) models have a reference \(text): \(found.map(\.model).joined(separator: ", "))",
                remedy: "Say --model, or the number")
        }
        guard let one = found.first else {
            let of = model.map { " of the model \($0)" } ?? ""
            let names = known.map(\.name).joined(separator: ", ")
            throw LoadError(
                .reference, "there is no reference \(text)\(of)",
                remedy: names.isEmpty ? "Make one with `nadi reference create`" : "There are: \(names)")
        }
        return one
    }

    /// A reference by its number, as it is now.
    /// - Throws: ``LoadError`` with ``LoadError/Code/reference`` where it is deleted.
    static func find(id: Int64, _ connection: Connection) throws -> Entry {
        let found = try entries(
            "r.reference_id = $1 AND r.deleted_at IS NULL", [.integer(id)], connection)
        guard let one = found.first else {
            throw LoadError(
                .reference, "the reference \(id) was deleted meanwhile", remedy: "See `nadi reference list`")
        }
        return one
    }

    /// The number of a model.
    /// - Throws: ``LoadError`` with ``LoadError/Code/configuration`` where there is none.
    package static func model(_ name: String, _ connection: Connection) throws -> Int64 {
        let rows = try connection.query("SELECT model_id FROM nadi_store.model WHERE model_name = $1", [.text(name)])
        if let row = rows.first { return row.integer(0) }
        let known = try connection.query("SELECT model_name FROM nadi_store.model ORDER BY 1 LIMIT 20").rows.map {
            $0.text(0)
        }
        throw LoadError(
            .configuration, "there is no model \(name)",
            remedy: known.isEmpty
                ? "Nothing is loaded yet, and no reference made: nadi load"
                : "There are: \(known.joined(separator: ", "))")
    }

    private static func entries(
        _ condition: String, _ parameters: [SQLValue], _ connection: Connection
    ) throws -> [Entry] {
        let rows = try connection.query(
            """
            SELECT r.reference_id, m.model_name, r.reference_name, r.source, r.row_count, r.sampled_from, r.label_count, r.task,
                   r.first_time, r.last_time, r.calibration, r.created_at, r.deleted_at IS NOT NULL,
                   (SELECT count(*) FROM nadi_store.hour_edge_set AS h
                    WHERE h.model_id = r.model_id AND h.edge_set_id = r.reference_id)
            FROM nadi_store.reference AS r JOIN nadi_store.model AS m USING (model_id)
            WHERE \(condition) ORDER BY m.model_name, r.reference_id
            """, parameters
        ).rows
        let activations = try connection.query(
            """
            SELECT reference_id, effective_from, lead(effective_from) OVER (PARTITION BY model_id ORDER BY effective_from)
            FROM nadi_store.reference_activation ORDER BY model_id, effective_from
            """
        ).rows
        return rows.map { row in
            var entry = Entry(
                id: row.integer(0), model: row.text(1), name: row.text(2), source: row.text(3), rows: row.integer(4),
                sampledFrom: row.integer(5), labels: row.integer(6), task: row.text(7),
                firstTime_ms: row.optionalTime(8), lastTime_ms: row.optionalTime(9), calibration: row.text(10),
                created_ms: row.time(11), isDeleted: row.boolean(12), hours: row.integer(13))
            for activation in activations where activation.optionalInteger(0) == entry.id {
                entry.inForce.append((activation.time(1), activation.optionalTime(2)))
            }
            return entry
        }
    }
}

extension ReferenceListing.Entry {
    /// As one JSON object.
    package var json: String {
        var object = JSONText()
        object.field("reference_id", id)
        object.field("model_name", model)
        object.field("reference_name", name)
        object.field("source", source)
        object.field("row_count", rows)
        object.field("sampled_from", sampledFrom)
        object.field("label_count", labels)
        object.field("task", task)
        object.field("calibration", calibration)
        if let firstTime_ms { object.field("first_time", Timestamp.format(firstTime_ms)) }
        if let lastTime_ms { object.field("last_time", Timestamp.format(lastTime_ms)) }
        object.field("created_at", Timestamp.format(created_ms))
        object.field("deleted", isDeleted)
        object.field("hours", hours)
        object.array(
            "in_force",
            inForce.map { range in
                var one = JSONText()
                one.field("effective_from", Timestamp.format(range.from_ms))
                if let until = range.until_ms { one.field("until", Timestamp.format(until)) }
                return one
            })
        return String(decoding: object.closed, as: UTF8.self)
    }
}
