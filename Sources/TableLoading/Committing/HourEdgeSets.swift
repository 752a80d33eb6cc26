internal import RecordBatches
internal import TableStorage

/// Which edge set each model's hour is on: fixed by the hour's first load, changed only by a swap, and verified by every
/// transaction that adds rows, so that all rows of an hour are on the same edges whoever loaded them.
enum HourEdgeSets {
    /// A model's hour and the edge set that its rows were aggregated on.
    private struct Use {
        let model: Int64
        let hour_ms: Int64
        let edgeSet: Int32
    }

    /// Whether a row of `reference_feature` has edges for numbers.
    static func hasEdges(_ row: String) -> String { "(\(row).kind = 'numeric' AND cardinality(\(row).edges) > 0)" }

    /// The edge set in force at a row's `model_id` and `hour`; the model that stands for those beyond a cap has none.
    private static func inForce(_ row: String) -> String {
        """
        CASE WHEN (SELECT m.model_name FROM nadi_store.model AS m WHERE m.model_id = \(row).model_id) = 'other' THEN 0
        ELSE coalesce((SELECT a.reference_id FROM nadi_store.reference_activation AS a
                       WHERE a.model_id = \(row).model_id AND a.effective_from <= \(row).hour
                       ORDER BY a.effective_from DESC LIMIT 1), 0) END
        """
    }

    /// Fixes hours that are loaded for the first time, and holds a batch to what its hours are on.
    ///
    /// A loader that fixes the same hour at this moment comes first: its row is waited for.
    ///
    /// - Throws: ``LoadError`` with ``LoadError/Code/overtaken`` where rows were aggregated on another edge set.
    static func fix(_ admitted: AdmittedAggregates, _ connection: Connection) throws {
        let uses = try uses(admitted)
        if uses.isEmpty { return }
        try hold(uses, connection)
        let keys: [SQLValue] = [.integers(uses.map(\.model)), .times(uses.map(\.hour_ms))]
        try connection.query(
            """
            INSERT INTO nadi_store.hour_edge_set (model_id, hour, edge_set_id)
            SELECT u.model_id, u.hour, \(inForce("u"))
            FROM unnest($1::int[], $2::timestamptz[]) AS u (model_id, hour)
            WHERE NOT EXISTS (SELECT FROM nadi_store.hour_edge_set AS h
                              WHERE h.model_id = u.model_id AND h.hour = u.hour)
            ORDER BY 1, 2 ON CONFLICT DO NOTHING
            """, keys)
        let other = try connection.query(
            """
            SELECT m.model_name, h.hour, count(*) OVER ()
            FROM unnest($1::int[], $2::timestamptz[], $3::int[]) AS u (model_id, hour, edge_set_id)
            JOIN nadi_store.hour_edge_set AS h USING (model_id, hour) JOIN nadi_store.model AS m USING (model_id)
            WHERE h.edge_set_id <> u.edge_set_id ORDER BY h.hour, m.model_name LIMIT 1
            """, keys + [.integers(uses.map { Int64($0.edgeSet) })])
        if let first = other.first {
            throw overtaken(
                "\(first.integer(2)) hours are on other edges than the batch, first "
                    + "\(LoadClock.hourText(first.time(1))) UTC of \(first.text(0))")
        }
    }

    /// Replaces an hour's edge sets by those that its new rows are on.
    ///
    /// The caller holds the hour's exclusive lock and has written the new rows.
    ///
    /// - Throws: ``LoadError`` with ``LoadError/Code/overtaken`` where these are not the ones in force.
    static func replace(_ admitted: AdmittedAggregates, hour_ms: Int64, _ connection: Connection) throws {
        let uses = try uses(admitted)
        try hold(uses, connection)
        let values: [SQLValue] = [
            .integers(uses.map(\.model)), .integers(uses.map { Int64($0.edgeSet) }), .time(hour_ms),
        ]
        let other = try connection.query(
            """
            SELECT m.model_name FROM (
                SELECT model_id, edge_set_id, $3::timestamptz AS hour
                FROM unnest($1::int[], $2::int[]) AS u (model_id, edge_set_id)) AS u
            JOIN nadi_store.model AS m USING (model_id)
            WHERE u.edge_set_id <> \(inForce("u")) ORDER BY 1 LIMIT 1
            """, values)
        if let first = other.first {
            throw overtaken(
                "another reference of \(first.text(0)) was put in force while hour \(LoadClock.hourText(hour_ms)) UTC was read"
            )
        }
        try connection.query(
            "DELETE FROM nadi_store.hour_edge_set WHERE hour = $1 AND model_id <> ALL ($2::int[])",
            [.time(hour_ms), values[0]])
        try connection.query(
            """
            INSERT INTO nadi_store.hour_edge_set (model_id, hour, edge_set_id)
            SELECT model_id, $3, edge_set_id FROM unnest($1::int[], $2::int[]) AS u (model_id, edge_set_id) ORDER BY 1
            ON CONFLICT (model_id, hour) DO UPDATE SET edge_set_id = EXCLUDED.edge_set_id
            """, values)
    }

    private static func overtaken(_ message: String) -> LoadError {
        LoadError(
            .overtaken, message,
            remedy: "It is read again at once; where that goes on, let no reference be put in force meanwhile")
    }

    /// Keeps references from being deleted until the transaction ends.
    private static func hold(_ uses: [Use], _ connection: Connection) throws {
        let references = Set(uses.map(\.edgeSet)).filter { $0 > 0 }.sorted()
        if references.isEmpty { return }
        try connection.query(
            """
            SELECT FROM nadi_store.reference WHERE reference_id = ANY ($1::int[]) ORDER BY reference_id FOR KEY SHARE
            """, [.integers(references.map(Int64.init))])
    }

    /// Hours with features and what they were aggregated on, by model and hour.
    private static func uses(_ admitted: AdmittedAggregates) throws -> [Use] {
        let rows = admitted.rows
        var found: [ModelHour: Int32] = [:]
        for (key, counts) in rows.featureHours {
            let hour = ModelHour(
                model: admitted.models[rows.series[key.series].model], hour_ms: key.time_s * 1000)
            let edgeSet = counts.edges.edgeSet ?? EdgeCounts.none
            guard edgeSet != EdgeCounts.mixed, found.updateValue(edgeSet, forKey: hour) ?? edgeSet == edgeSet else {
                throw overtaken(
                    "rows of hour \(LoadClock.hourText(hour.hour_ms)) UTC of \(rows.models[rows.series[key.series].model]) are on "
                        + "different edges")
            }
        }
        return found.keys.sorted().map { Use(model: $0.model, hour_ms: $0.hour_ms, edgeSet: found[$0] ?? 0) }
    }
}

/// An hour of a model.
struct ModelHour: Hashable, Comparable {
    /// `model_id`.
    let model: Int64
    /// Begin of the hour, milliseconds since the epoch.
    let hour_ms: Int64

    static func < (left: Self, right: Self) -> Bool {
        (left.model, left.hour_ms) < (right.model, right.hour_ms)
    }
}
