import EventSegments
import ObjectStorage
import TableLoading
import TestSupport
import Testing

/// The same path with a real S3 server.
@Suite(
    .enabled(
        if: TestServers.postgres != nil && TestServers.s3 != nil,
        "set NADI_TEST_POSTGRES, NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"))
struct S3LoadTests {
    @Test func objectsOfABucketAreLoadedAndAudited() async throws {
        let pipeline = try Pipeline(s3: #require(TestServers.s3))
        let segments = TestEvents.corpus(seed: 31, writers: 2, segments: 5, lines: 20)
        var keys: [String] = []
        for segment in segments { keys.append(try await pipeline.put([segment])) }
        try await pipeline.report(ended: true)
        let report = try await pipeline.load(objects: 3)
        #expect(report.segments == segments.count)
        #expect(report.failed.isEmpty)
        expectClean(try await pipeline.audit())
        try await pipeline.store.delete(keys[0])
        let after = try await pipeline.audit()
        #expect(after.findings.contains { $0.id == "lost:\(keys[0])" })
        for key in keys.dropFirst() { try await pipeline.store.delete(key) }
        try await pipeline.store.delete(ObjectKey.hostReport(prefix: pipeline.prefix, host: "one"))
    }
}
