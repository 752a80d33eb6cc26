import EventSegments
import RecordBatches
import TestSupport
import Testing

/// Ids that are waited for are found, once, by whoever reads their prediction, and nothing else is.
struct PredictionFinderTests {
    private func ids(_ texts: [String], model: Int64 = 1, count: Int = 0) -> PredictionIDs {
        let ids = PredictionIDs(models: ["iris": 1, "fraud": 2], count: count)
        for text in texts { add(text, model, ids) }
        return ids
    }

    private func add(_ text: String, _ model: Int64, _ ids: PredictionIDs) {
        Array(text.utf8).withUnsafeBufferPointer { ids.add(model: model, predictionID: $0) }
    }

    private func lines(_ ids: some Sequence<String>, model: String = "iris", time: String = "2026-11-23T10:15:30Z")
        -> [String]
    {
        ids.map { prediction("\"prediction_id\":\"\($0)\"", time: time, model: model) }
    }

    /// What an object holds, by its finder's end.
    private func read(_ object: [UInt8], _ finder: PredictionFinder, upTo share: Double = 1) throws -> [PredictionFinder
        .Found]
    {
        do {
            for segment in try ObjectReader(object).manifest.segments {
                #expect(finder.begin(segment))
                let size = Int(Double(segment.compressedBytes) * share)
                try object[segment.offset..<(segment.offset + size)].withUnsafeBytes { bytes in
                    // In pieces that end anywhere.
                    for start in stride(from: 0, to: bytes.count, by: 1000) {
                        try finder.append(
                            UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + 1000, bytes.count)]))
                    }
                }
                try finder.endSegment()
            }
        } catch {
            finder.dropObject()
            throw error
        }
        return finder.endObject()
    }

    /// Far more ids than were announced: the table grows again and again, and keeps all.
    @Test func allOfMoreIdsThanWereAnnouncedAreFoundOnce() throws {
        let wanted = (0..<9000).map { "order \($0)" }
        let ids = ids(wanted + wanted)
        #expect(ids.waiting == 9000)
        let finder = PredictionFinder(ids, hour_s: testHour_s)
        let mixed = (0..<9000).flatMap { ["order \($0)", "nobody \($0)"] }
        let half = try read(makeObject([SegmentFixture(lines: lines(mixed.prefix(9000)))]), finder)
        #expect(Set(half.map(\.predictionID)) == Set(wanted.prefix(4500)))
        #expect(half.count == 4500 && half.allSatisfy { $0.model == 1 })
        #expect(ids.waiting == 4500)
        // Among those that were found already.
        let rest = try read(makeObject([SegmentFixture(lines: lines(mixed), seq: 1)]), finder)
        #expect(rest.map(\.predictionID) == Array(wanted.suffix(4500)))
        #expect(ids.waiting == 0)
        // What is added to a table with found ones is waited for, and they are not.
        add("order 1", 1, ids)
        add("late", 1, ids)
        #expect(ids.waiting == 1)
    }

    @Test func onlyTheModelsHourIsLookedAt() throws {
        let ids = ids(["a", "b", "c"])
        add("a", 2, ids)
        let finder = PredictionFinder(ids, hour_s: testHour_s)
        let other =
            lines(["a"], model: "other") + lines(["b"], time: "2026-11-23T09:59:59.999Z") + lines(["c"], model: "fraud")
        #expect(try read(makeObject([SegmentFixture(lines: other)]), finder) == [])
        let found = try read(
            makeObject([SegmentFixture(lines: lines(["a"], model: "fraud") + lines(["a"]), seq: 1)]), finder)
        #expect(found.map(\.model) == [2, 1])
        #expect(ids.waiting == 2)
    }

    /// Events have no longer ids than 256 bytes; one more in a table is nobody's, and the longest is found.
    @Test func theLongestIdIsFoundAndLongerOnesAreLeftOut() throws {
        let longest = String(repeating: "x", count: 256)
        let ids = ids([longest, longest + "y", String(repeating: "z", count: 5000), "", "e"])
        #expect(ids.waiting == 3)
        let finder = PredictionFinder(ids, hour_s: testHour_s)
        let found = try read(makeObject([SegmentFixture(lines: lines([longest + "y", "e", longest]))]), finder)
        #expect(found.map(\.predictionID) == ["e", longest])
    }

    /// An object that is cut off yields nothing: its ids are found where it is whole.
    @Test func whatADamagedObjectHoldsIsWaitedForAgain() throws {
        let wanted = (0..<3000).map { "\($0 &* 2_654_435_761) order \($0)" }
        let ids = ids(wanted)
        let finder = PredictionFinder(ids, hour_s: testHour_s)
        let object = try makeObject([SegmentFixture(lines: lines(wanted))])
        #expect(throws: ObjectError.self) { try read(object, finder, upTo: 0.9) }
        #expect(ids.waiting == 3000)
        #expect(try read(object, finder).count == 3000)
    }

    @Test func severalReadersFindEachIdOnce() async throws {
        let wanted = (0..<2000).map { "order \($0)" }
        let ids = ids(wanted)
        let object = try makeObject([SegmentFixture(lines: lines(wanted))])
        let found = try await withThrowingTaskGroup(of: [PredictionFinder.Found].self) { group in
            for _ in 0..<4 {
                group.addTask { try read(object, PredictionFinder(ids, hour_s: testHour_s)) }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(found.count == 2000)
        #expect(Set(found.map(\.predictionID)) == Set(wanted))
    }
}
