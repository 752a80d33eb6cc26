import ModelStatistics
import RecordBatches
import Testing

/// What a builder does not keep, and labels that say nothing.
struct ReferenceLimitTests {
    @Test func featuresBeyondTheLimitAreLeftOutAndTold() throws {
        var options = ReferenceBuilder.Options()
        options.mostFeatures = 3
        var builder = ReferenceBuilder(options)
        for row in 0..<10 {
            _ = builder.beginRow()
            for number in 0..<8 { builder.set(builder.feature(number: number) { "f\(number)" }, .number(Double(row))) }
        }
        #expect(builder.featureNames == ["f0", "f1", "f2"])
        let reference = try #require(builder.build())
        #expect(reference.features.count == 3)
        #expect(reference.warnings.contains { $0.hasPrefix("5 features are left out: the first 3 are kept") })
    }

    @Test func ignoredFeaturesOfEventsAreLeftOut() throws {
        var options = ReferenceBuilder.Options()
        // One letter in two spellings is two names.
        options.ignored = [ExactText("id"), ExactText("e\u{301}"), ExactText("never")]
        var builder = ReferenceBuilder(options)
        _ = builder.beginRow()
        for (number, name) in ["id", "age", "e\u{301}", "\u{e9}"].enumerated() {
            builder.set(builder.feature(number: number) { name }, .number(1))
        }
        #expect(builder.featureNames == ["age", "\u{e9}"])
        #expect(builder.ignoredAbsent == ["never"])
    }

    /// Texts too long for a category are told apart, and not kept.
    @Test func longTextsAreCountedAndNotKept() throws {
        var builder = ReferenceBuilder()
        let place = builder.feature("body")
        let long = (0..<3).map { String(repeating: "long", count: 100) + "\($0)" }
        for text in long + [long[0], String(repeating: "x", count: 256), "short"] {
            _ = builder.beginRow()
            builder.set(place, .text(text))
        }
        let feature = try #require(builder.build()?.features.first)
        #expect(feature.distinctCount == 5 && feature.singletonCount == 4 && feature.categoricalCount == 6)
        #expect(feature.categories.map(\.value) == ["short", String(repeating: "x", count: 256)])
        #expect(feature.otherCount == 4)
    }

    private static func binary(_ labels: [ReferenceValue], predictions: [ReferenceValue] = []) throws -> Reference {
        var builder = ReferenceBuilder()
        for (row, label) in labels.enumerated() {
            _ = builder.beginRow()
            builder.setTask(.binary)
            builder.setScore(Double(row % 10) / 10)
            builder.setLabel(label)
            if row < predictions.count { builder.setPrediction(predictions[row]) }
        }
        return try #require(builder.build())
    }

    @Test func labelsThatAreNeitherYesNorNoCountAsNone() throws {
        let reference = try Self.binary((0..<400).map { .text($0 % 4 == 0 ? "Y" : "N") })
        #expect(reference.labelCount == 0 && reference.performance.isEmpty && reference.calibration == .none)
        let warning = try #require(reference.warnings.first { $0.hasPrefix("the label: ") })
        #expect(warning.contains("400 values such as \"Y\" are neither yes (1, true, yes, positive) nor no"))
        let known = try Self.binary((0..<400).map { .text($0 % 4 == 0 ? "Yes" : "FALSE") })
        #expect(known.labelCount == 400 && !known.warnings.contains { $0.hasPrefix("the label") })
        #expect(known.scores[0].labelSums.reduce(0, +) == 100)
        let predictions = try Self.binary(
            (0..<400).map { .number(Double($0 % 2)) }, predictions: Array(repeating: .text("good"), count: 400))
        #expect(predictions.warnings.contains { $0.hasPrefix("the prediction: 400 values such as \"good\"") })
    }

    @Test func labelsThatAllSayTheSameAreTold() throws {
        let oneAndTwo = try Self.binary((0..<400).map { .number(Double($0 % 2 + 1)) })
        #expect(oneAndTwo.warnings.contains { $0.hasPrefix("all 400 labels are positive") })
        let none = try Self.binary((0..<400).map { _ in .bool(false) })
        #expect(none.warnings.contains { $0.hasPrefix("all 400 labels are negative") })
        let minusOne = try Self.binary((0..<400).map { .number($0 % 2 == 0 ? -1 : 1) })
        #expect(!minusOne.warnings.contains { $0.contains("labels are") } && minusOne.labelCount == 400)
    }
}
