import EventSegments
import ObjectStorage
import RecordBatches
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Rows that go through a temporary file give the same tables.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct OverflowTests {
    @Test func chunksOfAnyNumberGiveTheSameTables() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 31, writers: 2, segments: 5, lines: 150)
        // One large object, which overflows, and small ones beside it.
        try await pipeline.put(Array(segments[..<7]))
        for segment in segments[7...] { try await pipeline.put([segment]) }
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        let whole = try TableDump(pipeline.database.connect())
        for memory in [30_000, 120_000] {
            let other = try Pipeline(bucketOf: pipeline)
            let loader = other.loader { $0.batch.memoryBytes = memory }
            let report = try await loader.load(reach: .all, joinNow: true, sweepNow: true)
            #expect(report.poisoned.isEmpty && report.failed.isEmpty)
            #expect(report.segments == segments.count)
            #expect(report.batches >= 2)
            await loader.close()
            let differences = whole.differences(try TableDump(other.database.connect()))
            #expect(differences.isEmpty, "\(differences)")
            expectClean(try await other.audit())
        }
    }

    /// Two loaders whose objects share hours, both with rows in files: they wait for each other and never in a circle.
    @Test func loadersWithChunksMeetInOneHour() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 32, writers: 6, segments: 2, lines: 120)
        for start in stride(from: 0, to: segments.count, by: 2) {
            try await pipeline.put(Array(segments[start..<(start + 2)]))
        }
        try await pipeline.report(ended: true)
        let fresh = try Pipeline(bucketOf: pipeline)
        _ = try await fresh.load(joinNow: true, sweepNow: true)
        let loaders = (1...3).map { number in
            pipeline.loader(owner: "test/\(number)/a") { $0.batch.memoryBytes = number == 3 ? 64 << 20 : 30_000 }
        }
        try await withThrowingTaskGroup(of: LoadReport.self) { group in
            for loader in loaders { group.addTask { try await loader.load(reach: .all) } }
            var objects = 0
            for try await report in group {
                #expect(report.failed.isEmpty && report.poisoned.isEmpty)
                objects += report.objects
            }
            #expect(objects == 6)
        }
        for loader in loaders { await loader.close() }
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        let left = try TableDump(pipeline.database.connect())
        let differences = left.differences(try TableDump(fresh.database.connect()))
        #expect(differences.isEmpty, "\(differences)")
    }
}
