import TableLoading
import TableStorage
import TestSupport

/// A reference written by plain statements: edges of numbers, counts that a test does not look at.
struct TestReference {
    var name = "first"
    var model = "iris"
    /// Edges by feature.
    var features: [String: [Double]] = ["petal_length": [1e9, 1e9 + 0.25, 1e9 + 0.5, 1e9 + 0.75, 1e9 + 1]]
    /// Features that the reference holds as categories.
    var categorical = ["colour"]
    /// Edges of a regression's predictions.
    var prediction: [Double]?

    /// Writes it, and its model and features where they are new; returns its number.
    func write(_ connection: Connection) throws -> Int64 {
        try connection.query(
            "INSERT INTO nadi_store.model (model_name) VALUES ($1) ON CONFLICT DO NOTHING", [.text(model)])
        let id = try connection.query(
            """
            INSERT INTO nadi_store.reference (model_id, reference_name, source, row_count, sampled_from, label_count, task,
                                              calibration)
            SELECT model_id, $2, 'test', 1000, 1000, 0, 'other', 'none' FROM nadi_store.model WHERE model_name = $1
            RETURNING reference_id
            """, [.text(model), .text(name)])[0].integer(0)
        try connection.query(
            "INSERT INTO nadi_store.edge_set VALUES ($1, $2)", [.integer(id), .text("reference \(name)")])
        for (feature, edges) in features.sorted(by: { $0.key < $1.key }) {
            try write(id, "feature", feature, "numeric", edges, connection)
        }
        for feature in categorical { try write(id, "feature", feature, "categorical", [], connection) }
        if let prediction { try write(id, "prediction", "prediction", "numeric", prediction, connection) }
        return id
    }

    private func write(
        _ id: Int64, _ role: String, _ name: String, _ kind: String, _ edges: [Double], _ connection: Connection
    ) throws {
        try connection.query(
            """
            INSERT INTO nadi_store.feature (model_id, role, feature_name)
            SELECT model_id, $2, $3 FROM nadi_store.model WHERE model_name = $1 ON CONFLICT DO NOTHING
            """, [.text(model), .text(role), .text(name)])
        let isNumeric = kind == "numeric"
        // 1,000 numbers, evenly between the edges.
        let inner = max(1, edges.count - 1)
        let counts = (0...edges.count).map { bin -> Int64 in
            bin == 0 || bin == edges.count ? 0 : Int64(1000 / inner + (bin <= 1000 % inner ? 1 : 0))
        }
        try connection.query(
            """
            INSERT INTO nadi_store.reference_feature
            SELECT $1, f.feature_id, $5, $6::bigint, 1000 - $6::bigint, 0, 0, $7::float8, 0, 1,
                   $7::float8, $7::float8 + 1, $8, $9, $10, '{}', '{}', '{}', '{}',
                   1000 - $6::bigint, 0
            FROM nadi_store.feature AS f JOIN nadi_store.model AS m USING (model_id)
            WHERE m.model_name = $2 AND f.role = $3 AND f.feature_name = $4
            """,
            [
                .integer(id), .text(model), .text(role), .text(name), .text(kind), .integer(isNumeric ? 1000 : 0),
                .real(edges.first ?? 0), .reals(edges), .integers(isNumeric ? counts : []),
                .integers(isNumeric ? (0...edges.count).map { Int64(min(9, $0 * 10 / (edges.count + 1))) } : []),
            ])
    }

    /// Puts a reference in force from an hour on, nil for none.
    static func activate(_ id: Int64?, model: String = "iris", from_ms: Int64, _ connection: Connection) throws {
        try connection.query(
            """
            INSERT INTO nadi_store.reference_activation (model_id, effective_from, reference_id)
            SELECT model_id, $2, $3 FROM nadi_store.model WHERE model_name = $1
            ON CONFLICT (model_id, effective_from) DO UPDATE SET reference_id = EXCLUDED.reference_id
            """, [.text(model), .time(from_ms), .optional(id)])
    }
}

extension Pipeline {
    /// Writes a reference and puts it in force from an hour on.
    @discardableResult
    func reference(_ reference: TestReference = TestReference(), from_ms: Int64?) throws -> Int64 {
        let connection = try database.connect()
        let id = try reference.write(connection)
        if let from_ms { try TestReference.activate(id, model: reference.model, from_ms: from_ms, connection) }
        return id
    }

    /// Which reference an hour is on, by name; `0` for none, nil where the hour is not loaded.
    func edgeSet(_ hour_ms: Int64, model: String = "iris") throws -> String? {
        try database.connect().query(
            """
            SELECT coalesce(r.reference_name, h.edge_set_id::text) FROM nadi_store.hour_edge_set AS h
            JOIN nadi_store.model AS m USING (model_id)
            LEFT JOIN nadi_store.reference AS r ON r.reference_id = h.edge_set_id
            WHERE m.model_name = $1 AND h.hour = $2
            """, [.text(model), .time(hour_ms)]
        ).first?.text(0)
    }

    /// The counts on edges of a feature's row in slice `all` (or another) of version 1, and the name of their reference.
    func edgeCounts(
        _ table: String, _ feature: String, at_ms: Int64, model: String = "iris", slice: String = "all"
    ) throws -> (reference: String, counts: [Int64]?)? {
        let time = table.hasSuffix("hour") ? "hour" : "day"
        let row = try database.connect().query(
            """
            SELECT coalesce(r.reference_name, t.edge_set_id::text), t.edge_counts IS NULL, t.edge_counts
            FROM nadi_store.\(table) AS t JOIN nadi_store.series AS s USING (series_id)
            JOIN nadi_store.model AS m USING (model_id) JOIN nadi_store.feature AS f USING (feature_id)
            LEFT JOIN nadi_store.reference AS r ON r.reference_id = t.edge_set_id
            WHERE m.model_name = $1 AND f.feature_name = $2 AND t.\(time) = $3 AND s.slice_value = $4
              AND s.model_version = '1'
            """, [.text(model), .text(feature), .time(at_ms), .text(slice)]
        ).first
        return row.map { ($0.text(0), $0.boolean(1) ? nil : $0.integers(2)) }
    }
}
