import DurableIO
import EventModel
import EventSegments
import RecordBatches
import Testing

/// The golden lines of `clients/schema`, line by line against the parser.
struct GoldenLineTests {
    static let folder: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(3)
        return parts.joined(separator: "/") + "/clients/schema/golden/"
    }()

    static func read(_ name: String) throws -> [UInt8] { try DurableFile.read(path: folder + name, limit: 16 << 20) }

    @Test func everyValidLineIsLoaded() throws {
        let bytes = try Self.read("valid.jsonl")
        let fixture = SegmentFixture(bytes)
        let aggregates = try EventAggregator().aggregate(makeObject([fixture]))
        let result = try #require(aggregates.segments.first)
        #expect(result.rejectLines.map { "\($0.line): \($0.reason) \($0.detail)" } == [])
        #expect(result.loadedLines == Int64(fixture.lines))
        #expect(fixture.lines > 30)
        #expect(result.writerLine?.adopted == true)
    }

    @Test func everyRejectedLineHasItsReason() throws {
        let bytes = try Self.read("rejected.jsonl")
        let reasons = try String(decoding: Self.read("rejected.reasons"), as: UTF8.self)
            .split(separator: "\n").map(String.init)
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
        #expect(lines.count == reasons.count)
        #expect(Set(reasons).count == RejectReason.allCases.count - 1, "too_long has no golden line")
        let aggregator = EventAggregator()
        for (index, line) in lines.enumerated() {
            let isLast = index == lines.count - 1
            // Between good lines, which must not notice.
            let good = Array((prediction() + "\n").utf8)
            let segment = SegmentFixture(isLast ? good + good + line : good + line + [0x0A] + good)
            let aggregates = try aggregator.aggregate(makeObject([segment]))
            let result = try #require(aggregates.segments.first)
            #expect(result.loadedLines == 2, "line \(index + 1)")
            #expect(
                result.rejects.map { "\($0.key) \($0.value)" } == ["\(reasons[index]) 1"],
                "line \(index + 1): \(result.rejectLines.map(\.detail))")
            #expect(result.rejectLines.first?.line == (isLast ? 3 : 2))
            #expect(result.rejectLines.first?.excerpt == Array(line.prefix(200)))
            #expect(try aggregates.onlyRequestHour().predictions == 2)
        }
    }

    @Test func everyRejectedLineTogether() throws {
        let bytes = try Self.read("rejected.jsonl")
        let aggregates = try EventAggregator().aggregate(makeObject([SegmentFixture(bytes)]))
        let result = try #require(aggregates.segments.first)
        #expect(result.loadedLines == 0)
        #expect(result.rejectedLines == Int64(SegmentFixture(bytes).lines))
        #expect(aggregates.series.isEmpty && aggregates.models.isEmpty && aggregates.outcomes.isEmpty)
    }
}
