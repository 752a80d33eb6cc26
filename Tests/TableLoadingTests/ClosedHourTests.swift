import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Hours of which an object is gone from the bucket.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct ClosedHourTests {
    @Test func aLostObjectClosesItsHourUntilItIsRestored() async throws {
        let pipeline = try Pipeline()
        let base = Pipeline.base_ms
        var writer = TestWriter("one", 1)
        for line in 0..<6 { writer.append(TestEvents.prediction(base + Int64(line) * 1000, id: "p\(line)")) }
        let key = try await pipeline.put([writer.seal(at: base + 60_000, end: true)])
        func label(_ number: Int, _ id: String, _ text: String = "\"setosa\"", revision: Int = 0) async throws {
            var labels = TestWriter("one", number)
            labels.append(
                TestEvents.outcome(base + 5000, prediction: id, label: text, predictionTime_ms: base, revision: revision))
            try await pipeline.put([labels.seal(at: base + 3_600_000, end: true)])
        }
        try await pipeline.report(ended: true)
        try await label(2, "p0")
        try await label(3, "p1")
        _ = try await pipeline.load(joinNow: true)
        let connection = try pipeline.database.connect()
        func counts() throws -> [Int64] {
            let row = try connection.query(
                """
                SELECT (SELECT coalesce(sum(labelled), 0)::bigint FROM nadi_store.outcome_hour
                        JOIN nadi_store.series USING (series_id) WHERE slice_key = 'all'),
                       (SELECT sum(too_late)::bigint FROM nadi_store.outcome_arrival),
                       (SELECT count(*) FROM nadi_store.dirty_hour)
                """)[0]
            return [row.integer(0), row.integer(1), row.integer(2)]
        }
        #expect(try counts() == [2, 0, 0])
        let before = try TableDump(connection)
        let bytes = try await pipeline.store.get(key)
        try await pipeline.store.delete(key)
        // What was counted stays; a label that comes now, and a correction, are too late.
        _ = try await pipeline.load()
        try await label(4, "p2")
        try await label(5, "p0", "\"virginica\"", revision: 1)
        _ = try await pipeline.load(joinNow: true)
        #expect(try counts() == [2, 2, 0])
        let refused = try await Rebuild(pipeline.loader()).run(.hours(from_ms: base, to_ms: base + 1))
        #expect(refused.hours == 0 && refused.closed.count == 1)
        #expect(refused.closed[0].reason.contains(key))
        let hours = ["request_", "feature_", "score_", "outcome_hour", "outcome_day"]
        #expect(before.only(hours).differences(try TableDump(connection).only(hours)).isEmpty)
        let audit = try await pipeline.audit()
        #expect(audit.findings.filter(\.isFailure).map(\.id) == ["lost:\(key)"], "\(audit.text)")

        // Restored: open again.
        _ = try await pipeline.store.put(key, bytes, PutOptions())
        _ = try await pipeline.load()
        try await label(6, "p3")
        _ = try await pipeline.load(joinNow: true)
        let rebuilt = try await Rebuild(pipeline.loader()).run(.hours(from_ms: base, to_ms: base + 1))
        #expect(rebuilt.hours == 1 && rebuilt.closed.isEmpty)
        _ = try await pipeline.load(joinNow: true)
        // p1 and p3; p0's label was corrected too late and is gone.
        #expect(try counts() == [2, 2, 0])
        expectClean(try await pipeline.audit())
    }
}
