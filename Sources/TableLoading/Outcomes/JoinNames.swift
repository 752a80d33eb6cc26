internal import RecordBatches
internal import TableStorage

extension JoinDictionary {
    /// The series and classes that were admitted for an hour's models, in these models' order.
    static func load(_ hour: JoinPass.DirtyHour, _ connection: Connection) throws -> JoinDictionary {
        let other = try connection.query(
            "SELECT model_id FROM nadi_store.model WHERE model_name = $1", [.text(SliceName.other)]
        ).first?.integer(0)
        var models = hour.models.map { Model(name: $0.name) }
        var places = Dictionary(
            hour.models.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        if let other, places[other] == nil {
            places[other] = models.count
            models.append(Model(name: SliceName.other))
        }
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
        let count = hour.models.count
        return JoinDictionary(Array(models[..<count]), other: models.count > count ? models[count] : nil)
    }
}

/// A join's rows with the database's numbers: what was not admitted stands under `other`.
struct JoinRows {
    /// A row of `named_outcome_hour`.
    struct Named {
        let series: Int64
        let name: OutcomeName
        let counts: NamedOutcomeCounts
    }

    /// Rows by `series_id`; classes are `category_id`, 0 for other.
    private(set) var counts: [(series: Int64, row: OutcomeCounts)] = []
    private(set) var named: [Named] = []

    init(
        _ result: JoinResult, _ dictionary: JoinDictionary, caps: LoadSettings.Caps, _ connection: Connection
    ) throws {
        let new = try Self.admit(result.newClasses, dictionary, caps, connection)
        for (number, row) in result.outcomes {
            let row = row.mapClasses(
                predicted: { Int(dictionary.classID($0)) },
                label: { $0 < 0 ? new[-1 - $0] : Int(dictionary.classID($0)) })
            counts.append((dictionary.seriesID(number), row))
        }
        counts.sort { $0.series < $1.series }
        for (key, row) in result.named {
            named.append(Named(series: dictionary.seriesID(key.series), name: key.name, counts: row))
        }
        named.sort { left, right in
            if left.series != right.series { return left.series < right.series }
            if left.name.type != right.name.type { return left.name.type < right.name.type }
            if left.name.name != right.name.name { return ExactText(left.name.name) < ExactText(right.name.name) }
            return ExactText(left.name.currency) < ExactText(right.name.currency)
        }
    }

    /// The numbers of labels' classes that no prediction has shown yet; 0 beyond the cap.
    private static func admit(
        _ classes: [CategoryKey], _ dictionary: JoinDictionary, _ caps: LoadSettings.Caps, _ connection: Connection
    ) throws -> [Int] {
        if classes.isEmpty { return [] }
        var names = Aggregates()
        names.models = dictionary.models
        names.features = dictionary.models.indices.map {
            FeatureKey(model: $0, role: .prediction, name: FeatureKey.predictionName)
        }
        names.categories = classes
        _ = try Admission(caps).admit(names, connection)
        return try connection.query(
            """
            SELECT c.category_id
            FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (model, value, place)
            LEFT JOIN nadi_store.model AS m ON m.model_name = u.model
            LEFT JOIN nadi_store.feature AS f
                ON f.model_id = m.model_id AND f.role = 'prediction' AND f.feature_name = $3
            LEFT JOIN nadi_store.category AS c ON c.feature_id = f.feature_id AND c.value = u.value
            ORDER BY u.place
            """,
            [
                .texts(classes.map { dictionary.models[$0.feature] }), .texts(classes.map(\.value)),
                .text(FeatureKey.predictionName),
            ]
        ).rows.map { Int($0.optionalInteger(0) ?? 0) }
    }
}
