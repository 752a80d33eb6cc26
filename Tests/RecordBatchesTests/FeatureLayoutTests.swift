import RecordBatches
import Sketches
import TestSupport
import Testing

/// Names of features are remembered from line to line: what a line adds must not depend on the lines before it.
struct FeatureLayoutTests {
    private static let long = String(repeating: "n", count: 56)
    /// Neighbours differ in order, in one name, in length, in a repeated name, beyond what is remembered of a name.
    private static let layouts: [[String]] = [
        ["a", "b", "c"], ["a", "b"], ["a", "c", "b"], ["a", "b", "c", "d"], ["a", "b", "a"], ["b", "b", "b"], [],
        ["a", "b", long], ["a", "b", long + "x"], ["a", "b", long + "y"], ["x", "b", "c"],
    ]

    private static func line(_ random: inout SeededGenerator) -> String {
        let names = layouts[Int(random.next() % UInt64(layouts.count))]
        // A line that is refused in the middle of its features has taught its first names only.
        let faulty = random.next() % 8 == 0 ? Int(random.next() % UInt64(names.count + 1)) : Int.max
        var features = names.enumerated().map { place, name in
            "\"\(place == faulty ? "" : name)\":\(["1.5", "7", "\"t\"", "true", "null", "[1]"][Int(random.next() % 6)])"
        }
        if faulty == names.count { features.append("\"nul\\u0000\":1") }
        let model = ["iris", "fraud"][Int(random.next() % 2)]
        if random.next() % 8 == 0 { return prediction(model: model) }
        return prediction("\"features\":{\(features.joined(separator: ","))}", model: model)
    }

    @Test func linesOfAMappingKeepNothing() throws {
        let mapping = try Mapping(
            name: "raw",
            [
                "type": .text("prediction"), "model_name": .text("iris"), "model_version": .text("1"),
                "time": .text("$.time"), "features": .text("$.in.*"),
            ])
        let time = "2026-11-23T10:15:30.123Z"
        let lines = [#"{"a":1,"b":2}"#, #"{"b":3,"a":4}"#, #"{"c":5}"#, #"{"a":6,"b":7}"#]
            .map { "{\"time\":\"\(time)\",\"in\":\($0)}" }
        let rows = try aggregate(lines, mappings: [mapping], format: "raw")
        let means = Dictionary(
            uniqueKeysWithValues: rows.featureHours.map { (rows.features[$0.key.feature].name, $0.value.moments.mean ?? -1) })
        #expect(means == ["a": 11.0 / 3, "b": 4, "c": 5])
    }

    @Test(arguments: 1...6) func eachLineAddsWhatItWouldAlone(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let lines = (0..<300).map { _ in Self.line(&random) }
        let whole = try aggregate(lines, .init())
        var alone = Aggregates()
        var rejected: Int64 = 0
        for line in lines {
            let one = try aggregate([line], .init())
            rejected += one.segments[0].rejectedLines
            alone.merge(one)
        }
        #expect(rejected > 10 && whole.segments[0].rejectedLines == rejected)
        #expect(whole.features.count > 7)
        expectSameRows(whole, alone)
    }
}
