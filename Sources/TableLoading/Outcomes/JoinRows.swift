internal import RecordBatches
internal import TableStorage

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
