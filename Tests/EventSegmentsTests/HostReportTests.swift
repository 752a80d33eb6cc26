import EventModel
import EventSegments
import Testing

@Suite struct HostReportTests {
    private func report(error: String?, oldest: Int64?) -> HostReport {
        HostReport(
            host: "h", time_ms: 1_700_000_000_000, state: .running, shipperVersion: "0.1.0", started_ms: 1,
            unshipped: .init(segments: 2, lines: 30, bytes: 4_000, oldest_ms: oldest), lastUpload_ms: oldest,
            lastError: error,
            writers: [
                .init(
                    writer: "h-a", state: .open,
                    counts: WriterCounts(appended: 12, written: 10, dropped: DropCounts(disk_full: 2)), nextSeq: 4,
                    spoolSegments: [2, 3], updated_ms: 5),
                .init(
                    writer: "h-b", state: .ended, counts: WriterCounts(), nextSeq: 1, spoolSegments: [], updated_ms: 6),
            ])
    }

    @Test(arguments: [nil, "PUT \"x\" failed:\nno"]) func readsWhatItWrites(error: String?) throws {
        let report = report(error: error, oldest: error == nil ? nil : 77)
        #expect(try HostReport(decoding: report.encoded()) == report)
    }

    @Test func saysNullWhereThereIsNothing() {
        let text = String(decoding: report(error: nil, oldest: nil).encoded(), as: UTF8.self)
        #expect(text.contains("\"oldest_ms\":null}"))
        #expect(text.contains("\"last_upload_ms\":null,\"last_error\":null,"))
        #expect(text.contains("\"spool_segments\":[2,3],\"updated_ms\":5}"))
        #expect(text.contains("\"dropped\":{\"buffer_full\":0,\"disk_full\":2,"))
    }

    @Test func refusesDamage() {
        let bytes = report(error: nil, oldest: nil).encoded()
        for length in [0, 1, bytes.count / 2, bytes.count - 3] {
            #expect(throws: ObjectFormatError.self) { try HostReport(decoding: Array(bytes.prefix(length))) }
        }
        let newer = String(decoding: bytes, as: UTF8.self).replacing("\"version\":1", with: "\"version\":9")
        #expect(throws: ObjectFormatError.self) { try HostReport(decoding: Array(newer.utf8)) }
    }
}
