import EventModel
import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct LoadTests {
    @Test func everyLineIsCountedOnce() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 1)
        for chunk in stride(from: 0, to: segments.count, by: 4) {
            try await pipeline.put(Array(segments[chunk..<min(chunk + 4, segments.count)]))
        }
        try await pipeline.report(ended: true)
        let first = try await pipeline.load()
        #expect(first.segments == segments.count)
        #expect(first.poisoned.isEmpty)
        #expect(first.failed.isEmpty)
        #expect(first.rejectedLines == Int64(segments.count))
        let again = try await pipeline.load()
        #expect(again.objects == 0)
        let connection = try pipeline.database.connect()
        let predictions = try connection.query(
            """
            SELECT sum(predictions), sum(requests), sum(failed_predictions) FROM nadi_store.request_hour
            JOIN nadi_store.series USING (series_id) WHERE slice_key = 'all'
            """)[0]
        #expect(predictions.integer(0) == Int64(segments.count * 40))
        let report = try await pipeline.audit()
        #expect(report.isClean, "\(report.text)")
    }
}
