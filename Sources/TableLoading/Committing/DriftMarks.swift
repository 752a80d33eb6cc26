internal import RecordBatches
internal import TableStorage

/// Marks of hours whose features or scores changed, for ``DriftRefresh``.
///
/// As with ``DirtyMarks``, a mark's number is never given twice.
enum DriftMarks {
    /// The hours whose features or scores some rows change.
    static func hours(_ admitted: AdmittedAggregates) -> Set<ModelHour> {
        let rows = admitted.rows
        var hours: Set<ModelHour> = []
        func add(_ series: Int, _ time_s: Int64) {
            hours.insert(ModelHour(model: admitted.models[rows.series[series].model], hour_ms: time_s * 1000))
        }
        for key in rows.featureHours.keys { add(key.series, key.time_s) }
        for key in rows.scoreHours.keys { add(key.series, key.time_s) }
        return hours
    }

    /// Marks hours in sorted order, those of models that never had a reference in force left out.
    static func insert(_ hours: Set<ModelHour>, _ connection: Connection) throws {
        if hours.isEmpty { return }
        let sorted = hours.sorted()
        try connection.query(
            """
            INSERT INTO nadi_store.drift_mark (model_id, hour, marks)
            SELECT u.model_id, u.hour, nextval('nadi_store.dirty_mark')
            FROM unnest($1::int[], $2::timestamptz[]) AS u (model_id, hour)
            WHERE EXISTS (SELECT FROM nadi_store.reference_activation AS a WHERE a.model_id = u.model_id)
            ORDER BY 1, 2
            ON CONFLICT (model_id, hour) DO UPDATE SET marks = EXCLUDED.marks
            """, [.integers(sorted.map(\.model)), .times(sorted.map(\.hour_ms))])
    }

    /// The models that have features or scores in an hour.
    static func models(hour_ms: Int64, _ connection: Connection) throws -> [Int64] {
        try connection.query(
            """
            SELECT s.model_id FROM nadi_store.feature_hour AS t JOIN nadi_store.series AS s USING (series_id)
            WHERE t.hour = $1
            UNION
            SELECT s.model_id FROM nadi_store.score_hour AS t JOIN nadi_store.series AS s USING (series_id)
            WHERE t.hour = $1
            """, [.time(hour_ms)]
        ).rows.map { $0.integer(0) }
    }
}
