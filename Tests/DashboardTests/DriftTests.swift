import Glibc
import TableStorage
import TestSupport
import Testing

/// drift_between against the same formulas in plain Swift over the raw samples.
@Suite(.enabled(if: Servers.postgres, "\(Servers.missing)")) struct DriftTests {
    /// Hours 2 and 3 are the first range, 30 and 31 the second.
    static let first = [2, 3]
    static let second = [30, 31]

    struct Feature {
        var first: [Double?] = []
        var second: [Double?] = []
        var firstWords: [String?] = []
        var secondWords: [String?] = []
        var role = "feature"
        let state: String
    }

    @Test func measuresAndStatesAreThoseOfTheRawSamples() throws {
        var generator = SeededGenerator(seed: 20)
        func numbers(_ count: Int, _ draw: (Double) -> Double) -> [Double?] {
            (0..<count).map { _ in draw(PlainStatistics.normal(&generator)) }
        }
        func words(_ count: Int, _ shares: [String: Double]) -> [String?] {
            let sorted = shares.sorted { $0.key < $1.key }
            return (0..<count).map { _ in
                var draw = Double.random(in: 0..<1, using: &generator)
                for (word, share) in sorted {
                    if draw < share { return word }
                    draw -= share
                }
                return sorted.last?.key
            }
        }
        let nothing: [Double?] = []
        var features: [String: Feature] = [
            "same": Feature(first: numbers(3000) { $0 }, second: numbers(3000) { $0 }, state: "stable"),
            "moved": Feature(
                first: numbers(3000) { 50 + 10 * $0 }, second: numbers(3000) { 56 + 10 * $0 }, state: "drifted"),
            "nudged": Feature(
                first: numbers(3000) { 50 + 10 * $0 }, second: numbers(3000) { 52 + 10 * $0 }, state: "shifted"),
            "skewed": Feature(first: numbers(2990) { exp($0) }, second: numbers(3000) { exp($0) }, state: "stable"),
            "narrow": Feature(
                first: numbers(3000) { 1_000_000 + $0 }, second: numbers(3000) { 1_000_003 + $0 }, state: "too_coarse"),
            "constant": Feature(first: numbers(3000) { _ in 7 }, second: numbers(3000) { _ in 7 }, state: "stable"),
            "flag": Feature(
                first: numbers(3000) { $0 > -2.5 ? 1 : 0 }, second: numbers(3000) { $0 > -2.5 ? 1 : 0 }, state: "stable"
            ),
            "replaced": Feature(first: numbers(3000) { _ in 7 }, second: numbers(3000) { _ in 9 }, state: "drifted"),
            "few": Feature(
                first: numbers(3000) { $0 }, second: numbers(199) { $0 } + Array(repeating: nil, count: 10),
                state: "drifted"),
            "vanished": Feature(
                first: numbers(3000) { $0 }, second: Array(repeating: nil, count: 3000), state: "drifted"),
            "empty": Feature(
                first: Array(repeating: nil, count: 3000), second: Array(repeating: nil, count: 3000),
                state: "too_few"),
            "sparse": Feature(
                first: numbers(150) { $0 } + Array(repeating: nil, count: 2850), second: numbers(150) { $0 },
                state: "too_few"),
            "new": Feature(first: nothing, second: numbers(3000) { $0 }, state: "drifted"),
            "huge": Feature(first: numbers(3000) { $0 * 1e130 }, second: numbers(3000) { $0 * 1e130 }, state: "stable"),
            "tiny": Feature(
                first: numbers(3000) { $0 * 1e-130 }, second: numbers(3000) { $0 * 1e-130 }, state: "stable"),
            "colour": Feature(
                firstWords: words(3000, ["red": 0.5, "blue": 0.3, "green": 0.2]),
                secondWords: words(3000, ["red": 0.5, "blue": 0.3, "green": 0.2]), state: "stable"),
            "country": Feature(
                firstWords: words(3000, ["de": 0.6, "fr": 0.4]),
                secondWords: words(3000, ["de": 0.3, "fr": 0.4, "it": 0.3]), state: "drifted"),
        ]
        features["prediction"] = Feature(
            firstWords: words(3000, ["yes": 0.1, "no": 0.9]), secondWords: words(3000, ["yes": 0.16, "no": 0.84]),
            role: "prediction", state: "shifted")

        let samples = try Samples()
        for hour in Self.first + Self.second {
            try samples.addRequests("m", hour: hour, latencies: Array(repeating: 0.1, count: 1500))
        }
        for (name, feature) in features {
            for (hours, values, texts) in [
                (Self.first, feature.first, feature.firstWords), (Self.second, feature.second, feature.secondWords),
            ] {
                let cut = values.count / 3
                try samples.addValues(
                    "m", name, hour: hours[0], role: feature.role, numbers: Array(values[..<cut]), words: texts)
                try samples.addValues("m", name, hour: hours[1], role: feature.role, numbers: Array(values[cut...]))
            }
        }
        let scores = [0.02, 0.05].map { offset in
            (0..<3000).map { _ in min(1, max(0, 1 / (1 + exp(2 - PlainStatistics.normal(&generator))) + offset)) }
        }
        try samples.addScores("m", hour: Self.first[0], scores[0])
        try samples.addScores("m", hour: Self.second[0], scores[1])
        try samples.fill()

        let reader = try samples.database.connectAsReader()
        let rows = try reader.query(
            """
            SELECT feature_name, value_kind, baseline_count, current_count, bin_count, psi, psi_noise, ks, ks_p_value,
                   baseline_missing_rate, current_missing_rate, drift_state, feature_role
            FROM nadi.drift_between('m', $1, $2, $3, $4)
            """, [samples.at(2), samples.at(4), samples.at(30), samples.at(32)]
        ).rows
        #expect(rows.count == features.count + 1)
        for row in rows where row.text(12) != "score" {
            let name = row.text(0)
            let feature = try #require(features[name])
            #expect(row.text(11) == feature.state, "\(name)")
            let categorical = !feature.firstWords.isEmpty
            let a =
                categorical
                ? feature.firstWords.compactMap { $0?.hashValue }
                : feature.first.compactMap { $0.map(PlainStatistics.code) }
            let b =
                categorical
                ? feature.secondWords.compactMap { $0?.hashValue }
                : feature.second.compactMap { $0.map(PlainStatistics.code) }
            #expect(row.text(1) == (categorical ? "categorical" : "numeric"), "\(name)")
            #expect(row.integer(2) == a.count && row.integer(3) == b.count, "\(name)")
            #expect(abs(row.real(9) - (1 - Double(a.count) / 3000)) < 1e-12, "\(name)")
            #expect(abs(row.real(10) - (1 - Double(b.count) / 3000)) < 1e-12, "\(name)")
            guard !a.isEmpty, !b.isEmpty else {
                #expect(row.optionalReal(5) == nil && row.optionalReal(7) == nil, "\(name)")
                continue
            }
            try check(
                row, name, categorical ? a : PlainStatistics.deciles(of: a, by: a),
                categorical ? b : PlainStatistics.deciles(of: b, by: a))
            if categorical {
                #expect(row.optionalReal(7) == nil)
            } else {
                let gap = PlainStatistics.gap(a, b)
                #expect(abs(row.real(7) - gap) < 1e-12, "\(name)")
                let lambda = gap * sqrt(Double(a.count) * Double(b.count) / Double(a.count + b.count))
                #expect(abs(row.real(8) - PlainStatistics.kolmogorov(lambda)) < 1e-9, "\(name): p at lambda \(lambda)")
            }
        }

        let score = try #require(rows.first { $0.text(12) == "score" })
        let lower = try samples.connection.query("SELECT lower FROM nadi_store.score_edge ORDER BY bin").rows.map {
            $0.real(0)
        }
        let bins = scores.map { $0.map { p in (lower.lastIndex { $0 <= p } ?? 0) } }
        try check(
            score, "score", PlainStatistics.deciles(of: bins[0], by: bins[0]),
            PlainStatistics.deciles(of: bins[1], by: bins[0]))
        #expect(score.text(11) == "drifted" || score.text(11) == "shifted")
        #expect(abs(score.real(7) - PlainStatistics.gap(bins[0], bins[1])) < 1e-12)
    }

    private func check(_ row: QueryResult.Row, _ name: String, _ a: [Int], _ b: [Int]) throws {
        let (psi, cells) = PlainStatistics.psi(a, b)
        #expect(row.integer(4) == cells, "\(name)")
        #expect(abs(row.real(5) - psi) < 1e-9, "\(name): PSI \(row.real(5)), from samples \(psi)")
        let noise =
            (1 / Double(a.count) + 1 / Double(b.count))
            * (cells > 1 ? PlainStatistics.chiSquareLimit(freedom: cells - 1) : 0)
        #expect(abs(row.real(6) - noise) <= 3e-6 * noise, "\(name): noise \(row.real(6)), from samples \(noise)")
    }

    @Test func theSameDistributionSeldomSeemsToMove() throws {
        var generator = SeededGenerator(seed: 7)
        let samples = try Samples()
        for hour in [0, 1] {
            try samples.addRequests("m", hour: hour, latencies: Array(repeating: nil, count: 500))
            for number in 0..<200 {
                try samples.addValues(
                    "m", "f\(number)", hour: hour,
                    numbers: (0..<500).map { _ in 3 + PlainStatistics.normal(&generator) })
            }
        }
        try samples.fill()
        let states = try samples.database.connectAsReader().query(
            "SELECT drift_state, count(*) FROM nadi.drift_between('m', $1, $2, $2, $3) GROUP BY 1",
            [samples.at(0), samples.at(1), samples.at(2)]
        ).rows.map { "\($0.text(0)) \($0.integer(1))" }
        #expect(states == ["stable 200"])
    }

    @Test func limitsOfChiSquareAreRight() throws {
        let database = try TestDatabase()
        let connection = try database.connect()
        let rows = try connection.query("SELECT k, nadi_store.chi_square_limit(k) FROM generate_series(0, 1000) k").rows
        #expect(rows[0].real(1) == 0)
        for row in rows.dropFirst() {
            let freedom = Int(row.integer(0))
            let exact = PlainStatistics.chiSquareLimit(freedom: freedom)
            let error = row.real(1) / exact - 1
            #expect(abs(error) < (freedom <= 49 ? 3e-6 : 0.003), "\(freedom) degrees: \(row.real(1)), exact \(exact)")
            #expect(freedom <= 49 || error > -1e-4)
        }
        let tails = try connection.query("SELECT x, nadi_store.kolmogorov_p(x) FROM generate_series(0.05, 4, 0.05) x")
            .rows
        for row in tails {
            #expect(abs(row.real(1) - PlainStatistics.kolmogorov(row.real(0))) < 1e-9, "lambda \(row.real(0))")
        }
    }

    @Test func windowsOverTimeAreWhatTwoRangesSay() throws {
        var generator = SeededGenerator(seed: 8)
        let samples = try Samples()
        for hour in 0..<6 {
            try samples.addRequests("m", hour: hour, latencies: Array(repeating: 0.1, count: 400))
            try samples.addValues(
                "m", "f", hour: hour,
                numbers: (0..<400).map { _ in (hour < 3 ? 3 : 9) + PlainStatistics.normal(&generator) })
        }
        try samples.fill()
        let reader = try samples.database.connectAsReader()
        let rows = try reader.query(
            "SELECT bucket_start, drift_state, psi FROM nadi.drift_over_time('m', $1, $2, '1 hour', 'previous') ORDER BY 1",
            [samples.at(0), samples.at(6)]
        ).rows
        #expect(
            rows.map { $0.text(1) } == ["too_few", "stable", "stable", "drifted", "stable", "stable"],
            "the first hour follows a silent one")
        for (hour, row) in rows.enumerated().dropFirst() {
            let pair = try reader.query(
                "SELECT psi FROM nadi.drift_between('m', $1, $2, $2, $3)",
                [samples.at(hour - 1), samples.at(hour), samples.at(hour + 1)]
            ).first
            #expect(pair?.real(0) == row.real(2))
        }
    }
}
