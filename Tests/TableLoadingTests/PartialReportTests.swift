import EventModel
import EventSegments
import TableLoading
import TableStorage
import TestSupport
import Testing

/// A host that cannot read one of its spools reports all the same: nobody counts as gone for that.
@Suite(.enabled(if: TestServers.postgres != nil && TestServers.s3 != nil, "set NADI_TEST_POSTGRES and _S3_*"))
struct PartialReportTests {
    @Test func itsWritersStayAndNothingCountsAsComplete() async throws {
        let pipeline = try Pipeline(s3: try #require(TestServers.s3))
        let thread = DatabaseThread(pipeline.database.uri)
        let reports = HostReports(store: pipeline.store, database: thread, prefix: pipeline.prefix)
        func report(_ time_ms: Int64, writers: [String], oldest_ms: Int64? = nil, isPartial: Bool = false) -> HostReport
        {
            var unshipped = HostReport.Unshipped()
            unshipped.oldest_ms = oldest_ms
            return HostReport(
                host: "one", time_ms: time_ms, state: .running, shipperVersion: "1", started_ms: 1,
                unshipped: unshipped, lastUpload_ms: nil, lastError: nil,
                writers: writers.map {
                    HostReport.Writer(
                        writer: $0, state: .open, counts: WriterCounts(appended: 1, written: 1), nextSeq: 1,
                        spoolSegments: [0], updated_ms: time_ms)
                }, isPartial: isPartial)
        }
        let (gone, there) = (TestWriter("one", 1).name, TestWriter("one", 2).name)
        let base = Pipeline.base_ms
        try await reports.record(report(base, writers: [gone, there]))
        try await reports.record(report(base + 1_000, writers: [there], oldest_ms: base + 900))
        try await reports.record(report(base + 2_000, writers: [], isPartial: true))
        try await reports.record(report(base + 3_000, writers: [], oldest_ms: base + 2_900, isPartial: true))
        func times() async throws -> [String: Int64] {
            try await thread.run { connection in
                let rows = try connection.query("SELECT writer, reported_at FROM nadi_store.writer").rows
                return Dictionary(uniqueKeysWithValues: rows.map { ($0.text(0), $0.time(1)) })
            }
        }
        // What was reported last stays reported; what had vanished before stays vanished.
        #expect(try await times() == [gone: base, there: base + 3_000])
        let oldest_ms = try await thread.run { connection in
            try connection.query("SELECT oldest_unshipped_at FROM nadi_store.host")[0].time(0)
        }
        #expect(oldest_ms == base + 900)
        // A whole report settles it.
        try await reports.record(report(base + 4_000, writers: []))
        #expect(try await times()[there] == base + 3_000)
        let settled = try await thread.run { connection in
            try connection.query("SELECT oldest_unshipped_at FROM nadi_store.host")[0].optionalTime(0)
        }
        #expect(settled == nil)
        await thread.close()
    }
}
