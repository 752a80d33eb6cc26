package import RecordBatches
internal import Sketches
package import TableStorage

/// Gives names numbers, in a short transaction of its own before the batch's: models, series, features, categories,
/// resources, each under a cap.
///
/// New names are inserted in sorted order under one advisory lock, so that loaders agree and never wait in a circle.
/// What a cap refuses is counted under `other`.
package struct Admission: Sendable {
    /// First and second key of the lock that admitting takes.
    static let lock: (Int64, Int64) = (1_851_876_457, 2)
    /// The name that stands for all names beyond a cap.
    static let other = "other"

    let caps: LoadSettings.Caps

    package init(_ caps: LoadSettings.Caps) { self.caps = caps }

    /// Admits a batch's names.
    /// - Throws: ``DatabaseError``.
    package func admit(_ batch: Aggregates, _ connection: Connection) throws -> AdmittedAggregates {
        if let known = try resolve(batch, refused: [:], connection) { return known }
        let (capped, refused) = try connection.transaction { () -> (Aggregates, [String: Int]) in
            try Self.takeLock(connection)
            return try insert(batch, connection)
        }
        guard let admitted = try resolve(capped, refused: refused, connection) else {
            throw LoadError(.overtaken, "names vanished from the dictionaries while they were admitted")
        }
        return admitted
    }

    /// Admits names within a transaction that has called ``takeLock(_:)`` and holds no other lock that a loader takes.
    /// - Throws: ``DatabaseError``.
    func admitLocked(_ batch: Aggregates, _ connection: Connection) throws -> AdmittedAggregates {
        let (capped, refused) = try insert(batch, connection)
        guard let admitted = try resolve(capped, refused: refused, connection) else {
            throw LoadError(.overtaken, "names vanished from the dictionaries while they were admitted")
        }
        return admitted
    }

    /// Waits until nobody else admits, and keeps others from it until the transaction ends.
    static func takeLock(_ connection: Connection) throws {
        try connection.query(
            "SELECT pg_advisory_xact_lock($1::int, $2::int)", [.integer(lock.0), .integer(lock.1)])
    }

    /// Numbers of all names, or nil if one is missing.
    private func resolve(
        _ batch: Aggregates, refused: [String: Int], _ connection: Connection
    ) throws -> AdmittedAggregates? {
        let models = try numbers(
            """
            SELECT m.model_id FROM unnest($1::text[]) WITH ORDINALITY AS u (name, place)
            LEFT JOIN nadi_store.model AS m ON m.model_name = u.name ORDER BY u.place
            """, [.texts(batch.models)], connection)
        guard let models else { return nil }
        let series = try numbers(
            """
            SELECT s.series_id
            FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY
                AS u (model, version, variant, environment, key, value, place)
            LEFT JOIN nadi_store.series AS s ON s.model_id = u.model AND s.model_version = u.version
                AND s.model_variant = u.variant AND s.environment = u.environment AND s.slice_key = u.key
                AND s.slice_value = u.value
            ORDER BY u.place
            """, Self.parameters(batch.series, models), connection)
        let features = try numbers(
            """
            SELECT f.feature_id FROM unnest($1::int[], $2::text[], $3::text[]) WITH ORDINALITY
                AS u (model, role, name, place)
            LEFT JOIN nadi_store.feature AS f ON f.model_id = u.model AND f.role = u.role AND f.feature_name = u.name
            ORDER BY u.place
            """, Self.parameters(batch.features, models), connection)
        guard let series, let features else { return nil }
        let categories = try numbers(
            """
            SELECT c.category_id FROM unnest($1::int[], $2::text[]) WITH ORDINALITY AS u (feature, value, place)
            LEFT JOIN nadi_store.category AS c ON c.feature_id = u.feature AND c.value = u.value ORDER BY u.place
            """,
            [.integers(batch.categories.map { features[$0.feature] }), .texts(batch.categories.map(\.value))],
            connection)
        let resources = try numbers(
            """
            SELECT r.resource_id FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
                AS u (service, instance, environment, device, place)
            LEFT JOIN nadi_store.resource AS r ON r.service = u.service AND r.instance = u.instance
                AND r.environment = u.environment AND r.device = u.device
            ORDER BY u.place
            """, Self.parameters(batch.resources), connection)
        guard let categories, let resources else { return nil }
        return AdmittedAggregates(
            rows: batch, models: models, series: series, features: features, categories: categories,
            resources: resources, refused: refused)
    }

    private func numbers(
        _ statement: String, _ parameters: [SQLValue], _ connection: Connection
    ) throws -> [Int64]? {
        var out: [Int64] = []
        for row in try connection.query(statement, parameters).rows {
            guard let number = row.optionalInteger(0) else { return nil }
            out.append(number)
        }
        return out
    }

    // MARK: Inserting

    /// Inserts what is new and fits; returns the batch with the rest renamed to `other`.
    private func insert(
        _ batch: Aggregates, _ connection: Connection
    ) throws -> (Aggregates, [String: Int]) {
        var batch = batch
        var refused: [String: Int] = [:]

        let knownModels = Set(
            try connection.query(
                "SELECT model_name FROM nadi_store.model"
            ).rows.map { $0.text(0) })
        var room = caps.models - knownModels.count
        var admittedModels = knownModels
        for name in Set(batch.models).subtracting(knownModels).sorted() where room > 0 || name == Self.other {
            admittedModels.insert(name)
            room -= 1
        }
        for index in batch.models.indices where !admittedModels.contains(batch.models[index]) {
            batch.models[index] = Self.other
            refused["models", default: 0] += 1
        }
        try connection.query(
            """
            INSERT INTO nadi_store.model (model_name)
            SELECT n FROM (SELECT DISTINCT unnest($1::text[]) AS n) AS u
            WHERE NOT EXISTS (SELECT FROM nadi_store.model AS m WHERE m.model_name = u.n) ORDER BY n
            """, [.texts(batch.models)])
        batch = Self.united(batch)

        let modelIDs = try connection.query(
            """
            SELECT m.model_id FROM unnest($1::text[]) WITH ORDINALITY AS u (name, place)
            JOIN nadi_store.model AS m ON m.model_name = u.name ORDER BY u.place
            """, [.texts(batch.models)]
        ).rows.map { $0.integer(0) }
        try insertSeries(&batch, modelIDs, &refused, connection)
        try insertFeatures(&batch, modelIDs, &refused, connection)
        batch = Self.united(batch)
        try insertCategories(&batch, modelIDs, &refused, connection)
        if try limitResources(&batch, &refused, connection) { batch = Self.united(batch) }
        try connection.query(
            """
            INSERT INTO nadi_store.resource (service, instance, environment, device)
            SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u (s, i, e, d)
            WHERE NOT EXISTS (SELECT FROM nadi_store.resource AS r WHERE r.service = u.s AND r.instance = u.i
                              AND r.environment = u.e AND r.device = u.d)
            ORDER BY 1, 2, 3, 4
            """, Self.parameters(batch.resources))
        return (batch, refused)
    }

    /// Renames new resources beyond the cap; returns whether there were any.
    private func limitResources(
        _ batch: inout Aggregates, _ refused: inout [String: Int], _ connection: Connection
    ) throws -> Bool {
        if batch.resources.isEmpty { return false }
        var room = caps.resources - Int(try connection.query("SELECT count(*) FROM nadi_store.resource")[0].integer(0))
        if room >= batch.resources.count { return false }
        let known = Set(
            try connection.query(
                """
                SELECT u.place FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
                    AS u (service, instance, environment, device, place)
                JOIN nadi_store.resource AS r ON r.service = u.service AND r.instance = u.instance
                    AND r.environment = u.environment AND r.device = u.device
                """, Self.parameters(batch.resources)
            ).rows.map { Int($0.integer(0)) - 1 })
        var isRenamed = false
        let new = batch.resources.indices.filter {
            !known.contains($0) && batch.resources[$0] != batch.resources[$0].other
        }
        for index in new.sorted(by: { Self.order(batch.resources[$0]) < Self.order(batch.resources[$1]) }) {
            room -= 1
            if room >= 0 { continue }
            batch.resources[index] = batch.resources[index].other
            refused["resources", default: 0] += 1
            isRenamed = true
        }
        return isRenamed
    }

    private static func order(_ key: ResourceKey) -> (String, String, String, String) {
        (key.service, key.instance, key.environment, key.device)
    }

    private func insertSeries(
        _ batch: inout Aggregates, _ models: [Int64], _ refused: inout [String: Int], _ connection: Connection
    ) throws {
        let rows = try connection.query(
            """
            SELECT model_id, model_version, model_variant, environment, slice_key, slice_value
            FROM nadi_store.series WHERE model_id = ANY ($1::int[])
            """, [.integers(models)]
        ).rows
        let place = Dictionary(models.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var known: Set<SeriesKey> = []
        var perModel: [Int: Int] = [:]
        var values: [SliceTag: Set<String>] = [:]
        for row in rows {
            guard let model = place[row.integer(0)] else { continue }
            let key = SeriesKey(
                model: model, version: row.text(1), variant: row.text(2), environment: row.text(3),
                sliceKey: row.text(4), sliceValue: row.text(5))
            known.insert(key)
            perModel[model, default: 0] += 1
            values[SliceTag(model: model, key: key.sliceKey), default: []].insert(key.sliceValue)
        }
        for index in batch.series.indices.sorted(by: { Self.order(batch.series[$0]) < Self.order(batch.series[$1]) }) {
            var key = batch.series[index]
            if known.contains(key) { continue }
            let tag = SliceTag(model: key.model, key: key.sliceKey)
            let isPlain =
                key.sliceKey == SliceName.all || key.sliceValue == SliceName.other
                || key.sliceValue == SliceName.missing
            if !isPlain, values[tag]?.contains(key.sliceValue) != true, (values[tag]?.count ?? 0) >= caps.sliceValues {
                key.sliceValue = SliceName.other
                refused["slice values", default: 0] += 1
            }
            if perModel[key.model, default: 0] >= caps.seriesPerModel, !known.contains(key) {
                key.version = Self.other
                key.variant = "champion"
                key.environment = "default"
                refused["series", default: 0] += 1
            }
            if known.insert(key).inserted { perModel[key.model, default: 0] += 1 }
            values[tag, default: []].insert(key.sliceValue)
            batch.series[index] = key
        }
        try connection.query(
            """
            INSERT INTO nadi_store.series
                (model_id, model_version, model_variant, environment, slice_key, slice_value)
            SELECT DISTINCT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
                AS u (m, v, r, e, k, w)
            WHERE NOT EXISTS (SELECT FROM nadi_store.series AS s WHERE s.model_id = u.m AND s.model_version = u.v
                              AND s.model_variant = u.r AND s.environment = u.e AND s.slice_key = u.k
                              AND s.slice_value = u.w)
            ORDER BY 1, 2, 3, 4, 5, 6
            """, Self.parameters(batch.series, models))
    }

    private struct SliceTag: Hashable {
        let model: Int
        let key: String
    }

    private func insertFeatures(
        _ batch: inout Aggregates, _ models: [Int64], _ refused: inout [String: Int], _ connection: Connection
    ) throws {
        let rows = try connection.query(
            "SELECT model_id, role, feature_name FROM nadi_store.feature WHERE model_id = ANY ($1::int[])",
            [.integers(models)]
        ).rows
        let place = Dictionary(models.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var known: Set<FeatureKey> = []
        var perModel: [Int: Int] = [:]
        for row in rows {
            guard let model = place[row.integer(0)], let role = FeatureKey.Role(rawValue: row.text(1)) else { continue }
            known.insert(FeatureKey(model: model, role: role, name: row.text(2)))
            perModel[model, default: 0] += 1
        }
        var dropped: Set<Int> = []
        for index in batch.features.indices.sorted(by: { batch.features[$0].name < batch.features[$1].name }) {
            let key = batch.features[index]
            if known.contains(key) { continue }
            if key.role == .feature, perModel[key.model, default: 0] >= caps.featuresPerModel {
                // A feature's numbers mean nothing beside another's: it is left out, not mixed.
                dropped.insert(index)
                refused["features", default: 0] += 1
                continue
            }
            known.insert(key)
            perModel[key.model, default: 0] += 1
        }
        if !dropped.isEmpty { Self.drop(features: dropped, &batch) }
        try connection.query(
            """
            INSERT INTO nadi_store.feature (model_id, role, feature_name)
            SELECT DISTINCT * FROM unnest($1::int[], $2::text[], $3::text[]) AS u (m, r, n)
            WHERE NOT EXISTS (SELECT FROM nadi_store.feature AS f WHERE f.model_id = u.m AND f.role = u.r
                              AND f.feature_name = u.n)
            ORDER BY 1, 2, 3
            """, Self.parameters(batch.features, models))
    }

    private func insertCategories(
        _ batch: inout Aggregates, _ models: [Int64], _ refused: inout [String: Int], _ connection: Connection
    ) throws {
        let features = try connection.query(
            """
            SELECT f.feature_id FROM unnest($1::int[], $2::text[], $3::text[]) WITH ORDINALITY AS u (m, r, n, place)
            JOIN nadi_store.feature AS f ON f.model_id = u.m AND f.role = u.r AND f.feature_name = u.n
            ORDER BY u.place
            """, Self.parameters(batch.features, models)
        ).rows.map { $0.integer(0) }
        let rows = try connection.query(
            "SELECT feature_id, value FROM nadi_store.category WHERE feature_id = ANY ($1::int[])",
            [.integers(features)]
        ).rows
        let place = Dictionary(features.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var known: Set<CategoryKey> = []
        var perFeature: [Int: Int] = [:]
        for row in rows {
            guard let feature = place[row.integer(0)] else { continue }
            known.insert(CategoryKey(feature: feature, value: row.text(1)))
            perFeature[feature, default: 0] += 1
        }
        var dropped: Set<Int> = []
        let order = batch.categories.indices.sorted {
            (batch.categories[$0].feature, batch.categories[$0].value)
                < (batch.categories[$1].feature, batch.categories[$1].value)
        }
        for index in order {
            let key = batch.categories[index]
            if known.contains(key) { continue }
            if perFeature[key.feature, default: 0] >= caps.categoriesPerFeature {
                dropped.insert(index)
                refused["categories", default: 0] += 1
                continue
            }
            known.insert(key)
            perFeature[key.feature, default: 0] += 1
        }
        if !dropped.isEmpty { Self.drop(categories: dropped, &batch) }
        try connection.query(
            """
            INSERT INTO nadi_store.category (feature_id, value)
            SELECT DISTINCT * FROM unnest($1::int[], $2::text[]) AS u (f, v)
            WHERE NOT EXISTS (SELECT FROM nadi_store.category AS c WHERE c.feature_id = u.f AND c.value = u.v)
            ORDER BY 1, 2
            """,
            [.integers(batch.categories.map { features[$0.feature] }), .texts(batch.categories.map(\.value))])
    }

    // MARK: Renaming

    /// The batch with equal entries of its dictionaries, and the rows under them, made one.
    private static func united(_ batch: Aggregates) -> Aggregates {
        var out = Aggregates()
        out.merge(batch)
        return out
    }

    /// Removes features, their rows and their categories.
    private static func drop(features: Set<Int>, _ batch: inout Aggregates) {
        let categories = Set(batch.categories.indices.filter { features.contains(batch.categories[$0].feature) })
        batch.featureHours = batch.featureHours.filter { !features.contains($0.key.feature) }
        drop(categories: categories, &batch)
        var place = [Int](repeating: 0, count: batch.features.count)
        var kept: [FeatureKey] = []
        for (index, key) in batch.features.enumerated() where !features.contains(index) {
            place[index] = kept.count
            kept.append(key)
        }
        batch.features = kept
        for index in batch.categories.indices {
            batch.categories[index].feature = place[batch.categories[index].feature]
        }
        batch.featureHours = Dictionary(
            uniqueKeysWithValues: batch.featureHours.map { key, counts in
                (FeatureTimeKey(series: key.series, feature: place[key.feature], time_s: key.time_s), counts)
            })
    }

    /// Counts categories under `other` and takes them out of the dictionary.
    private static func drop(categories: Set<Int>, _ batch: inout Aggregates) {
        if categories.isEmpty { return }
        var place = [Int32](repeating: 0, count: batch.categories.count)
        var kept: [CategoryKey] = []
        for (index, key) in batch.categories.enumerated() where !categories.contains(index) {
            place[index] = Int32(kept.count)
            kept.append(key)
        }
        batch.categories = kept
        for key in batch.featureHours.keys {
            guard var counts = batch.featureHours[key], !counts.categories.isEmpty else { continue }
            var entries: [(code: Int32, count: Int64)] = []
            for (code, count) in zip(counts.categories.codes, counts.categories.counts) {
                if categories.contains(Int(code)) {
                    counts.otherCount += count
                } else {
                    entries.append((place[Int(code)], count))
                }
            }
            counts.categories = SparseCounts(unordered: entries)
            batch.featureHours[key] = counts
        }
        var scores: [ScoreTimeKey: ScoreCounts] = [:]
        for (key, counts) in batch.scoreHours where !categories.contains(key.category) {
            var key = key
            if key.category != ScoreTimeKey.score { key.category = Int(place[key.category]) }
            scores[key] = counts
        }
        batch.scoreHours = scores
    }

    // MARK: Parameters

    private static func order(_ key: SeriesKey) -> (Int, String, String, String, String, String) {
        (key.model, key.sliceKey, key.sliceValue, key.version, key.variant, key.environment)
    }

    private static func parameters(_ series: [SeriesKey], _ models: [Int64]) -> [SQLValue] {
        [
            .integers(series.map { models[$0.model] }), .texts(series.map(\.version)), .texts(series.map(\.variant)),
            .texts(series.map(\.environment)), .texts(series.map(\.sliceKey)), .texts(series.map(\.sliceValue)),
        ]
    }

    private static func parameters(_ features: [FeatureKey], _ models: [Int64]) -> [SQLValue] {
        [
            .integers(features.map { models[$0.model] }), .texts(features.map(\.role.rawValue)),
            .texts(features.map(\.name)),
        ]
    }

    private static func parameters(_ resources: [ResourceKey]) -> [SQLValue] {
        [
            .texts(resources.map(\.service)), .texts(resources.map(\.instance)), .texts(resources.map(\.environment)),
            .texts(resources.map(\.device)),
        ]
    }
}
