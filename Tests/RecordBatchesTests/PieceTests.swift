import EventSegments
import RecordBatches
import Testing
import TestSupport

/// Objects that come in pieces, and rows that go out in chunks: the same rows as in one.
struct PieceTests {
    private static func fixtures(seed: UInt64) -> [SegmentFixture] {
        var generator = EventGenerator(seed: seed)
        return (0..<4).map { seq in
            SegmentFixture(lines: (0..<700).map { _ in generator.line() }, seq: seq)
        }
    }

    /// Feeds an object in pieces; returns the chunks that went out, and the rest.
    private static func pieces(
        _ object: [UInt8], _ aggregator: EventAggregator, size: () -> Int
    ) throws -> (chunks: [Aggregates], rest: Aggregates) {
        let manifest = try ObjectReader(object).manifest
        var chunks: [Aggregates] = []
        aggregator.overflow = { chunks.append($0) }
        aggregator.begin()
        for (place, segment) in manifest.segments.enumerated() {
            guard aggregator.begin(segment, at: place) else { continue }
            var start = segment.offset
            let end = segment.offset + segment.compressedBytes
            while start < end {
                let next = min(end, start + max(1, size()))
                try object[start..<next].withUnsafeBytes { try aggregator.append($0) }
                start = next
            }
            try aggregator.endSegment()
        }
        return (chunks, try aggregator.end())
    }

    @Test(arguments: [1, 2, 3, 64, 1000, 1 << 20]) func anyCutGivesTheSame(size: Int) throws {
        let object = try makeObject(Self.fixtures(seed: 11))
        let whole = try EventAggregator(MergePropertyTests.configuration).aggregate(object)
        let aggregator = EventAggregator(MergePropertyTests.configuration)
        var random = SeededGenerator(seed: UInt64(size))
        let (chunks, rows) = try Self.pieces(object, aggregator) { size == 64 ? Int(random.next() % 200) : size }
        #expect(chunks.isEmpty)
        expectSame(rows, whole)
        // One that failed half-way is as good as new.
        aggregator.begin()
        _ = aggregator.begin(try ObjectReader(object).manifest.segments[0], at: 0)
        try object[0..<100].withUnsafeBytes { try aggregator.append($0) }
        expectSame(try aggregator.aggregate(object), whole)
    }

    private func expectSame(_ rows: Aggregates, _ whole: Aggregates) {
        expectSameRows(rows, whole)
        #expect(rows.segments == whole.segments)
        #expect(rows.canonical().outcomes == whole.canonical().outcomes)
        #expect(rows.canonical().deployments == whole.canonical().deployments)
    }

    @Test(arguments: 1...4) func chunksAndTheRestMakeTheWhole(seed: UInt64) throws {
        let object = try makeObject(Self.fixtures(seed: seed))
        let whole = try EventAggregator(MergePropertyTests.configuration).aggregate(object)
        let aggregator = EventAggregator(MergePropertyTests.configuration, collectorBytes: 40_000)
        let (chunks, rest) = try Self.pieces(object, aggregator) { 500 }
        #expect(chunks.count > 3)
        #expect(chunks.allSatisfy { $0.segments.isEmpty && $0.memory > 20_000 && $0.memory < 2_000_000 })
        #expect(rest.segments == whole.segments)
        var merged = Aggregates()
        for chunk in chunks.shuffled() { merged.merge(chunk) }
        merged.merge(rest)
        expectSameRows(merged.limited(by: MergePropertyTests.configuration), whole)
        #expect(merged.outcomes.count == whole.outcomes.count && merged.deployments.count == whole.deployments.count)
        let places = { (rows: Aggregates) in Set(rows.outcomes.map { [$0.segment, $0.line] }) }
        #expect(places(merged) == places(whole))
    }

    @Test func rowsSurviveTheirWayThroughAFile() throws {
        var rows = try EventAggregator(MergePropertyTests.configuration).aggregate(
            makeObject(Self.fixtures(seed: 5)))
        rows.segments = []
        #expect(!rows.scoreHours.isEmpty && !rows.resourceMinutes.isEmpty && !rows.deployments.isEmpty)
        var out = ByteWriter()
        rows.write(to: &out)
        var input = ByteReader(out.bytes)
        #expect(try Aggregates(from: &input) == rows)
        // Bytes that are missing are never rows.
        for count in stride(from: 0, to: out.bytes.count, by: max(1, out.bytes.count / 200)) {
            var short = ByteReader(Array(out.bytes[..<count]))
            #expect(throws: ByteReader.Damaged.self) { try Aggregates(from: &short) }
        }
    }

    /// Some objects hold labels alone, and many of them.
    @Test func labelsGoOutInChunks() throws {
        let lines = (0..<3000).map {
            #"{"schema":1,"type":"outcome","time":"2026-11-23T10:15:30Z","prediction_id":"p\#($0)","model_name":"m","label":1}"#
        }
        let object = try makeObject([SegmentFixture(lines: lines)])
        let aggregator = EventAggregator(.init(), collectorBytes: 200_000)
        let (chunks, rest) = try Self.pieces(object, aggregator) { 10_000 }
        #expect(chunks.count >= 3)
        let ids = (chunks + [rest]).flatMap { $0.outcomes.map(\.predictionID) }
        #expect(ids.count == 3000 && Set(ids).count == 3000)
        #expect(rest.segments[0].loadedLines == 3000)
    }

    @Test func manySegmentsKeepFewOfTheirRejects() throws {
        let bad = SegmentFixture(lines: (0..<30).map { "bad \($0)" })
        let object = try makeObject(
            (0..<2100).map { seq in
                var segment = bad
                segment.seq = seq
                return segment
            })
        let rows = try EventAggregator().aggregate(object)
        #expect(rows.segments.map(\.rejectedLines).allSatisfy { $0 == 30 })
        let kept = rows.segments.map(\.rejectLines.count)
        #expect(kept[..<100].allSatisfy { $0 == 20 } && kept[100..<2000].allSatisfy { $0 == 1 })
        #expect(kept[2000...].allSatisfy { $0 == 0 })
    }

    @Test func linesOfTooManyHoursAreNoObject() throws {
        let lines = (1...2000).map { number in
            prediction(time: "\(2000 + number / 25)-02-01T\(10 + number % 10):\(10 + number % 25):00Z")
        }
        let segments = (0..<12).map { SegmentFixture(lines: lines, seq: $0, replay: true) }
        let good = try EventAggregator(mostHours: 5000).aggregate(makeObject(Array(segments[..<2])))
        let hours = good.segments[0].hours.count
        #expect(hours > 200)
        #expect(throws: ObjectError.self) {
            try EventAggregator(mostHours: 3 * hours - 1).aggregate(makeObject(Array(segments[..<3])))
        }
        let error = #expect(throws: ObjectError.self) {
            try EventAggregator(mostHours: 1000).aggregate(makeObject(segments))
        }
        #expect(error?.message.contains("over 1000 hours") == true)
    }
}
