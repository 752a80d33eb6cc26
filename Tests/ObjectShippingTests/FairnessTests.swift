import ObjectShipping
import Testing

/// A backlog, of whatever shape, does not keep another's newest segment waiting for more than two objects.
@Suite struct FairnessTests {
    enum Backlog: CaseIterable {
        /// One writer with large segments that do not compress: each fills an object by itself.
        case oneWriterOfLargeSegments
        /// One writer with many small segments.
        case oneWriterOfSmallSegments
        /// Ten thousand writers with one segment each, as processes that live for a moment leave them.
        case manyWriters
        /// Ten thousand rotated files of one foreign log, each a writer of its own.
        case foreignFiles
    }

    private func segment(
        _ writer: String, _ seq: Int, stream: String = "native", rawBytes: Int = 2_000, sealed_ms: Int64
    ) -> Candidate {
        Candidate(
            id: SegmentID(writer: writer, seq: seq, path: "/spool/\(writer)-\(seq)"), stream: stream,
            rawBytes: rawBytes, lines: 10, sealed_ms: sealed_ms)
    }

    private func backlog(_ kind: Backlog) -> [Candidate] {
        (0..<10_000).map { number in
            let sealed_ms = 1_600_000_000_000 + Int64(number)
            return switch kind {
            case .oneWriterOfLargeSegments: segment("busy", number, rawBytes: 16 << 20, sealed_ms: sealed_ms)
            case .oneWriterOfSmallSegments: segment("busy", number, sealed_ms: sealed_ms)
            case .manyWriters: segment("a\(number)", 0, sealed_ms: sealed_ms)
            case .foreignFiles: segment("h-app-\(number)", 0, stream: "app", sealed_ms: sealed_ms)
            }
        }
    }

    @Test(arguments: Backlog.allCases) func anothersNewestWaitsForTwoObjectsAtMost(kind: Backlog) {
        var turns = BundleTurns()
        var waiting = backlog(kind)
        func next() -> Set<SegmentID> {
            let chosen = Set(BundleSelection(from: waiting, target: 8 << 20, ratio: 1, turns: &turns).segments)
            waiting.removeAll { chosen.contains($0.id) }
            return chosen
        }
        for turn in 0..<2 {
            _ = next()
            // A writer that is new, and one that was served before, with a large and a small segment.
            for (writer, rawBytes) in [("quiet", 900), ("zebra\(turn)", 16 << 20)] {
                let fresh = segment(
                    writer, turn, rawBytes: rawBytes, sealed_ms: 1_700_000_000_000 + Int64(turn))
                waiting.append(fresh)
                var objects = 1
                while objects < 10, !next().contains(fresh.id) { objects += 1 }
                #expect(objects <= 2, "\(kind), \(writer)")
            }
        }
    }

    /// What is fresh never keeps the oldest waiting either.
    @Test func freshSegmentsDoNotStarveTheOldest() {
        var turns = BundleTurns()
        var waiting = (0..<50).map { segment("old", $0, rawBytes: 16 << 20, sealed_ms: 1_600_000_000_000 + Int64($0)) }
        var objects = 0
        while waiting.contains(where: { $0.id.writer == "old" }), objects < 400 {
            // Two new ones for each object that goes: more than can be shipped.
            for number in 0..<2 {
                waiting.append(
                    segment(
                        "new\(objects)-\(number)", 0, rawBytes: 16 << 20, sealed_ms: 1_700_000_000_000 + Int64(objects))
                )
            }
            let chosen = Set(BundleSelection(from: waiting, target: 8 << 20, ratio: 1, turns: &turns).segments)
            waiting.removeAll { chosen.contains($0.id) }
            objects += 1
        }
        #expect(objects < 400)
    }

    /// The expected ratio is wrong and an object is full before a segment's turn: the turn is not lost.
    @Test func aTurnThatCameToNothingIsGivenBack() {
        var world = ShipperWorld(seed: 4, faults: 0)
        world.objectBytes = { ids in ids.count * (16 << 20) }
        for seq in 0..<40 { world.write("a-busy", seq: seq, rawBytes: 16 << 20) }
        world.fits = 1
        world.write("z-quiet", seq: 0, rawBytes: 16 << 20)
        var steps = 0
        while world.files.keys.contains(where: { $0.writer == "z-quiet" }), steps < 5_000 {
            world.step()
            steps += 1
        }
        #expect(world.files.count > 30, "\(world.files.count) of the busy writer's still wait")
    }
}
