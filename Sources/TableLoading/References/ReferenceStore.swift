package import ModelStatistics
internal import RecordBatches
internal import Sketches
package import TableStorage

/// References in the database: written once, never changed, put in force from an hour on.
package enum ReferenceStore {
    /// What was written.
    package struct Created: Sendable {
        package var id: Int64
        /// Sentences on what the dictionaries' caps left out.
        package var warnings: [String] = []
    }

    /// Writes a reference, in one transaction: all of it or nothing.
    ///
    /// The dictionaries' lock is the first that is taken and the only one that loaders take too, so that nobody waits in a
    /// circle.
    ///
    /// - Parameters:
    ///   - name: unique for the model.
    ///   - source: where the rows came from, for people.
    ///   - activateFrom_ms: begin of the hour from which on it is in force; nil for none.
    /// - Throws: ``LoadError`` with ``LoadError/Code/reference`` for a name that is taken, a model or features beyond their
    ///   caps; ``DatabaseError``.
    package static func create(
        _ reference: Reference, model: String, name: String, source: String, activateFrom_ms: Int64? = nil,
        caps: LoadSettings.Caps, _ connection: Connection
    ) throws -> Created {
        try connection.transaction {
            try Admission.takeLock(connection)
            var reference = reference
            let warnings = try keepToRoom(&reference, model: model, caps: caps, connection)
            let names = names(of: reference, model: model)
            let admitted = try Admission(caps).admitLocked(names, connection)
            guard admitted.rows.models == [model] else {
                throw LoadError(
                    .reference, "the model \(model) is new and beyond the cap of \(caps.models) models",
                    remedy: "Raise caps.models in loader.yaml")
            }
            let modelID = admitted.models[0]
            try requireFree(name, model: model, connection)
            var created = Created(id: try insertReference(reference, modelID, name, source, connection))
            let writer = ReferenceRows(
                reference: reference, id: created.id, admitted: admitted, connection: connection)
            created.warnings = warnings + (try writer.write())
            if let hour = activateFrom_ms {
                try ReferenceActivation.set(model: modelID, reference: created.id, from_ms: hour, connection)
            }
            return created
        }
    }

    /// Why a model cannot have references; nil where it can.
    package static func fault(model: String) -> String? {
        if model.isEmpty || model.utf8.count > 256 { return "has 1 to 256 bytes" }
        if model == Admission.other { return "\(model) stands for all models beyond the cap, which have no reference" }
        return nil
    }

    /// Why a reference cannot have a name; nil where it can.
    package static func fault(name: String) -> String? {
        if name.isEmpty || name.utf8.count > 128 { return "has 1 to 128 bytes" }
        if name.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) {
            return "\(name) looks like a reference's number: put a word before it"
        }
        return nil
    }

    /// - Throws: ``LoadError`` with ``LoadError/Code/reference`` where the model has a reference of the name.
    package static func requireFree(_ name: String, model: String, _ connection: Connection) throws {
        let taken = try connection.query(
            """
            SELECT FROM nadi_store.reference JOIN nadi_store.model USING (model_id)
            WHERE model_name = $1 AND reference_name = $2
            """, [.text(model), .text(name)])
        if taken.count == 0 { return }
        throw LoadError(
            .reference, "the model \(model) has a reference \(name) already, and references never change",
            remedy: "Take another name, or `nadi reference delete --model \(ShellWord.quoted(model)) "
                + "\(ShellWord.quoted(name))`")
    }

    private static func insertReference(
        _ reference: Reference, _ model: Int64, _ name: String, _ source: String, _ connection: Connection
    ) throws -> Int64 {
        let id = try connection.query(
            """
            INSERT INTO nadi_store.reference (model_id, reference_name, source, row_count, sampled_from, label_count, task,
                first_time, last_time, calibration)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING reference_id
            """,
            [
                .integer(model), .text(name), .text(source), .integer(Int64(reference.rowCount)),
                .integer(Int64(reference.sampledFrom)), .integer(Int64(reference.labelCount)),
                .text(reference.task.rawValue), .optionalTime(reference.firstTime_ms),
                .optionalTime(reference.lastTime_ms), .text(reference.calibration.rawValue),
            ])[0].integer(0)
        try connection.query(
            "INSERT INTO nadi_store.edge_set (edge_set_id, description) VALUES ($1, $2)",
            [.integer(id), .text("reference \(name)")])
        return id
    }

    /// The names of a reference, as a batch of nothing else.
    private static func names(of reference: Reference, model: String) -> Aggregates {
        var names = Aggregates()
        names.models = [model]
        var hasPrediction = false
        for feature in reference.features {
            let place = names.features.count
            let role = feature.isPrediction ? FeatureKey.Role.prediction : .feature
            hasPrediction = hasPrediction || feature.isPrediction
            names.features.append(FeatureKey(model: 0, role: role, name: feature.name))
            for category in feature.categories {
                names.categories.append(CategoryKey(feature: place, value: category.value))
            }
        }
        let classes = reference.scores.compactMap(\.className)
        if classes.isEmpty { return names }
        if !hasPrediction {
            names.features.append(FeatureKey(model: 0, role: .prediction, name: FeatureKey.predictionName))
        }
        let place = names.features.firstIndex { $0.role == .prediction } ?? 0
        for name in classes {
            let key = CategoryKey(feature: place, value: name)
            if !names.categories.contains(key) { names.categories.append(key) }
        }
        return names
    }

    /// Keeps of each feature's new categories the most frequent ones that its dictionary has room for.
    ///
    /// Admission goes by the alphabet, as loaders have to; here frequencies are known.
    ///
    /// - Returns: a sentence on each feature that lost some.
    private static func keepToRoom(
        _ reference: inout Reference, model: String, caps: LoadSettings.Caps, _ connection: Connection
    ) throws -> [String] {
        var warnings: [String] = []
        var known: [ExactText: Set<ExactText>] = [:]
        let rows = try connection.query(
            """
            SELECT f.role || '/' || f.feature_name, c.value FROM nadi_store.category AS c
            JOIN nadi_store.feature AS f USING (feature_id) JOIN nadi_store.model AS m USING (model_id)
            WHERE m.model_name = $1
            """, [.text(model)]
        ).rows
        for row in rows { known[ExactText(row.text(0)), default: []].insert(ExactText(row.text(1))) }
        for place in reference.features.indices {
            let feature = reference.features[place]
            let mine = known[ExactText((feature.isPrediction ? "prediction/" : "feature/") + feature.name)] ?? []
            var room = caps.categoriesPerFeature - mine.count
            var kept: [(value: String, count: Int64)] = []
            for category in feature.categories {
                if !mine.contains(ExactText(category.value)) {
                    room -= 1
                    if room < 0 { continue }
                }
                kept.append(category)
            }
            let left = feature.categories.reduce(0) { $0 + $1.count } - kept.reduce(0) { $0 + $1.count }
            reference.features[place].categories = kept
            reference.features[place].otherCount += left
            let refused = feature.categories.count - kept.count
            if refused > 0 {
                warnings.append(
                    "\(feature.isPrediction ? "the prediction" : feature.name): \(refused) categories (\(left) values) "
                        + "are beyond the "
                        + "\(caps.categoriesPerFeature) of the model's dictionary and count as other; raise caps.categories"
                )
            }
        }
        return warnings
    }
}
