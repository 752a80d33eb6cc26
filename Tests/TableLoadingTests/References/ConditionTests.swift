import ModelStatistics
import RecordBatches
import TableLoading
import TestSupport
import Testing

/// The language of --where.
struct ConditionTests {
    private static let line = """
        {"schema":1,"type":"prediction","id":"p1","time":"2026-11-23T10:00:00Z","service":"s","model_name":"iris",\
        "model_version":"3","model_variant":"canary","task":"multiclass","prediction":"setosa","score":0.9,"status":"ok",\
        "scores":{"setosa":0.9,"virginica":0.1},"tags":{"country":"de","petal":"tag"},"latency_seconds":0.25,\
        "features":{"petal_length":1.5,"colour":"red","weekend":false,"none":null,"petal":2,"a b":"x","is":4,"list":[1]}}

        """

    private static func holds(_ text: String) throws -> Bool {
        let condition = try Condition(text)
        var held: [Bool] = []
        let bytes = Array(line.utf8)
        bytes.withUnsafeBytes { all in
            JSONLineReader().append(all) { _, line in
                if case .event(let event) = line { held.append(condition.holds(event)) }
            }
        }
        return try #require(held.first)
    }

    @Test(arguments: [
        "petal_length > 1", "petal_length >= 1.5", "petal_length <= 1.5 and petal_length != 2", "petal_length = 15e-1",
        "colour = \"red\"", "colour == 'red'", "colour < 'rose'", "colour in (\"blue\", \"red\")",
        "petal_length not in (1, 2)", "weekend = false", "weekend != true", "none is missing", "nowhere is missing",
        "colour is not missing", "not none = 4", "not (none > 0 or nowhere < 0)", "none <> 4 or true_ is missing",
        "country = \"de\"", "petal = 2", "tags.petal = \"tag\"", "features.petal = 2", "scores.virginica < 0.2",
        "version = \"3\" and variant = 'canary' and model = 'iris'", "score >= 0.9 and latency_seconds < 1",
        "prediction = \"setosa\" AND NOT status = 'error'", "`a b` = \"x\"", "features.`is` = 4",
        "time >= \"2026-11-23T10:00:00Z\" and time < \"2026-11-23 10:00:01\"", "petal_length != \"1.5\"", "list != 1",
        "prediction_id is missing and id = 'p1'", "petal_length > -3", "((petal_length>1))",
        "colour = \"red\" or colour = \"blue\" and weekend = true",
    ])
    func holdsForTheLine(_ text: String) throws {
        #expect(try Self.holds(text))
        #expect(try !Self.holds("not (\(text))"))
    }

    @Test(arguments: [
        "petal_length > \"1\"", "colour = 1", "none = 4", "none != 4", "nowhere in (1)", "weekend > false", "list = 1",
        "features.country = 'de'", "tags.colour = 'red'", "colour = \"r\u{e9}d\"",
        "(colour = \"red\" or colour = \"blue\") and weekend = true",
    ])
    func doesNotHoldForTheLine(_ text: String) throws { #expect(try !Self.holds(text)) }

    @Test(arguments: [
        ("petal_length >", 14, "here should be a number"), ("> 3", 0, "here should be a name"),
        ("a = b", 4, "did you mean \"b\""), ("a = 1 b = 2", 6, "here should be and, or, or the end"),
        ("(a = 1", 6, "a parenthesis is not closed"), ("a in 3", 5, "after in comes a list"),
        ("a is 3", 5, "after is comes missing"), ("a = 'x", 4, "has no end"), ("a ~ 3", 2, "means nothing here"),
        ("a = 1.2.3", 4, "is no number"), ("3 = a", 0, "begins with a name"), ("", 0, "here should be a name"),
        ("a", 1, "after a comes"), ("a not 3", 6, "after not comes in"), ("time > \"noon\"", 7, "a time is written"),
        ("x.y = 1", 0, "before a dot"), ("and = 1", 0, "between backquotes"), ("a in (1, 2", 10, "a comma or )"),
    ])
    func aFaultIsShownWhereItIs(_ text: String, _ place: Int, _ message: String) {
        do {
            _ = try Condition(text)
            Issue.record("\(text) was read")
        } catch {
            #expect(error.place == place && error.message.contains(message), "\(error)")
            let lines = error.description.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.count == 3 && lines[2] == String(repeating: " ", count: 4 + place) + "^")
        }
    }

    @Test func deepNestingIsRefused() {
        let deep = String(repeating: "(", count: 500) + "a = 1" + String(repeating: ")", count: 500)
        #expect(throws: ConditionError.self) { try Condition(deep) }
        #expect(throws: ConditionError.self) { try Condition(String(repeating: "not ", count: 500) + "a = 1") }
        #expect((try? Condition(Array(repeating: "a = 1", count: 3000).joined(separator: " and "))) != nil)
    }

    @Test func aSampleIsUniformAndDoesNotDependOnTheOrder() {
        func sample(_ order: [Int], seed: UInt64) -> [Int] {
            var sample = LineSample(size: 50, seed: seed)
            for line in order {
                [UInt8]("\(line)".utf8).withUnsafeBufferPointer { raw in
                    sample.add(.init(writer: "w\(line % 3)", seq: line / 100, line: line), time_ms: Int64(line), raw) {
                        []
                    }
                }
            }
            #expect(sample.matched == order.count)
            return sample.lines.map { Int(String(decoding: $0.raw, as: UTF8.self)) ?? -1 }
        }
        let all = Array(0..<2000)
        let first = sample(all, seed: 1)
        #expect(first.count == 50 && first == first.sorted())
        #expect(sample(all.reversed(), seed: 1) == first)
        #expect(sample(all, seed: 2) != first)
        #expect(sample(Array(0..<7), seed: 1) == Array(0..<7))
        // Over 200 seeds each tenth of the lines is drawn 1,000 times; four standard deviations are some 120.
        var tenths = [Int](repeating: 0, count: 10)
        for seed in 0..<200 { for line in sample(all, seed: UInt64(seed)) { tenths[line / 200] += 1 } }
        #expect(tenths.allSatisfy { (880...1120).contains($0) }, "\(tenths)")
    }
}
