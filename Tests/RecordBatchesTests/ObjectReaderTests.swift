import Compression
import EventModel
import EventSegments
import RecordBatches
import Testing

struct ObjectReaderTests {
    static let segments = [
        SegmentFixture(lines: [prediction(), prediction()], seq: 0), SegmentFixture(lines: [prediction()], seq: 1),
    ]

    @Test func segmentsComeOutAsTheyWentIn() throws {
        let reader = try ObjectReader(makeObject(Self.segments))
        for (index, segment) in Self.segments.enumerated() {
            var bytes: [UInt8] = []
            try reader.read(index) { bytes += $0 }
            #expect(bytes == segment.bytes)
        }
    }

    @Test func onlyWantedSegmentsAreRead() throws {
        let object = try makeObject(Self.segments)
        let rows = try EventAggregator().aggregate(object, where: { $0.seq == 1 })
        #expect(rows.segments.map(\.segment.seq) == [1] && rows.segments[0].loadedLines == 1)
    }

    @Test func everyDifferenceFromTheManifestIsNamed() throws {
        let cases: [(ObjectError.Code, String, (inout Manifest) -> Void)] = [
            (.content, "its manifest says 3", { $0.segments[0].lines = 3 }),
            (.content, "SHA-256", { $0.segments[1].rawSHA256 = String(repeating: "0", count: 64) }),
            (.content, "bytes", { $0.segments[0].rawBytes += 1 }),
            (.content, "more than", { $0.segments[0].rawBytes -= 1 }),
            (.layout, "begins at", { $0.segments[1].offset += 1 }),
            (.layout, "ends behind", { $0.segments[1].compressedBytes += 1 }),
            (.layout, "segments end at", { $0.segments[1].compressedBytes -= 1 }),
            (.layout, "ends behind", { $0.segments[1].compressedBytes = .max }),
            (.layout, "segments end at", { $0.segments.removeLast() }),
        ]
        for (code, words, change) in cases {
            let object = try makeObject(Self.segments, changing: change)
            let error = #expect(throws: ObjectError.self) { try EventAggregator().aggregate(object) }
            #expect(
                error?.code == code && error?.message.contains(words) == true, "\(words): \(error?.message ?? "none")")
        }
    }

    @Test func damagedBytesPoisonAndNothingIsKept() throws {
        let object = try makeObject(Self.segments)
        let aggregator = EventAggregator()
        for place in stride(from: 0, to: object.count, by: 3) {
            var damaged = object
            damaged[place] ^= 0x41
            // A changed byte may hit a part of the manifest that says nothing about content, such as a file's name.
            if let rows = try? aggregator.aggregate(damaged) { #expect(rows.segments.count == 2) }
        }
        for count in [0, 11, object.count / 2, object.count - 1] {
            let error = #expect(throws: ObjectError.self) { try aggregator.aggregate(Array(object.prefix(count))) }
            #expect(error?.code == .manifest)
        }
        let rows = try aggregator.aggregate(object)
        #expect(rows.requestHours.values.map(\.predictions) == [3])
    }

    @Test func writerLinesAndUnknownFormats() throws {
        let line = WriterLine(
            time_ms: goldenSealed_ms, writer: "web1-019ab0c65e9b7c3a8f1d2e3f4a5b6c7d", service: "s", segment: 0,
            counts: WriterCounts(appended: 2, written: 2), end: true)
        let native = SegmentFixture(Array((prediction() + "\n").utf8) + line.encoded())
        let foreign = SegmentFixture(lines: ["{}", "{}"], seq: 1, format: "apache")
        let rows = try EventAggregator().aggregate(makeObject([native, foreign]))
        #expect(rows.segments[0].writerLine == line && rows.segments[0].loadedLines == 2)
        #expect(rows.segments[0].hours[HourType(hour_s: testHour_s, type: .writer)] == 1)
        #expect(rows.segments[1].state == .pending && rows.segments[1].loadedLines == 0)
        #expect(DryRun(rows).pending.map(\.format) == ["apache"])
    }
}
