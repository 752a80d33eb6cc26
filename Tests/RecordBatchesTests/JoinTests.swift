import EventSegments
import RecordBatches
import Sketches
import Testing
import TestSupport

struct JoinTests {
    static func label(
        _ id: String, _ text: String? = nil, number: Double? = nil, model: String = "iris"
    ) -> TestOutcome {
        TestOutcome(model: model, id: id, label: text, number: number)
    }

    static func join(
        _ lines: [String], _ outcomes: [TestOutcome], slices: [String] = []
    ) throws -> TestJoin {
        try TestJoin([makeObject([SegmentFixture(lines: lines)])], outcomes, slices: slices)
    }

    @Test func binaryPredictions() throws {
        let join = try Self.join(
            [
                prediction(#""prediction_id":"a","prediction":true,"score":0.75,"tags":{"region":"eu"}"#),
                prediction(#""prediction_id":"b","prediction":1,"task":"binary","score":0.5"#),
                prediction(#""id":"c","prediction":false,"score":0"#), prediction(#""prediction_id":"d""#),
                prediction(#""prediction_id":"z","prediction":true"#, time: "2026-11-23T09:59:00Z"),
            ],
            [
                Self.label("a", "YES"), Self.label("b", number: 0), Self.label("c", "false"), Self.label("z", "1"),
                TestOutcome(id: "a", name: "revenue", value: 4), Self.label("a", "true", model: "other"),
                Self.label("none", "1"),
            ], slices: ["region"])
        let all = try #require(join.outcomes["iris/1/champion/all/all"])
        #expect(all.labelled == 3 && all.classified == 3 && all.correct == 2)
        #expect(all.binary == 3 && all.labelPositive == 1 && all.predictedPositive == 2 && all.truePositive == 1)
        #expect(join.confusion.isEmpty && join.result.newClasses.isEmpty, "the four numbers say it")
        let sums = try #require(all.scores[Int32(ScoreBins.bin(0.75))])
        #expect(sums.count == 1 && sums.sumY == 1 && sums.sumP == 0.75 && sums.sumPP == 0.5625 && sums.sumPY == 0.75)
        #expect(all.scores.count == 3 && all.logLossCount == 3)
        // -ln 0.75 - ln 0.5 - ln(1 - 1e-15)
        #expect((all.logLossSum - 0.980_829_253_011_726).magnitude < 1e-12)
        #expect(all.delayCount == 3 && all.delaySum == 180 && all.delay.total == 3)
        #expect(join.joined == [0, 1, 2, 4])
        #expect(join.result.repeated == [0, 0])
        #expect(join.result.joinedCounts == [4, 0])
        let slices = join.outcomes.mapValues(\.labelled)
        #expect(
            slices == [
                "iris/1/champion/all/all": 3, "iris/1/champion/region/eu": 1, "iris/1/champion/region/missing": 2,
            ])
    }

    @Test func multiclassAndRegression() throws {
        let join = try Self.join(
            [
                prediction(#""prediction_id":"a","prediction":"x","score":0.9"#),
                prediction(#""prediction_id":"b","prediction":2,"task":"multiclass","score":0.5"#),
                prediction(#""prediction_id":"c","prediction":10,"score":0.5"#),
                prediction(#""prediction_id":"d","prediction":"x","status":"error""#),
                prediction(#""prediction_id":"e","prediction":-1e200"#),
            ],
            [
                Self.label("a", "y"), Self.label("b", number: 2), Self.label("c", number: 12.5), Self.label("d", "x"),
                Self.label("e", number: 1e200),
            ])
        let counts = try #require(join.outcomes.values.first)
        #expect(counts.labelled == 4 && counts.failedLabelled == 1, "the prediction of d failed")
        #expect(counts.classified == 2 && counts.correct == 1 && counts.binary == 0)
        #expect(counts.errorCount == 2 && (counts.errorSum / -2e200 - 1).magnitude < 1e-15)
        #expect((counts.errorAbsSum / 2e200 - 1).magnitude < 1e-15)
        #expect(counts.errorSquareSum == .greatestFiniteMagnitude && counts.errorLabelSum == 1e200)
        #expect(counts.errorLabelSquareSum == .greatestFiniteMagnitude)
        let bins = [0.9, 0.5].map { -1 - Int32(ScoreBins.bin($0)) }
        #expect(counts.scores.mapValues(\.count) == [bins[0]: 1, bins[1]: 1])
        let one = try Self.join(
            [prediction(#""prediction_id":"c","prediction":10"#)], [Self.label("c", number: 12.5)])
        let error = try #require(one.outcomes.values.first)
        #expect(error.errorSum == -2.5 && error.errorAbsSum == 2.5 && error.errorSquareSum == 6.25)
        #expect(error.errorLabelSum == 12.5 && error.errorLabelSquareSum == 156.25)
    }

    @Test func everyOutcomeAndFeedbackIsCountedByName() throws {
        func feedback(_ name: String, _ id: String = "a", label: String? = nil, score: Double? = nil) -> TestOutcome {
            TestOutcome(id: id, type: .feedback, name: name, label: label, score: score)
        }
        func outcome(
            _ name: String, _ id: String = "a", label: String? = nil, number: Double? = nil, value: Double? = nil,
            currency: String? = nil
        ) -> TestOutcome {
            TestOutcome(id: id, name: name, label: label, number: number, value: value, currency: currency)
        }
        let join = try Self.join(
            [
                prediction(#""prediction_id":"a","prediction":true"#), prediction(#""prediction_id":"b""#),
                prediction(#""prediction_id":"c""#),
            ],
            [
                outcome("click", label: "true"), outcome("click", "b", label: "No"), outcome("click", "c", number: 0.3),
                outcome("conversion", number: 1), outcome("conversion", "b", value: 0),
                outcome("revenue", value: 20.5, currency: "EUR"), outcome("revenue", "b", value: 0.1, currency: "EUR"),
                outcome("revenue", "c", value: -3, currency: "USD"), outcome("label", label: "negative"),
                outcome("override", "b", label: "up"), feedback("thumbs", label: "UP"),
                feedback("thumbs", "b", score: 0), feedback("thumbs", "c", score: 0.5), feedback("stars", score: 0),
                feedback("stars", "b", score: -1), feedback("override", label: "thumbs_down"),
                feedback("comment", "nobody", label: "up"), outcome("refund", "nobody", value: 1),
            ])
        func row(_ name: String) throws -> NamedOutcomeCounts {
            try #require(join.named["iris/1/champion/all/all \(name)"], "\(name) of \(join.named.keys.sorted())")
        }
        #expect(join.named.count == 9)
        #expect(join.joined.count == 16 && join.result.joinedCounts == [16])
        func says(_ name: String, _ count: Int64, _ positive: Int64, _ negative: Int64) throws {
            let row = try row(name)
            #expect((row.count, row.positive, row.negative) == (count, positive, negative), "\(name)")
        }
        try says("outcome click ", 3, 1, 2)
        try says("outcome conversion ", 2, 1, 0)
        try says("outcome revenue EUR", 2, 2, 0)
        try says("outcome revenue USD", 1, 0, 0)
        try says("outcome label ", 1, 0, 1)
        // An outcome's `up` is no yes, feedback's is.
        try says("outcome override ", 1, 0, 0)
        try says("feedback thumbs ", 3, 2, 1)
        try says("feedback stars ", 2, 0, 1)
        try says("feedback override ", 1, 0, 1)
        let revenue = try row("outcome revenue EUR")
        #expect(revenue.valueCount == 2 && revenue.valueSum == 20.6)
        #expect((revenue.valueSquareSum - 420.26).magnitude < 1e-12)
        #expect(try row("outcome revenue USD").valueSum == -3)
        let thumbs = try row("feedback thumbs ")
        #expect(thumbs.scoreCount == 2 && thumbs.scoreSum == 0.5 && thumbs.scoreSquareSum == 0.25)
        #expect(thumbs.valueCount == 0)
        #expect(join.outcomes.values.map(\.labelled) == [1])
    }

    /// One rule for predictions and labels, whatever they are written as.
    @Test(arguments: [
        ("true", true), ("True", true), ("YES", true), ("positive", true), ("1", true), ("1.0", true), ("+1", true),
        ("0.7", true), (".5", true), ("5e-1", true), ("7", true), ("false", false), ("No", false), ("NEGATIVE", false),
        ("0", false), ("0.0", false), ("-1", false), ("-1.0", false), ("0.49", false), ("1e-9", false), ("5.", true),
    ])
    func spellingsOfYesAndNo(text: String, isYes: Bool) throws {
        let join = try Self.join(
            [prediction(#""prediction_id":"a","prediction":"\#(text)","task":"binary","score":0.5"#)],
            [Self.label("a", text), TestOutcome(id: "a", type: .feedback, name: "override", label: text)])
        let counts = try #require(join.outcomes.values.first)
        #expect(counts.binary == 1 && counts.correct == 1 && counts.scores.count == 1)
        let numbers = [counts.labelPositive, counts.predictedPositive, counts.truePositive]
        #expect(numbers == Array(repeating: isYes ? 1 : 0, count: 3))
        for row in join.named.values { #expect((row.positive, row.negative) == (isYes ? 1 : 0, isYes ? 0 : 1)) }
        #expect(Verdict(text: text) == (isYes ? .yes : .no), "a reference's label")
    }

    /// Class names, and what is nearly a word or a number.
    @Test(arguments: [
        "ham", "spam", "", "truee", "1.0.0", "0x1", "1e", "1e100", "--1", "1,5", " 1", "nan", "-", ".", "+e1",
    ])
    func whatSaysNeitherYesNorNo(text: String) throws {
        #expect(Verdict(text: text) == .neither)
        let join = try Self.join(
            [
                prediction(#""prediction_id":"a","prediction":"ham","task":"binary","score":0.9"#),
                prediction(#""prediction_id":"b","prediction":true,"task":"binary","score":0.9"#),
                prediction(#""prediction_id":"c","task":"binary","score":0.9"#),
            ],
            ["a", "b", "c"].map { Self.label($0, text) })
        let counts = try #require(join.outcomes.values.first)
        #expect(counts.binary == 0 && counts.classified == 2 && counts.correct == (text == "ham" ? 1 : 0))
        #expect(counts.labelled == 3)
        #expect(counts.scores.isEmpty && counts.logLossCount == 0, "of which class is the score?")
        #expect(join.confusion.values.reduce(0, +) == 2)
    }

    /// `fraud` against 1 is no pair of yes and no, and binary pairs beside it keep their numbers.
    @Test func binaryPairsBesideOthers() throws {
        let join = try Self.join(
            [
                prediction(#""prediction_id":"a","prediction":"true","task":"binary","score":0.75"#),
                prediction(#""prediction_id":"b","prediction":"fraud","task":"binary","score":0.75"#),
                prediction(#""prediction_id":"c","prediction":"true","score":0.75"#),
            ], [Self.label("a", "1"), Self.label("b", number: 1), Self.label("c", "1")])
        let counts = try #require(join.outcomes.values.first)
        #expect((counts.classified, counts.correct) == (3, 1) && (counts.binary, counts.truePositive) == (1, 1))
        #expect(
            join.confusion == ["iris/1/champion/all/all fraud>1": 1, "iris/1/champion/all/all true>1": 1],
            "a text without task is a class among others")
        let bin = Int32(ScoreBins.bin(0.75))
        #expect(counts.scores.mapValues(\.sumY) == [bin: 1, -1 - bin: 0])
    }

    @Test func thumbsDownInEveryShape() throws {
        let thumbs = [
            TestOutcome(id: "0", type: .feedback, name: "thumbs", number: -1),
            TestOutcome(id: "1", type: .feedback, name: "thumbs", value: -1),
            TestOutcome(id: "2", type: .feedback, name: "thumbs", score: -1),
            TestOutcome(id: "3", type: .feedback, name: "thumbs", value: 0),
            TestOutcome(id: "4", type: .feedback, name: "thumbs", label: "-1"),
            TestOutcome(id: "5", type: .feedback, name: "thumbs", label: "down"),
            TestOutcome(id: "6", type: .feedback, name: "thumbs", number: 1),
            TestOutcome(id: "7", type: .feedback, name: "thumbs", value: 1, score: 0),
        ]
        let join = try Self.join(thumbs.map { prediction(#""prediction_id":"\#($0.id)","prediction":true"#) }, thumbs)
        let row = try #require(join.named.values.first)
        #expect((row.count, row.positive, row.negative) == (8, 2, 6))
    }

    /// What follows a failed prediction is not the model's: it joins, and is in no numerator over successful ones.
    @Test func outcomesOfFailedPredictions() throws {
        let join = try Self.join(
            [
                prediction(#""prediction_id":"a","prediction":true,"score":0.9,"status":"error""#),
                prediction(#""prediction_id":"b","prediction":true,"score":0.9"#),
            ],
            ["a", "b"].flatMap { [Self.label($0, "1"), TestOutcome(id: $0, name: "click", value: 1)] })
        let counts = try #require(join.outcomes.values.first)
        #expect((counts.labelled, counts.failedLabelled, counts.delayCount, counts.classified) == (1, 1, 1, 1))
        #expect(join.named.values.allSatisfy { $0.count == 1 } && join.result.joinedCounts == [4])
    }

    @Test func namesAndCurrenciesBeyondTheCapAreOther() throws {
        let lines = (0..<120).map { prediction(#""prediction_id":"p\#($0)""#) }
        let outcomes = (0..<120).map { number in
            TestOutcome(id: "p\(number)", name: "n" + String(number + 100), value: 1, currency: "A" + letters(number))
        }
        let labels = (0..<120).map { Self.label("p\($0)", "x") }
        let thumbs = (0..<120).map { TestOutcome(id: "p\($0)", type: .feedback, name: "thumbs", score: 1) }
        for order in [outcomes + labels + thumbs, thumbs + labels + outcomes.reversed()] {
            let join = try Self.join(lines, order)
            let names = Set(join.result.named.keys.map(\.name.name))
            #expect(names == Set((100..<150).map { "n\($0)" } + ["other", "label", "thumbs"]))
            let currencies = Set(join.result.named.keys.map(\.name.currency))
            #expect(currencies == Set((0..<50).map { "A" + letters($0) } + ["other", ""]))
            #expect(join.named.values.reduce(0) { $0 + $1.count } == 360)
            let other = try #require(join.named["iris/1/champion/all/all outcome other other"])
            // Amounts of many currencies have no sum.
            #expect(other.count == 70 && other.positive == 70 && other.valueCount == 0 && other.valueSum == 0)
        }
        func letters(_ number: Int) -> String {
            String(UnicodeScalar(UInt8(65 + number / 26))) + String(UnicodeScalar(UInt8(65 + number % 26)))
        }
    }

    @Test func namesThatWereNotAdmittedCountUnderOther() throws {
        var iris = JoinDictionary.Model(name: "iris")
        func key(_ version: String, _ sliceKey: String = "all", _ value: String = "all") -> SeriesKey {
            SeriesKey(
                model: 0, version: version, variant: "champion", environment: "default", sliceKey: sliceKey,
                sliceValue: value)
        }
        iris.series = [key("1"): 7, key("other"): 8, key("1", "region", "eu"): 9, key("1", "region", "other"): 10]
        iris.classes = [ExactText("x"): 3]
        let join = try TestJoin(
            [
                makeObject([
                    SegmentFixture(lines: [
                        prediction(#""prediction_id":"a","prediction":"x","tags":{"region":"eu"}"#),
                        prediction(#""prediction_id":"b","prediction":"y","tags":{"region":"us"}"#),
                        prediction(#""prediction_id":"c","prediction":"x","model_variant":"canary""#),
                    ])
                ])
            ],
            [Self.label("a", "x"), Self.label("b", "y"), Self.label("c", "z")], slices: ["region"],
            dictionary: JoinDictionary([iris]), classes: 1)
        let rows = join.result.outcomes.map { (join.dictionary.seriesID($0.key), $0.value.labelled) }
        // The canary's slice was not admitted under any name.
        #expect(Dictionary(uniqueKeysWithValues: rows) == [7: 2, 8: 1, 9: 1, 10: 1])
        #expect(join.result.newClasses.map(\.value) == ["y"])
        #expect(join.confusion["iris/1/champion/all/all other>y"] == 1)
        #expect(join.confusion["iris/other/champion/all/all x>other"] == 1)
        #expect(join.outcomes["iris/1/champion/all/all"]?.correct == 2)
    }

    /// What a reader holds grows with the predictions that outcomes name, not with the lines that repeat an id; the first line by
    /// writer and number counts, wherever it is read.
    @Test(arguments: [1, 3]) func anIdThatComesInEveryLineIsHeldOnce(readers: Int) throws {
        var objects: [[UInt8]] = []
        for seq in (0..<6).reversed() {
            var segment = SegmentFixture(
                lines: (0..<500).map { line in
                    let answer = seq == 2 && line == 0 ? "right" : "wrong"
                    return prediction(#""prediction_id":"unknown","prediction":"\#(answer)""#)
                }, seq: seq)
            // Of two writers, the first by name begins with its third segment.
            if seq < 2 { segment.writer = "web2-019ab0c65e9b7c3a8f1d2e3f4a5b6c7d" }
            objects.append(try makeObject([segment]))
        }
        let join = try TestJoin(objects, [Self.label("unknown", "right")], readers: readers)
        #expect(join.result.repeated == [2999])
        #expect(join.outcomes.values.map { [$0.labelled, $0.correct] } == [[1, 1]])
        #expect(join.heldFinds <= readers)
    }

    /// Lines are passed over by their bytes; however an id is written, its line is not.
    @Test func anIdIsFoundHoweverItIsWritten() throws {
        let many = (0..<300).map { prediction(#""prediction_id":"many\#($0)","id":"grid""#) }
        let lines = [
            prediction(#""prediction_id":"a1""#), prediction(#""id":"a2""#), prediction(#""prediction_id" : "a3""#),
            prediction(#""prediction_id": "a4""#), prediction(#""prediction\u005fid":"a5""#),
            prediction(#""prediction_id":"a\u0036""#), prediction(#""id":"other","prediction_id":"a7""#),
            prediction(#""prediction_id":"a8","id":"other""#), prediction(#""prediction_id":null,"id":"a9""#),
            prediction(#""features":{"id":"none","grid":"id"},"prediction_id":"a10""#),
            prediction(#""features":{"id":"a11"},"id":"other""#),
            prediction(#""id":"other","error_type":"id","prediction_id":"a12""#),
            prediction(#""prediction_id":"\#(String(repeating: "x", count: 256))""#),
            prediction(#""prediction_id":"é""#),
        ]
        let found = (1...12).filter { $0 != 11 }.map { "a\($0)" } + [String(repeating: "x", count: 256), "é"]
        let wanted = found + ["a11", "none", "grid", "id"]
        for lines in [lines, many + lines, lines + many] {
            let join = try Self.join(lines, wanted.map { Self.label($0, "x") })
            // `grid` is an id only where there is no other.
            #expect(Set(join.joined.map { wanted[$0] }) == Set(found))
        }
    }

    /// Rows of another model are not the join's to replace.
    @Test func aPredictionWithoutASeriesOfItsModelIsCountedNowhere() throws {
        func key(_ version: String) -> SeriesKey {
            SeriesKey(
                model: 0, version: version, variant: "champion", environment: "default", sliceKey: "all",
                sliceValue: "all")
        }
        var iris = JoinDictionary.Model(name: "iris")
        iris.series = [key("2"): 7]
        var other = JoinDictionary.Model(name: "other")
        other.series = [key("1"): 8, key("other"): 9]
        let lines = [prediction(#""prediction_id":"a","prediction":"x""#)]
        let join = try TestJoin(
            [makeObject([SegmentFixture(lines: lines)])], [Self.label("a", "x")],
            dictionary: JoinDictionary([iris, other]))
        #expect(join.result.outcomes.isEmpty && join.result.named.isEmpty)
        #expect(join.result.joinedCounts == [1, 0])
    }

    @Test func aTableOfManyOutcomesFindsEach() throws {
        let models = ["a", "b"]
        let table = OutcomeTable(models: models)
        var random = SeededGenerator(seed: 3)
        let outcomes = (0..<30_000).map { number in
            TestOutcome(
                model: models[number % 2], id: String(repeating: "i", count: number % 257) + String(number / 3),
                name: number % 5 == 0 ? "click" : "label", time_ms: Int64(number),
                label: number % 7 == 0 ? nil : "l\(number % 11)",
                value: number % 4 == 0 ? Double(number) : nil, score: number % 6 == 0 ? 0.5 : nil)
        }
        for number in outcomes.indices.shuffled(using: &random) {
            TestJoin.append(outcomes[number], number, models, to: table)
        }
        let short = outcomes.indices.filter { outcomes[$0].id.utf8.count <= 256 }
        #expect(table.count == short.count && table.memory > short.count * 40)
        let dictionary = JoinDictionary(open: models)
        let tally = JoinTally(
            [JoinReader(table, dictionary, hours: [testHour_s], slices: [], mappings: [])], table, dictionary)
        var seen: Set<Int> = []
        tally.forEach { model, number, time_ms in
            #expect(time_ms == nil && outcomes[Int(number)].model == models[model])
            seen.insert(Int(number))
        }
        #expect(seen == Set(short))
    }
}
