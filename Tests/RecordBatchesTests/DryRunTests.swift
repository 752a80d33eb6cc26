import Compression
import RecordBatches
import Testing

struct DryRunTests {
    @Test func filesAndObjectsTellTheSame() throws {
        let lines = [
            prediction(), prediction(), prediction(#""latency_seconds":"x""#), prediction(model: "fraud"), "",
            #"{"schema":1,"type":"resource","time":"2026-11-23T09:15:30Z","service":"api","interval_seconds":1}"#,
        ]
        let fixture = SegmentFixture(lines: lines)
        let aggregator = EventAggregator()
        let object = try DryRun.run(makeObject([fixture]), with: aggregator, sealed_ms: 0)
        let file = try DryRun.run(fixture.bytes, with: aggregator, sealed_ms: goldenSealed_ms)
        let packed = try DryRun.run(Zstd.frame(fixture.bytes), with: aggregator, sealed_ms: goldenSealed_ms)
        #expect(object == file && file == packed && file.lines == 6)
        #expect(
            file.counts.map { "\($0.subject) \($0.type) \($0.hour_s) \($0.lines)" } == [
                "api resource \(testHour_s - 3600) 1", "fraud prediction \(testHour_s) 1",
                "iris prediction \(testHour_s) 2",
            ])
        #expect(file.rejects.map(\.reason) == [.empty_line, .wrong_type])
        #expect(file.rejects.map { $0.examples.map(\.line) } == [[5], [3]])
    }
}
