import ModelStatistics
import Sketches
import TestSupport
import Testing

/// References from rows.
struct ReferenceBuilderTests {
    private static func build(
        _ columns: [(String, [ReferenceValue])], change: (inout ReferenceBuilder.Options) -> Void = { _ in }
    ) throws -> Reference {
        var options = ReferenceBuilder.Options()
        change(&options)
        var builder = ReferenceBuilder(options)
        let places = columns.map { builder.feature($0.0) }
        for row in 0..<(columns.map(\.1.count).max() ?? 0) {
            _ = builder.beginRow()
            for (place, column) in zip(places, columns) where row < column.1.count {
                builder.set(place, column.1[row])
            }
        }
        return try #require(builder.build())
    }

    private static func feature(
        _ values: [ReferenceValue], change: (inout ReferenceBuilder.Options) -> Void = { _ in }
    ) throws -> Reference.Feature {
        let reference = try build([("f", values)], change: change)
        let feature = try #require(reference.features.first)
        // Whatever the column, every row is counted once.
        #expect(
            feature.numericCount + feature.categoricalCount + feature.missingCount + feature.wrongTypeCount
                == Int64(values.count))
        #expect(feature.bins.counts.reduce(0, +) == feature.numericCount)
        #expect(feature.logBins.total == feature.numericCount)
        #expect(feature.categories.reduce(0) { $0 + $1.count } + feature.otherCount == feature.categoricalCount)
        return feature
    }

    private static func numbers(_ values: [Double]) -> [ReferenceValue] { values.map { .number($0) } }

    @Test func aColumnIsNumericFromNineteenTwentiethsOn() throws {
        let mixed = Self.numbers(Array(repeating: 1, count: 95)) + Array(repeating: .text("x"), count: 5)
        let numeric = try Self.feature(mixed + [.missing, .other])
        #expect(numeric.kind == .numeric && numeric.numericCount == 95)
        #expect(numeric.wrongTypeCount == 6 && numeric.missingCount == 1)
        let categorical = try Self.feature(mixed + [.bool(true)])
        #expect(categorical.kind == .categorical && categorical.categoricalCount == 6)
        #expect(categorical.wrongTypeCount == 95)
        #expect(categorical.categories.map(\.value) == ["x", "true"] && categorical.singletonCount == 1)
        // In a file without types the numbers are classes too.
        let file = try Self.feature(mixed + [.text("x")], change: { $0.numbersAreTexts = true })
        #expect(file.categories.map(\.value) == ["1", "x"] && file.wrongTypeCount == 0)
    }

    @Test func kindsCanBeSaid() throws {
        let codes = Self.numbers((0..<100).map { Double($0 % 4) })
        let coded = try Self.feature(codes, change: { $0.kinds["f"] = .categorical })
        // Numbers stay numbers, as the loader counts them, each a group of its own.
        #expect(coded.kind == .numeric && coded.bins.deciles.last == 3)
        let texts = try Self.feature(codes, change: { $0.kinds["f"] = .text })
        #expect(texts.kind == .categorical && texts.categories.map(\.value) == ["0", "1", "2", "3"])
        let flags = try Self.feature([.bool(true), .bool(false), .bool(true)])
        #expect(flags.categories.map(\.value) == ["true", "false"] && flags.categories.map(\.count) == [2, 1])
        let forced = try Self.feature([.text("a"), .number(2)], change: { $0.kinds["f"] = .numeric })
        #expect(forced.kind == .numeric && forced.numericCount == 1 && forced.wrongTypeCount == 1)
        let unknown = try Self.build([("f", codes)], change: { $0.kinds["g"] = .numeric })
        #expect(unknown.warnings.contains { $0.contains("--kind g=numeric") })
    }

    @Test func strangeColumnsAreCountedAndTold() throws {
        let constant = try Self.build([("c", Self.numbers(Array(repeating: 3, count: 300)))])
        #expect(constant.features[0].bins.deciles == [0, 0, 0] && constant.features[0].moments.m2 == 0)
        #expect(constant.warnings.contains { $0.hasPrefix("c: constant") })
        let empty = try Self.build([("e", Array(repeating: .missing, count: 300)), ("x", [.number(1)])])
        #expect(empty.features[0].missingCount == 300 && empty.features[0].bins.edges.isEmpty)
        #expect(empty.features[1].missingCount == 299)
        #expect(empty.warnings.contains { $0.hasPrefix("e: no value of its kind") })
        let one = try Self.build([("f", [.number(2)])])
        #expect(one.rowCount == 1 && one.features[0].bins.counts == [0, 1, 0])
        #expect(one.warnings.contains { $0.contains("only 1 rows") })
        let broken = try Self.feature(Self.numbers([.nan, .infinity, -.infinity, 4] + Array(repeating: 5, count: 90)))
        #expect(broken.numericCount == 91 && broken.wrongTypeCount == 3 && broken.moments.maximum == 5)
        let offset = try Self.feature(Self.numbers(Expected.all("offset.values")))
        #expect(Expected.isClose(offset.moments.m2, Expected.one("offset.m2"), 1e-9))
        #expect(ReferenceBuilder().build() == nil)
        let zeros = try Self.feature([.number(-0.0), .number(0)])
        #expect(zeros.distinctCount == 1 && zeros.bins.edges == [0, 0.0.nextUp])
    }

    @Test func categoriesBeyondTheCapAreOther() throws {
        var values: [ReferenceValue] = []
        for number in 0..<30 { values += Array(repeating: .text("c\(number)"), count: 30 - number) }
        values.append(.text(String(repeating: "long", count: 100)))
        // One letter in two spellings: two categories, as in the database.
        values += [.text("e\u{301}"), .text("\u{e9}")]
        let feature = try Self.feature(values, change: { $0.mostCategories = 10 })
        #expect(feature.categories.map(\.value) == (0..<10).map { "c\($0)" })
        #expect(feature.distinctCount == 33 && feature.singletonCount == 4)
        let reference = try Self.build([("f", values)], change: { $0.mostCategories = 10 })
        #expect(reference.warnings.contains { $0.hasPrefix("f: 33 categories") })
        let both = try Self.feature([.text("e\u{301}"), .text("\u{e9}")])
        #expect(both.categories.count == 2)
    }

    @Test func aSampleIsUniformAndAlwaysTheSame() throws {
        func sample() throws -> Reference {
            try Self.build(
                [("n", Self.numbers((0..<20_000).map { Double($0) })), ("t", [.text("only the first")])],
                change: { $0.mostRows = 1000 })
        }
        let first = try sample()
        let second = try sample()
        #expect(first.rowCount == 1000 && first.sampledFrom == 20_000)
        #expect(first.features[0].bins == second.features[0].bins)
        #expect(first.warnings.contains { $0.contains("a uniform sample of 1000") })
        let mean = first.features[0].moments.meanHigh
        // The mean of 1,000 uniform draws is within five standard errors, 5 x 5774 / sqrt(1000).
        #expect((mean - 10_000).magnitude < 913)
        // A row that takes another's place takes nothing of it along.
        #expect(first.features[1].missingCount + first.features[1].categoricalCount == 1000)
        #expect(first.features[1].categoricalCount <= 1)
    }

    @Test func whatTheModelAnswersIsSeen() throws {
        func task(
            _ predictions: [ReferenceValue], score: Double? = nil, classes: [String] = [], named: ReferenceTask? = nil
        ) throws -> ReferenceTask {
            var builder = ReferenceBuilder()
            for prediction in predictions {
                _ = builder.beginRow()
                builder.setPrediction(prediction)
                if let score { builder.setScore(score) }
                for name in classes { builder.setClassScore(name, 0.5) }
                if let named { builder.setTask(named) }
            }
            return try #require(builder.build()).task
        }
        #expect(try task([.bool(true), .bool(false)]) == .binary)
        #expect(try task([.number(0), .number(1)]) == .binary)
        #expect(try task([.text("yes"), .text("no")]) == .binary)
        #expect(try task([.text("cat"), .text("dog")]) == .multiclass)
        #expect(try task([.number(1.5), .number(2)]) == .regression)
        #expect(try task([.number(1), .number(2), .number(3)], score: 0.4) == .multiclass)
        #expect(try task([.missing], score: 0.4) == .binary)
        #expect(try task([.missing], classes: ["a", "b"]) == .multiclass)
        #expect(try task([.missing]) == .other)
        #expect(try task([.number(1), .number(0)], named: .regression) == .regression)
        let regression = try task([.number(2.5)])
        #expect(regression == .regression)
    }
}
