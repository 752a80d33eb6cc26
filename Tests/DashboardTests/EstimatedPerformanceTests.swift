import Glibc
import TableStorage
import TestSupport
import Testing

/// nadi.estimated_performance against the same estimate row by row, and against labels.
@Suite(.enabled(if: Servers.postgres, "\(Servers.missing)")) struct EstimatedPerformanceTests {
    /// One prediction: its score, whether it was said to be positive, and whether it is.
    struct Row {
        let score: Double
        let said: Bool
        let label: Bool
    }

    /// Scores of two overlapping groups; the label follows `rate(score)`.
    static func rows(
        _ count: Int, _ generator: inout SeededGenerator, separation: Double = 2, rate: (Double) -> Double = { $0 }
    ) -> [Row] {
        (0..<count).map { _ in
            let side = Bool.random(using: &generator) ? separation : -separation
            let score = 1 / (1 + exp(-(side + 1.2 * PlainStatistics.normal(&generator))))
            return Row(
                score: score, said: score >= 0.5, label: Double.random(in: 0..<1, using: &generator) < rate(score))
        }
    }

    /// Accuracy, precision, recall, F1 and AUC of rows whose chance to be positive is `chance`.
    static func measures(_ rows: [Row], chance: (Row) -> Double) -> [String: Double] {
        var (n, p, said, tp) = (0.0, 0.0, 0.0, 0.0)
        for row in rows {
            n += 1
            p += chance(row)
            if row.said {
                said += 1
                tp += chance(row)
            }
        }
        var (below, area) = (0.0, 0.0)
        for row in rows.sorted(by: { $0.score < $1.score }) {
            let c = chance(row)
            area += c * (below + (1 - c) / 2)
            below += 1 - c
        }
        return [
            "accuracy": (tp + n - p - (said - tp)) / n, "precision": tp / said, "recall": tp / p,
            "f1": 2 * tp / (said + p), "roc_auc": area / (p * (n - p)),
        ]
    }

    /// Score rows of one hour, as a loader makes them.
    private func addScores(_ samples: Samples, hour: Int, _ rows: [Row], category: Int = 0) throws {
        try samples.connection.execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS scored (p float8, said boolean); TRUNCATE scored")
        var copy = try samples.connection.copy(into: "scored", columns: ["p", "said"])
        for row in rows {
            copy.append(row.score)
            copy.append(row.said)
            try copy.endRow()
        }
        try copy.finish()
        try samples.connection.query(
            """
            INSERT INTO nadi_store.score_hour
            SELECT s.series_id, $2, $1, array_agg(bin ORDER BY bin), array_agg(n ORDER BY bin), array_agg(total ORDER BY bin),
                   array_agg(positive ORDER BY bin), array_agg(positive_total ORDER BY bin)
            FROM (SELECT e.bin, count(*) AS n, sum(p) AS total, count(*) FILTER (WHERE said) AS positive,
                         coalesce(sum(p) FILTER (WHERE said), 0) AS positive_total
                  FROM scored JOIN nadi_store.score_edge e ON p >= e.lower AND (p < e.upper OR e.upper = 1) GROUP BY 1) b, nadi_store.series s
            GROUP BY 1
            """, [samples.at(hour), .integer(Int64(category))])
        try samples.connection.query(
            "SELECT nadi_store.derive_score_day(date_trunc('day', $1::timestamptz, 'UTC'))", [samples.at(hour)])
    }

    /// A reference of labelled rows, in force from the first hour on.
    private func addReference(
        _ samples: Samples, _ rows: [Row], task: String = "binary", calibration: String, calibrated: [Double] = [],
        category: Int = 0
    ) throws {
        let count = Int64(rows.count)
        try samples.connection.query(
            """
            INSERT INTO nadi_store.reference (model_id, reference_name, source, row_count, sampled_from, label_count, task, calibration)
            SELECT 1, 'test', 'rows', $1, $1, $1, $2, $3 WHERE NOT EXISTS (SELECT FROM nadi_store.reference)
            """, [.integer(count), .text(task), .text(calibration)])
        try samples.connection.query(
            "INSERT INTO nadi_store.reference_activation VALUES (1, $1, 1) ON CONFLICT DO NOTHING", [samples.at(-1)])
        try addScores(samples, hour: -1000, rows, category: category)
        try samples.connection.query(
            """
            INSERT INTO nadi_store.reference_score
            SELECT 1, category_id, bins, counts, sums, positive_counts, positive_sums, counts, sums, $2::float8[]
            FROM nadi_store.score_hour WHERE hour = $1 AND category_id = $3
            """,
            [
                samples.at(-1000), calibrated.isEmpty ? .null : .reals(calibrated),
                .integer(Int64(category)),
            ])
    }

    private func database() throws -> Samples {
        let samples = try Samples()
        try samples.addRequests("m", hour: 0, latencies: Array(repeating: 0.1, count: 10))
        try samples.fill()
        return samples
    }

    private static let columns = """
        SELECT class_name, measure, estimate, lower, upper, reference_value, alert_lower, alert_upper, estimate_state,
               prediction_count, reason
        FROM nadi.estimated_performance('m', $1, $2)
        """

    @Test func goodScoresAreTakenAsTheyAre() throws {
        var generator = SeededGenerator(seed: 41)
        let samples = try database()
        try addReference(samples, Self.rows(20_000, &generator), calibration: "identity")
        let before = Self.rows(5000, &generator)
        let after = Self.rows(5000, &generator, separation: 1)
        try addScores(samples, hour: 1, Array(before[..<2000]))
        try addScores(samples, hour: 2, Array(before[2000...]))
        try addScores(samples, hour: 5, after)
        let reader = try samples.database.connectAsReader()
        for (rows, from, to, state) in [(before, 1, 3, "usual"), (after, 5, 6, "low")] {
            let found = try reader.query(Self.columns, [samples.at(from), samples.at(to)]).rows
            #expect(found.map { $0.text(1) } == ["accuracy", "precision", "recall", "f1", "roc_auc"])
            let rowByRow = Self.measures(rows) { $0.score }
            let labelled = Self.measures(rows) { $0.label ? 1 : 0 }
            for row in found {
                let measure = row.text(1)
                let exact = try #require(rowByRow[measure])
                #expect(row.text(0) == "(all)" && row.integer(9) == 5000)
                // Sums of scores by bin hold the threshold's measures exactly; AUC knows no order within a bin.
                #expect(abs(row.real(2) - exact) < (measure == "roc_auc" ? 5e-4 : 1e-12), "\(measure)")
                let truth = try #require(labelled[measure])
                #expect(row.real(3) <= truth && truth <= row.real(4), "\(measure): \(truth) lies in the band")
                #expect(row.text(8) == state, "\(measure): \(row.real(2)) in \(row.real(6)) to \(row.real(7))")
                #expect(row.real(6) < row.real(5) && row.real(5) < row.real(7))
                #expect(row.text(10).contains("instead of") == (state == "low"))
            }
        }
    }

    /// Overconfident scores, and a reference that knows by how much.
    @Test func badScoresAreCalibrated() throws {
        var generator = SeededGenerator(seed: 42)
        let rate: (Double) -> Double = { 0.25 + 0.5 * $0 }
        let samples = try database()
        let edges = try samples.connection.query("SELECT lower, upper FROM nadi_store.score_edge ORDER BY bin").rows
        try addReference(
            samples, Self.rows(20_000, &generator, rate: rate), calibration: "isotonic",
            calibrated: edges.map { rate(($0.real(0) + $0.real(1)) / 2) })
        let rows = Self.rows(10_000, &generator, rate: rate)
        try addScores(samples, hour: 1, rows)
        let found = try samples.database.connectAsReader().query(Self.columns, [samples.at(1), samples.at(2)]).rows
        let exact = Self.measures(rows) { rate($0.score) }
        let labelled = Self.measures(rows) { $0.label ? 1 : 0 }
        #expect(found.count == 5)
        for row in found {
            let measure = row.text(1)
            #expect(abs(row.real(2) - (exact[measure] ?? 0)) < 0.001, "\(measure)")
            #expect(abs(row.real(2) - (labelled[measure] ?? 0)) < 0.03, "\(measure)")
        }
    }

    /// Over many draws the labels leave the band, and the estimate the alert limits, about as seldom as three deviations say.
    @Test func bandsAreAsWideAsTheySay() throws {
        var generator = SeededGenerator(seed: 43)
        let samples = try database()
        try addReference(samples, Self.rows(50_000, &generator), calibration: "identity")
        let draws = (0..<200).map { _ in Self.rows(1000, &generator) }
        for (hour, rows) in draws.enumerated() { try addScores(samples, hour: hour, rows) }
        let reader = try samples.database.connectAsReader()
        var (outside, alerts, shares) = ([String: Int](), [String: Int](), [String: [Double]]())
        for (hour, rows) in draws.enumerated() {
            let truth = Self.measures(rows) { $0.label ? 1 : 0 }
            for row in try reader.query(Self.columns, [samples.at(hour), samples.at(hour + 1)]).rows {
                let measure = row.text(1)
                let value = try #require(truth[measure])
                if value < row.real(3) || value > row.real(4) { outside[measure, default: 0] += 1 }
                if row.text(8) != "usual" { alerts[measure, default: 0] += 1 }
                shares[measure, default: []].append((value - row.real(2)) / (row.real(4) - row.real(2)) * 3)
            }
        }
        for measure in ["accuracy", "precision", "recall", "f1", "roc_auc"] {
            #expect(outside[measure, default: 0] <= 4, "\(measure): \(outside) of 200 draws outside the band")
            #expect(alerts[measure, default: 0] <= 4, "\(measure): \(alerts) of 200 draws raise an alert")
            let spread = shares[measure, default: []].reduce(0) { $0 + $1 * $1 } / 200
            #expect(
                spread > 0.4 && spread < 1.4,
                "\(measure): the labels' deviation is \(spread.squareRoot()) of the band's")
        }
    }

    @Test func whatCannotBeEstimatedSaysWhy() throws {
        var generator = SeededGenerator(seed: 44)
        let samples = try database()
        try addScores(samples, hour: 1, Self.rows(150, &generator))
        let reader = try samples.database.connectAsReader()
        func states() throws -> [String] {
            try reader.query(Self.columns, [samples.at(1), samples.at(2)]).rows.map { $0.text(8) }
        }
        #expect(try states() == ["no_reference"])
        try addReference(samples, Self.rows(1000, &generator), calibration: "identity")
        #expect(try states() == Array(repeating: "too_few", count: 5))
        try samples.connection.execute("UPDATE nadi_store.reference SET calibration = 'none'")
        #expect(try states() == ["no_labels_in_reference"])
        #expect(try reader.query(Self.columns, [samples.at(8), samples.at(9)]).count == 0)
        // Scores at the ends alone, one side alone.
        try samples.connection.execute("UPDATE nadi_store.reference SET calibration = 'identity'")
        try addScores(samples, hour: 3, (0..<500).map { _ in Row(score: 1, said: true, label: true) })
        let certain = try reader.query(Self.columns, [samples.at(3), samples.at(4)]).rows
        #expect(certain.map { $0.text(1) } == ["accuracy", "precision", "recall", "f1"], "one class has no AUC")
        #expect(certain.allSatisfy { $0.real(2) == 1 })
        // Scores whose squares PostgreSQL refuses.
        try addScores(
            samples, hour: 6,
            (0..<900).map { Row(score: [1e-300, 1e-160, 0.7][$0 % 3], said: $0 % 4 == 0, label: false) })
        let tiny = try reader.query(Self.columns, [samples.at(6), samples.at(7)]).rows
        #expect(tiny.map { $0.text(1) } == ["accuracy", "precision", "recall", "f1", "roc_auc"])
        #expect(tiny.allSatisfy { $0.real(2).isFinite })
    }

    /// The field score tells the accuracy; scores of classes the rest, class by class and on average.
    @Test func multiclassTasksHaveARowAClass() throws {
        var generator = SeededGenerator(seed: 45)
        let samples = try database()
        try samples.connection.execute(
            """
            INSERT INTO nadi_store.feature (model_id, role, feature_name) VALUES (1, 'prediction', 'prediction');
            INSERT INTO nadi_store.category (feature_id, value) SELECT feature_id, v FROM nadi_store.feature, unnest(ARRAY['a', 'b', 'c']) v
            """)
        /// Probabilities of three classes.
        func draw(_ count: Int) -> [[Double]] {
            (0..<count).map { _ in
                let sizes = (0..<3).map { _ in exp(2 * PlainStatistics.normal(&generator)) }
                return sizes.map { $0 / sizes.reduce(0, +) }
            }
        }
        func tops(_ draws: [[Double]]) -> [Row] { draws.map { Row(score: $0.max() ?? 0, said: true, label: true) } }
        func ofClass(_ k: Int, _ draws: [[Double]]) -> [Row] {
            draws.map { Row(score: $0[k], said: $0[k] == $0.max(), label: true) }
        }
        let reference = draw(5000)
        let draws = draw(4000)
        try addReference(samples, tops(reference), task: "multiclass", calibration: "identity")
        try addScores(samples, hour: 1, tops(draws))
        for k in 0..<3 {
            try addReference(
                samples, ofClass(k, reference), task: "multiclass", calibration: "identity", category: k + 1)
            try addScores(samples, hour: 1, ofClass(k, draws), category: k + 1)
        }
        let rows = try samples.database.connectAsReader().query(Self.columns, [samples.at(1), samples.at(2)]).rows
        let found = Dictionary(uniqueKeysWithValues: rows.map { ("\($0.text(0)) \($0.text(1))", $0) })
        #expect(found.count == 1 + 4 + 3 * 4)
        let accuracy = try #require(found["(all) accuracy"])
        #expect(abs(accuracy.real(2) - draws.reduce(0) { $0 + ($1.max() ?? 0) } / 4000) < 1e-12)
        #expect(rows.allSatisfy { $0.text(8) == "usual" })
        let classes = (0..<3).map { k in Self.measures(ofClass(k, draws)) { $0.score } }
        for measure in ["precision", "recall", "f1", "roc_auc"] {
            for (k, name) in ["a", "b", "c"].enumerated() {
                #expect(
                    abs((found["\(name) \(measure)"]?.real(2) ?? 0) - (classes[k][measure] ?? 1)) < 5e-4,
                    "\(name) \(measure)")
            }
            let mean = classes.reduce(0) { $0 + ($1[measure] ?? 0) } / 3
            #expect(abs((found["(all) \(measure)"]?.real(2) ?? 0) - mean) < 5e-4, "mean of \(measure)")
        }
    }

    /// A regression has no probabilities: how far its predictions moved stands in, and says so.
    @Test func regressionsShowTheDriftOfTheirPredictions() throws {
        var generator = SeededGenerator(seed: 47)
        let samples = try Samples()
        try samples.database.run(fixture: "add_reference.sql")
        for (hour, shift) in [(0, 0.0), (1, 0), (30, 0), (31, 1)] {
            try samples.addRequests("m", hour: hour, latencies: Array(repeating: 0.1, count: 1000))
            try samples.addValues(
                "m", "prediction", hour: hour, role: "prediction",
                numbers: (0..<1000).map { _ in shift + PlainStatistics.normal(&generator) })
        }
        try samples.fill()
        try samples.connection.query(
            "SELECT test.add_reference('m', $1, $2, $2)", [samples.at(0), samples.at(2)])
        try samples.connection.execute("UPDATE nadi_store.reference SET task = 'regression'")
        let reader = try samples.database.connectAsReader()
        let hours = try reader.query(
            """
            SELECT bucket_start, measure, estimate, alert_upper, estimate_state, prediction_count, reason, lower
            FROM nadi.estimated_performance('m', $1, $2, '1 hour') ORDER BY 1
            """, [samples.at(30), samples.at(32)]
        ).rows
        #expect(hours.map { $0.text(4) } == ["usual", "high"])
        for (number, row) in hours.enumerated() {
            #expect(row.text(1) == "prediction_psi" && row.integer(5) == 1000 && row.optionalReal(7) == nil)
            #expect(row.text(6).hasPrefix("a regression has no probabilities: the drift of its predictions, "))
            #expect((row.real(2) > row.real(3)) == (number == 1), "PSI \(row.real(2)), alert \(row.real(3))")
            let alone = try reader.query(
                Self.columns, [samples.at(30 + number), samples.at(31 + number)]
            ).rows
            #expect(alone.count == 1 && abs(alone[0].real(2) - row.real(2)) < 1e-12 && alone[0].text(8) == row.text(4))
        }
    }

    @Test func bucketsSayWhatTheirRangesSay() throws {
        var generator = SeededGenerator(seed: 46)
        let samples = try database()
        try addReference(samples, Self.rows(5000, &generator), calibration: "identity")
        for hour in 0..<48 {
            try addScores(samples, hour: hour, Self.rows(300, &generator, separation: hour < 24 ? 2 : 1))
        }
        let reader = try samples.database.connectAsReader()
        let days = try reader.query(
            """
            SELECT bucket_start, estimate, alert_lower, estimate_state
            FROM nadi.estimated_performance('m', $1, $2, '1 day') WHERE measure = 'accuracy'
            """, [samples.at(0), samples.at(48)]
        ).rows
        #expect(days.map { $0.text(3) } == ["usual", "low"])
        for (number, day) in days.enumerated() {
            let alone = try reader.query(
                "\(Self.columns) WHERE measure = 'accuracy'", [samples.at(24 * number), samples.at(24 * number + 24)]
            ).rows.first
            #expect(
                abs((alone?.real(2) ?? 0) - day.real(1)) < 1e-12 && abs((alone?.real(6) ?? 0) - day.real(2)) < 1e-12)
        }
    }
}
