import EventSegments
import RecordBatches
import Sketches
import Testing

/// Hostile names: a new model, version or feature on every line.
struct NameLimitTests {
    private func lines(_ count: Int, _ name: (Int) -> (model: String, version: String, feature: String)) -> [String] {
        (0..<count).map { index in
            let names = name(index)
            return """
                {"schema":1,"type":"prediction","id":"p\(index)","time":"2026-11-23T10:00:00.000Z","service":"s",\
                "model_name":"\(names.model)","model_version":"\(names.version)","prediction":"yes",\
                "tags":{"region":"eu"},"features":{"\(names.feature)":1.5,"same":"red"}}
                """
        }
    }

    private func sum(_ rows: Aggregates, _ slice: String = "all", version: String? = nil) -> Int64 {
        rows.requestHours.reduce(0) { sum, row in
            let series = rows.series[row.key.series]
            return series.sliceKey == slice && (version == nil || series.version == version)
                ? sum + row.value.predictions : sum
        }
    }

    @Test func aNewVersionOnEveryLineFallsIntoOther() throws {
        let configuration = AggregationConfiguration(slices: ["region"])
        let object = try makeObject([
            SegmentFixture(lines: lines(3000) { ("iris", "v\($0)", "x") })
        ])
        let rows = try EventAggregator(configuration).aggregate(object)
        #expect(Set(rows.series.map(\.version)).count == configuration.versionsPerModel + 1)
        #expect(sum(rows) == 3000 && sum(rows, "region") == 3000)
        #expect(sum(rows, version: "other") == Int64(3000 - configuration.versionsPerModel))
        let early = try EventAggregator(configuration, collectorBytes: 1000).aggregate(object)
        expectSameRows(early, rows)
    }

    @Test func aNewFeatureOnEveryLineIsLeftOut() throws {
        let configuration = AggregationConfiguration()
        let object = try makeObject([SegmentFixture(lines: lines(5000) { ("iris", "1", "x\($0)") })])
        let rows = try EventAggregator(configuration).aggregate(object)
        #expect(rows.features.count { $0.role == .feature } == configuration.featuresPerModel)
        #expect(sum(rows) == 5000)
        // "same" comes before all others in byte order: its counts are whole.
        let same = try #require(rows.features.firstIndex { $0.name == "same" })
        #expect(
            rows.featureHours.filter { $0.key.feature == same }.values.reduce(0) { $0 + $1.categoricalCount } == 5000)
        let early = try EventAggregator(configuration, collectorBytes: 1000).aggregate(object)
        expectSameRows(early, rows)
    }

    @Test func aNewModelOnEveryLineFallsIntoOther() throws {
        let configuration = AggregationConfiguration()
        let object = try makeObject([SegmentFixture(lines: lines(2500) { ("m\($0)", "1", "x") })])
        let rows = try EventAggregator(configuration).aggregate(object)
        #expect(rows.models.count == configuration.models + 1)
        #expect(sum(rows) == 2500)
        let early = try EventAggregator(configuration, collectorBytes: 1000).aggregate(object)
        expectSameRows(early, rows)
    }
}
