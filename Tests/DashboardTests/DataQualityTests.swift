import TableStorage
import TestSupport
import Testing

/// nadi.data_quality against counts of the raw samples.
@Suite(.enabled(if: Servers.postgres, "\(Servers.missing)")) struct DataQualityTests {
    /// A feature's samples: hours 0 and 1 are the reference, 30 and 31 are looked at.
    struct Feature {
        var before: [Double?] = []
        var after: [Double?] = []
        var wordsBefore: [String?] = []
        var wordsAfter: [String?] = []
        let state: String
        var reason = ""
        var outside: Double?
        var new: (count: Int64, rate: Double)?
        var wrong = 0.0
        var constant: Bool? = false
    }

    static func normals(_ count: Int, _ seed: UInt64, _ draw: (Double) -> Double = { $0 }) -> [Double?] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in draw(PlainStatistics.normal(&generator)) }
    }

    static func words(_ count: Int, _ values: [String]) -> [String?] { (0..<count).map { values[$0 % values.count] } }

    static let features: [String: Feature] = [
        "same": Feature(before: normals(3000, 1), after: normals(3000, 2), state: "usual", outside: nil),
        "some_missing": Feature(
            before: normals(3000, 3), after: normals(2000, 4) + Array(repeating: nil, count: 1000), state: "bad",
            reason: "33 % missing, in the reference 0 %"),
        "few_missing": Feature(
            before: normals(3000, 5), after: normals(2900, 6) + Array(repeating: nil, count: 100), state: "changed",
            reason: "3.3 % missing, in the reference 0 %"),
        "one_missing": Feature(before: normals(3000, 7), after: normals(2999, 8) + [nil], state: "usual"),
        "vanished": Feature(
            before: normals(3000, 9), state: "bad", reason: "100 % missing, in the reference 0 %", constant: nil),
        "texts_come": Feature(
            before: normals(3000, 10), after: normals(2400, 11), wordsAfter: words(600, ["n/a"]), state: "bad",
            reason: "20 % of another type, in the reference 0 %", wrong: 0.2),
        "numbers_come": Feature(
            after: normals(2950, 12).prefix(50).map { $0 }, wordsBefore: words(3000, ["a", "b"]),
            wordsAfter: words(2950, ["a", "b"]), state: "changed",
            reason: "1.7 % of another type, in the reference 0 %", new: (0, 0), wrong: 50.0 / 3000),
        "outside": Feature(
            before: (0..<3000).map { Double($0 % 100) },
            after: (0..<3000).map { $0 % 5 == 0 ? 1000 : Double($0 % 100) }, state: "bad",
            reason: "20 % outside 0 to 99", outside: 0.2),
        "a_little_outside": Feature(
            before: (0..<3000).map { Double($0 % 100) },
            after: (0..<3000).map { $0 % 100 == 0 ? -1 : Double($0 % 100) }, state: "changed",
            reason: "1 % outside 0 to 99", outside: 0.01),
        "hardly_outside": Feature(
            before: (0..<3000).map { Double($0 % 100) }, after: (0..<3000).map { $0 < 4 ? 1e9 : Double($0 % 100) },
            state: "usual", outside: 4.0 / 3000),
        "stuck": Feature(
            before: normals(3000, 13), after: Array(repeating: 0.5, count: 3000), state: "bad",
            reason: "one value alone", outside: 0, constant: true),
        "always_stuck": Feature(
            before: Array(repeating: 7, count: 3000), after: Array(repeating: 7, count: 3000), state: "usual",
            outside: 0, constant: true),
        "new_word": Feature(
            wordsBefore: words(3000, ["de", "fr"]), wordsAfter: words(3000, ["de", "fr", "it", "es"]), state: "bad",
            reason: "50 % in 2 new categories", new: (2, 0.5)),
        "rare_word": Feature(
            wordsBefore: words(3000, ["de", "fr"]), wordsAfter: ["it"] + words(2999, ["de", "fr"]), state: "usual",
            new: (1, 1.0 / 3000)),
        // A tenth of the reference's names came once: as many new ones are no surprise.
        "names": Feature(
            wordsBefore: words(2700, ["a", "b", "c"]) + (0..<300).map { "once\($0)" },
            wordsAfter: words(2700, ["a", "b", "c"]) + (0..<300).map { "twice\($0 % 150)" }, state: "usual",
            new: (150, 0.1)),
        "born_later": Feature(
            after: normals(3000, 14), state: "no_reference", reason: "the reference has no such feature"),
    ]

    func samples() throws -> Samples {
        let samples = try Samples()
        try samples.database.run(fixture: "add_reference.sql")
        for hour in [0, 1, 30, 31] {
            try samples.addRequests("m", hour: hour, latencies: Array(repeating: 0.1, count: 1500))
        }
        for (name, feature) in Self.features {
            for (hours, numbers, words) in [
                ([0, 1], feature.before, feature.wordsBefore), ([30, 31], feature.after, feature.wordsAfter),
            ] {
                let (cut, wordCut) = (numbers.count / 2, words.count / 3)
                try samples.addValues(
                    "m", name, hour: hours[0], numbers: Array(numbers[..<cut]), words: Array(words[..<wordCut]))
                try samples.addValues(
                    "m", name, hour: hours[1], numbers: Array(numbers[cut...]), words: Array(words[wordCut...]))
            }
        }
        try samples.fill()
        return samples
    }

    static let columns = """
        SELECT feature_name, value_kind, prediction_count, value_count, missing_rate, wrong_type_rate,
               out_of_range_rate, new_category_count, new_category_rate, category_count, is_constant, minimum_value, maximum_value,
               baseline_minimum_value, baseline_maximum_value, quality_state, reason, baseline_missing_rate
        FROM nadi.data_quality('m', $1, $2)
        """

    @Test(arguments: ["on the reference's edges", "on 2 % bins"])
    func everyFeatureIsJudgedByItsSamples(_ bins: String) throws {
        let samples = try samples()
        // Hours before effective_from keep no counts on its edges.
        let exact = bins == "on the reference's edges"
        try samples.connection.query(
            "SELECT test.add_reference('m', $1, $2, $3)", [samples.at(0), samples.at(2), samples.at(exact ? 2 : 31)])
        if !exact {
            try samples.connection.execute("UPDATE nadi_store.feature_hour SET edge_set_id = 0, edge_counts = NULL")
        }
        let reader = try samples.database.connectAsReader()
        let rows = try reader.query(Self.columns, [samples.at(30), samples.at(32)]).rows
        #expect(Set(rows.map { $0.text(0) }) == Set(Self.features.keys))
        for row in rows {
            let name = row.text(0)
            let feature = try #require(Self.features[name])
            #expect(row.text(15) == feature.state, "\(name): \(row.text(16))")
            #expect(row.text(16) == feature.reason, "\(name)")
            let categorical = feature.wordsBefore.count > feature.before.count
            #expect(row.text(1) == (categorical ? "categorical" : "numeric"), "\(name)")
            let numbers = feature.after.compactMap { $0 }
            let texts = feature.wordsAfter.compactMap { $0 }
            #expect(row.integer(2) == 3000 && row.integer(3) == (categorical ? texts.count : numbers.count), "\(name)")
            #expect(abs(row.real(4) - (1 - Double(numbers.count + texts.count) / 3000)) < 1e-12, "\(name)")
            #expect(abs(row.real(5) - feature.wrong) < 1e-12, "\(name)")
            if let outside = feature.outside { #expect(abs(row.real(6) - outside) < 1e-12, "\(name)") }
            if categorical || feature.state == "no_reference" { #expect(row.optionalReal(6) == nil, "\(name)") }
            if let new = feature.new {
                #expect(row.integer(7) == new.count && abs(row.real(8) - new.rate) < 1e-12, "\(name)")
                #expect(row.integer(9) == Set(texts).count, "\(name)")
            } else {
                #expect(row.optionalReal(8) == nil, "\(name)")
            }
            #expect(row.optionalText(10).map { $0 == "t" } == feature.constant, "\(name)")
            if !categorical {
                #expect(row.optionalReal(11) == numbers.min() && row.optionalReal(12) == numbers.max(), "\(name)")
                let before = feature.before.compactMap { $0 }
                #expect(row.optionalReal(13) == before.min() && row.optionalReal(14) == before.max(), "\(name)")
            }
        }
    }

    @Test func withoutAReferenceItSaysWhatNeedsNone() throws {
        let samples = try samples()
        let reader = try samples.database.connectAsReader()
        let rows = try reader.query(Self.columns, [samples.at(30), samples.at(32)]).rows
        #expect(rows.count == Self.features.count)
        for row in rows {
            let name = row.text(0)
            #expect(row.text(15) == "no_reference" && row.text(16) == "no reference is in force", "\(name)")
            #expect(row.optionalReal(6) == nil && row.optionalReal(8) == nil && row.optionalReal(17) == nil, "\(name)")
            #expect(row.integer(2) == 3000, "\(name)")
        }
        let by = Dictionary(uniqueKeysWithValues: rows.map { ($0.text(0), $0) })
        #expect(by["vanished"]?.real(4) == 1 && by["stuck"]?.boolean(10) == true)
        #expect(by["texts_come"]?.real(5) == 0.2, "what most values are is the kind")
        let empty = try reader.query(Self.columns, [samples.at(40), samples.at(41)]).rows
        #expect(empty.count == Self.features.count && empty.allSatisfy { $0.text(15) == "no_predictions" })
        #expect(try reader.query("SELECT * FROM nadi.data_quality('nobody', now(), now())").count == 0)
    }

    /// One missing value in 1,000 against none in 50,000 is no alarm; the pooled z test would be 7 deviations.
    @Test func ratesAreComparedByAStatisticThatHoldsForFewHits() throws {
        let database = try TestDatabase()
        let connection = try database.connect()
        func change(_ a: Double, _ n: Double, _ b: Double, _ m: Double) throws -> Double {
            try #require(
                try connection.query(
                    "SELECT nadi_store.share_root($1, $2, $3, $4)", [.real(a), .real(n), .real(b), .real(m)]
                ).first
            ).real(0)
        }
        #expect(try abs(change(0, 50_000, 1, 1000)) < 3)
        #expect(try change(0, 50_000, 10, 1000) > 4.417)
        #expect(try change(500, 1000, 300, 1000) < -4.417)
        #expect(try change(10, 100, 10, 100) == 0)
        #expect(try change(0, 100, 0, 100) == 0 && change(100, 100, 100, 100) == 0)
        // scipy.stats.chi2_contingency([[30, 970], [60, 940]], lambda_="log-likelihood"), which corrects as Yates did.
        #expect(try abs(change(30, 1000, 60, 1000) - 9.953591790755.squareRoot()) < 1e-9)
        // Chance: over binomial draws it exceeds 4.417 about never, and 1.96 about as often as a normal number.
        var generator = SeededGenerator(seed: 5)
        let draws = (0..<2000).map { _ in
            [0, 1].map { _ in Double((0..<400).count { _ in Double.random(in: 0..<1, using: &generator) < 0.05 }) }
        }
        let far = try draws.count { try abs(change($0[0], 400, $0[1], 400)) > 1.96 }
        #expect(far > 20 && far < 110, "\(far) of 2,000 beyond 1.96")
        let never = try draws.count { try abs(change($0[0], 400, $0[1], 400)) > 4.417 }
        #expect(never == 0)
    }
}
