import EventSegments
import RecordBatches
import Sketches
import Testing
import TestSupport

struct OutcomeJoinerTests {
    static func label(
        _ id: String, _ text: String? = nil, number: Double? = nil, name: String = "label", model: String = "iris",
        time_ms: Int64 = 1_795_428_930_123 + 60_000
    ) -> WaitingOutcome {
        WaitingOutcome(
            model: model, predictionID: id, type: .outcome, name: name, time_ms: time_ms, labelText: text,
            labelNumber: number)
    }

    static func join(
        _ lines: [String], _ outcomes: [WaitingOutcome], hours: Set<Int64> = [testHour_s], slices: [String] = []
    ) throws -> JoinResult {
        let joiner = OutcomeJoiner(outcomes, hours: hours, configuration: .init(slices: slices))
        try joiner.add(makeObject([SegmentFixture(lines: lines)]))
        return joiner.result()
    }

    @Test func binaryPredictions() throws {
        let result = try Self.join(
            [
                prediction(#""prediction_id":"a","prediction":true,"score":0.75,"tags":{"region":"eu"}"#),
                prediction(#""prediction_id":"b","prediction":1,"task":"binary","score":0.5"#),
                prediction(#""id":"c","prediction":false,"score":0"#), prediction(#""prediction_id":"d""#),
                prediction(#""prediction_id":"z","prediction":true"#, time: "2026-11-23T09:59:00Z"),
            ],
            [
                Self.label("a", "YES"), Self.label("b", number: 0), Self.label("c", "false"), Self.label("z", "1"),
                Self.label("a", name: "revenue"), Self.label("a", "true", model: "other"), Self.label("none", "1"),
            ], slices: ["region"])
        let all = try #require(result.outcomeHours.first { result.series[$0.key.series].isAll }?.value)
        #expect(all.labelled == 3 && all.classified == 3 && all.correct == 2)
        let confusion = Dictionary(
            uniqueKeysWithValues: all.confusion.map {
                (result.categories[$0.key.predicted].value + ">" + result.categories[$0.key.label].value, $0.value)
            })
        #expect(confusion == ["true>YES": 1, "1>0": 1, "false>false": 1])
        let sums = try #require(all.scores[Int32(ScoreBins.bin(0.75))])
        #expect(sums.count == 1 && sums.sumY == 1 && sums.sumP == 0.75 && sums.sumPP == 0.5625 && sums.sumPY == 0.75)
        #expect(all.scores.count == 3 && all.logLossCount == 3)
        // -ln 0.75 - ln 0.5 - ln(1 - 1e-15)
        #expect((all.logLossSum - 0.980_829_253_011_726).magnitude < 1e-12)
        #expect(all.delayCount == 3 && all.delaySum == 180 && all.delay.total == 3)
        #expect(result.joined == [0, 1, 2, 4].map { .init(outcome: $0, hour_s: testHour_s) })
        #expect(result.predictions == [.init(model: "iris", hour_s: testHour_s): 4] && result.repeated.isEmpty)
        let slices = result.outcomeHours.map { (result.series[$0.key.series].sliceValue, $0.value.labelled) }
        #expect(Dictionary(uniqueKeysWithValues: slices) == ["all": 3, "eu": 1, "missing": 2])
        #expect(result.days().values.map(\.labelled).sorted() == [1, 2, 3])
    }

    @Test func multiclassAndRegression() throws {
        let result = try Self.join(
            [
                prediction(#""prediction_id":"a","prediction":"x","score":0.9"#),
                prediction(#""prediction_id":"b","prediction":2,"task":"multiclass","score":0.5"#),
                prediction(#""prediction_id":"c","prediction":10,"score":0.5"#),
                prediction(#""prediction_id":"d","prediction":"x","status":"error""#),
            ],
            [
                Self.label("a", "y"), Self.label("b", number: 2), Self.label("c", number: 12.5), Self.label("d", "x"),
            ])
        let counts = try #require(result.outcomeHours.values.first)
        #expect(counts.labelled == 4 && counts.classified == 2 && counts.correct == 1)
        #expect(
            counts.errorCount == 1 && counts.errorSum == -2.5 && counts.errorAbsSum == 2.5
                && counts.errorSquareSum == 6.25)
        #expect(counts.scores.values.reduce(0) { $0 + $1.count } == 2)
    }

    @Test(arguments: 1...4) func anyOrderOfReadingGivesTheSame(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let objects = try (0..<12).map { seq in
            try makeObject([
                SegmentFixture(
                    lines: (0..<200).map { _ in
                        prediction(
                            #""prediction_id":"p\#(random.next() % 300)","prediction":"c\#(random.next() % 3)","score":\#(Double.random(in: 0...1, using: &random))"#
                        )
                    }, seq: seq)
            ])
        }
        let outcomes = (0..<150).map { Self.label("p\($0)", "c\($0 % 3)") }
        func join(_ objects: [[UInt8]]) throws -> JoinResult {
            let joiner = OutcomeJoiner(outcomes, hours: [testHour_s])
            for object in objects { try joiner.add(object) }
            return joiner.result()
        }
        let result = try join(objects)
        #expect(result.predictions.values.first == 2400)
        #expect(result.outcomeHours.values.first?.labelled == Int64(result.joined.count))
        #expect(try #require(result.repeated.values.first) > 500)
        #expect(try join(objects.shuffled(using: &random)) == result)
    }

    @Test func aPoisonedObjectLeavesNothing() throws {
        let joiner = OutcomeJoiner([Self.label("a", "x")], hours: [testHour_s])
        let fixture = SegmentFixture(lines: [prediction(#""prediction_id":"a","prediction":"x""#)])
        let bad = try makeObject([fixture]) { $0.segments[0].rawSHA256 = String(repeating: "0", count: 64) }
        #expect(throws: ObjectError.self) { try joiner.add(bad) }
        #expect(joiner.result().joined.isEmpty && joiner.result().predictions.isEmpty)
        try joiner.add(makeObject([fixture]))
        #expect(joiner.result().joined.count == 1 && joiner.result().predictions.values.first == 1)
    }
}
