import EventModel
import RecordBatches
import TableLoading
import Testing

/// What a dry run tells of a foreign file.
struct LoadPreviewTests {
    private let text = """
        {"ts":"2026-11-23T10:15:00.000Z","ver":"1","id":"a","out":"setosa","input":{"x":1.5,"y":2}}
        {"ts":"2026-11-23T11:15:00.000Z","ver":"1","id":"b","out":"setosa","input":{"x":1.5}}
        {"ts":"2026-11-23T11:16:00.000Z","ver":"1","id":"c","out":"setosa","input":{"x":"text"}}
        {"ts":"2026-11-23T11:17:00.000Z","id":"d","out":"setosa"}
        {"ts":"yesterday","ver":"1","id":"e","out":"setosa"}
        no json

        """

    private func describe(_ mappings: [Mapping]) throws -> String {
        let preview = LoadPreview(aggregate: Aggregation.make(settings: LoadSettings(), mappings: mappings))
        return try preview.describe(
            Array(text.utf8), name: "web.log", format: "web",
            sealed_ms: try #require(Timestamp.parse("2026-11-23T12:00:00Z")))
    }

    @Test func aForeignFilesCountsAndReasons() throws {
        let report = try describe([try RebuildTests.mapping()]).split(separator: "\n").map {
            $0.split(separator: " ").joined(separator: " ")
        }
        #expect(report.first == "web.log")
        for line in [
            "segment dry-run-0, 6 lines, format web: 3 would be counted, 3 rejected",
            "2026-11-23 10:00 prediction 1", "2026-11-23 11:00 prediction 2",
            "rejected invalid_json 1", "rejected invalid_time 1", "rejected missing_field 1",
            "model iris: 3 requests, 3 predictions; features x, y",
        ] { #expect(report.contains(line), "\(line) is not in \(report)") }
        #expect(report.contains { $0.hasPrefix("line 4: missing_field: ") && $0.contains("model_version") })
        #expect(report.contains { $0.hasPrefix("line 5: invalid_time: ") && $0.contains("yesterday") })
        #expect(report.contains { $0.hasPrefix("line 6: invalid_json: ") && $0.hasSuffix(": no json") })
    }

    @Test func anUnknownFormatWouldWait() throws {
        #expect(try describe([]).contains("format web: its mapping is not in the configuration, it would wait"))
    }
}
