internal import RecordBatches
internal import Synchronization
internal import TableStorage

/// The series and classes that were admitted for models, read again only once more were admitted.
final class JoinDictionaries: Sendable {
    private struct Known {
        let models: [Int64]
        let newest: [Int64]
        let dictionary: JoinDictionary
    }

    private let known = Mutex<Known?>(nil)

    /// The dictionary of an hour's models, in their order.
    func dictionary(_ hour: JoinPass.DirtyHour, _ connection: Connection) throws -> JoinDictionary {
        let models = hour.models.map(\.id)
        // Names are admitted one transaction after the other: a greater number is all that a new one shows.
        let row = try connection.query(
            """
            SELECT (SELECT max(series_id) FROM nadi_store.series), (SELECT max(category_id) FROM nadi_store.category)
            """)[0]
        let newest = [row.optionalInteger(0) ?? 0, row.optionalInteger(1) ?? 0]
        if let known = known.withLock({ $0 }), known.models == models, known.newest == newest {
            return known.dictionary
        }
        let dictionary = try Self.load(hour, connection)
        known.withLock { $0 = Known(models: models, newest: newest, dictionary: dictionary) }
        return dictionary
    }

    private static func load(_ hour: JoinPass.DirtyHour, _ connection: Connection) throws -> JoinDictionary {
        var models = hour.models.map { JoinDictionary.Model(name: $0.name) }
        let places = Dictionary(
            hour.models.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        let ids = Array(places.keys)
        for row in try connection.query(
            """
            SELECT model_id, series_id, model_version, model_variant, environment, slice_key, slice_value
            FROM nadi_store.series WHERE model_id = ANY ($1::int[])
            """, [.integers(ids)]
        ).rows {
            guard let place = places[row.integer(0)] else { continue }
            let key = SeriesKey(
                model: 0, version: row.text(2), variant: row.text(3), environment: row.text(4),
                sliceKey: row.text(5), sliceValue: row.text(6))
            models[place].series[key] = row.integer(1)
        }
        for row in try connection.query(
            """
            SELECT f.model_id, c.category_id, c.value
            FROM nadi_store.category AS c JOIN nadi_store.feature AS f USING (feature_id)
            WHERE f.model_id = ANY ($1::int[]) AND f.role = 'prediction' AND f.feature_name = $2
            """, [.integers(ids), .text(FeatureKey.predictionName)]
        ).rows {
            guard let place = places[row.integer(0)] else { continue }
            models[place].classes[ExactText(row.text(2))] = row.integer(1)
        }
        return JoinDictionary(models)
    }
}
