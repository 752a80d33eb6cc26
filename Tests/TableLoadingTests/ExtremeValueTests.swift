import EventSegments
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Numbers whose squares no double can hold, and names beyond caps, through load, day, join and rebuild.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct ExtremeValueTests {
    @Test func absurdNumbersNeitherRaiseNorSpreadInAnyOrder() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms - Pipeline.base_ms % LoadClock.day_ms - LoadClock.day_ms
        let petals = [
            1e300, 1e-320, 3, -2e300, 1.7976931348623157e308, 5e-324, 1e-200, -1e-200, 1e155, 0, 1e119, 2e-308, 1e307,
        ]
        for number in 1...4 {
            var writer = TestWriter("one", number)
            for hour in 0..<5 {
                for (index, petal) in petals.enumerated() {
                    let time = base + Int64(hour) * LoadClock.hour_ms + Int64(index) * 1000
                    let id = "p\(number)-\(hour)-\(index)"
                    // One model with absurd numbers only now and then, one with tiny ones, one with a regression.
                    let value = number == 1 ? petal : (number == 2 ? [1e-200, 2e-320, 5e-324][index % 3] : 1.5)
                    writer.append(
                        TestEvents.prediction(
                            time, id: id, model: number == 2 ? "tiny" : "iris", prediction: "\(petal)", petal: value,
                            latency: 1e300, task: "regression"))
                    writer.append(
                        TestEvents.outcome(
                            time + 1000, prediction: id, label: "\(-petal)", predictionTime_ms: time,
                            model: number == 2 ? "tiny" : "iris"))
                }
                try await pipeline.put([writer.seal(at: base + Int64(hour + 1) * LoadClock.hour_ms, end: hour == 4)])
            }
        }
        try await pipeline.report(ended: true)
        let whole = try await pipeline.load(joinNow: true)
        #expect(whole.failed.isEmpty && whole.poisoned.isEmpty)
        let pieces = try Pipeline(bucketOf: pipeline)
        let report = try await pieces.load(objects: 1, joinNow: true)
        #expect(report.failed.isEmpty && report.poisoned.isEmpty)
        let left = try TableDump(pipeline.database.connect())
        let split = left.differences(try TableDump(pieces.database.connect()))
        #expect(split.isEmpty, "\(split)")

        let rebuilt = try await Rebuild(pieces.loader()).run(
            .hours(from_ms: base, to_ms: base + LoadClock.day_ms))
        #expect(rebuilt.hours >= 5 && rebuilt.closed.isEmpty)
        let joined = try await pieces.load(joinNow: true)
        #expect(joined.failed.isEmpty)
        let right = try TableDump(pieces.database.connect())
        #expect(left.differences(right).isEmpty, "\(left.differences(right))")
        expectClean(try await pipeline.audit())

        let connection = try pieces.database.connect()
        let squares = try connection.query(
            "SELECT max(m2), max(maximum), min(minimum) FROM nadi_store.feature_day")[0]
        #expect(squares.real(0) == 1e300)
        #expect(squares.real(1) == 1.7976931348623157e308)
        // People's functions go on, too.
        let shown = try connection.query(
            "SELECT count(*) FROM nadi.feature_statistics('iris', $1::timestamptz, $1::timestamptz + interval '1 day')",
            [.time(base)])
        #expect(shown[0].integer(0) > 0)
    }

    @Test func theCapsOfTheConfigurationReachTheAggregation() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms
        var writer = TestWriter("one", 1)
        for index in 0..<5600 {
            writer.append(
                TestEvents.prediction(
                    base + Int64(index), id: "p\(index)", prediction: "\"class \(index)\"", region: "r\(index % 1200)"))
        }
        try await pipeline.put([writer.seal(at: base + 600_000, end: true)])
        let loader = pipeline.loader {
            $0.caps.categoriesPerFeature = 6000
            $0.caps.sliceValues = 1300
            $0.caps.seriesPerModel = 5000
        }
        let report = try await loader.load(reach: .all)
        #expect(report.refused.isEmpty)
        let connection = try pipeline.database.connect()
        #expect(
            try connection.query("SELECT count(*) FROM nadi_store.category WHERE value LIKE 'class %'")[0].integer(0)
                == 5600)
        let values = try connection.query("SELECT count(*) FROM nadi_store.series WHERE slice_value LIKE 'r%'")[0]
        #expect(values.integer(0) == 1200)
    }
}
