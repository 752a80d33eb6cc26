internal import ModelStatistics
internal import RecordBatches
internal import Sketches
internal import TableStorage

/// The rows below a reference's own: features, scores, spread, performance.
struct ReferenceRows {
    let reference: Reference
    let id: Int64
    let admitted: AdmittedAggregates
    let connection: Connection

    /// Writes them; returns what the caps left out.
    func write() throws -> [String] {
        var warnings: [String] = []
        let features = featureIDs
        let categories = categoryIDs
        var left = 0
        for feature in reference.features {
            let key = name(feature)
            guard let featureID = features[key] else {
                left += 1
                continue
            }
            let mine = categories[featureID] ?? [:]
            let refused = feature.categories.count { mine[ExactText($0.value)] == nil }
            if refused > 0 {
                warnings.append(
                    "\(feature.name): \(refused) categories are beyond the cap of the model's dictionary and count as other"
                )
            }
            try insert(feature, featureID, mine)
        }
        if left > 0 {
            warnings.append(
                "\(left) features are beyond the cap of the model's features and are left out; raise caps.features")
        }
        let classes = features[ExactText("prediction/" + FeatureKey.predictionName)].flatMap { categories[$0] } ?? [:]
        for score in reference.scores {
            if let className = score.className {
                guard let category = classes[ExactText(className)] else {
                    warnings.append("scores of class \(className): beyond the cap of the model's classes, left out")
                    continue
                }
                try insert(score, category)
            } else {
                try insert(score, 0)
            }
        }
        try insertSpreads(features)
        try insertPerformance()
        return warnings
    }

    private func name(_ feature: Reference.Feature) -> ExactText {
        ExactText((feature.isPrediction ? "prediction/" : "feature/") + feature.name)
    }

    private var featureIDs: [ExactText: Int64] {
        Dictionary(
            zip(admitted.rows.features, admitted.features).map { (ExactText($0.role.rawValue + "/" + $0.name), $1) },
            uniquingKeysWith: { first, _ in first })
    }

    private var categoryIDs: [Int64: [ExactText: Int64]] {
        var out: [Int64: [ExactText: Int64]] = [:]
        for (key, id) in zip(admitted.rows.categories, admitted.categories) {
            out[admitted.features[key.feature], default: [:]][ExactText(key.value)] = id
        }
        return out
    }

    private func insert(_ feature: Reference.Feature, _ featureID: Int64, _ ids: [ExactText: Int64]) throws {
        var kept: [(id: Int64, count: Int64)] = []
        var other = feature.otherCount
        for category in feature.categories {
            if let id = ids[ExactText(category.value)] {
                kept.append((id, category.count))
            } else {
                other += category.count
            }
        }
        let moments = feature.moments
        let hasNumbers = moments.count > 0
        try connection.query(
            """
            INSERT INTO nadi_store.reference_feature (reference_id, feature_id, kind, numeric_count, categorical_count,
                missing_count, wrong_type_count, mean_high, mean_low, m2, minimum, maximum, edges, edge_counts, deciles,
                log_bins, log_counts, category_ids, category_counts, other_count, singleton_count)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
            """,
            [
                .integer(id), .integer(featureID), .text(feature.kind.rawValue), .integer(feature.numericCount),
                .integer(feature.categoricalCount), .integer(feature.missingCount), .integer(feature.wrongTypeCount),
                .real(moments.meanHigh), .real(moments.meanLow), .real(moments.m2),
                hasNumbers ? .real(moments.minimum) : .null, hasNumbers ? .real(moments.maximum) : .null,
                .reals(feature.bins.edges), .integers(feature.bins.counts),
                .integers(feature.bins.deciles.map(Int64.init)), .integers(feature.logBins.codes.map(Int64.init)),
                .integers(feature.logBins.counts), .integers(kept.map(\.id)), .integers(kept.map(\.count)),
                .integer(other), .integer(feature.singletonCount),
            ])
    }

    private func insert(_ score: Reference.Score, _ category: Int64) throws {
        try connection.query(
            """
            INSERT INTO nadi_store.reference_score (reference_id, category_id, bins, counts, sums, positive_counts,
                positive_sums, label_counts, label_sums, calibrated)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            """,
            [
                .integer(id), .integer(category), .integers(score.bins.map(Int64.init)), .integers(score.counts),
                .reals(score.sums), .integers(score.positiveCounts), .reals(score.positiveSums),
                .integers(score.labelCounts), .reals(score.labelSums), score.calibrated.map { .reals($0) } ?? .null,
            ])
    }

    private func insertSpreads(_ features: [ExactText: Int64]) throws {
        for spread in reference.spreads {
            let featureID = spread.feature.map { features[name(reference.features[$0])] } ?? 0
            guard let featureID else { continue }
            try connection.query(
                """
                INSERT INTO nadi_store.reference_spread (reference_id, feature_id, window_hours, window_count, psi, share,
                    missing_low, missing_high, unseen, out_of_range)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                """,
                [
                    .integer(id), .integer(featureID), .integer(Int64(spread.windowHours)),
                    .integer(Int64(spread.windowCount)), .real(spread.psi), .real(spread.share),
                    .real(spread.missingLow), .real(spread.missingHigh), .real(spread.unseen), .real(spread.outOfRange),
                ])
        }
    }

    private func insertPerformance() throws {
        for one in reference.performance {
            try connection.query(
                """
                INSERT INTO nadi_store.reference_performance (reference_id, measure, window_hours, window_count, value, deviation)
                VALUES ($1, $2, $3, $4, $5, $6)
                """,
                [
                    .integer(id), .text(one.measure), .integer(Int64(one.windowHours)),
                    .integer(Int64(one.windowCount)), .real(one.value), .real(one.deviation),
                ])
        }
    }
}
