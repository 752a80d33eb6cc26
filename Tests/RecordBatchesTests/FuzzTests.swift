import RecordBatches
import Sketches
import Testing
import TestSupport

struct FuzzTests {
    /// 100,000 mutations of golden lines: nothing crashes, every line is counted once, good neighbours stay good.
    @Test func mutatedLinesNeverDisturbTheirNeighbours() throws {
        let golden = try (GoldenLineTests.read("valid.jsonl") + GoldenLineTests.read("rejected.jsonl"))
            .split(separator: 0x0A).map(Array.init).filter { $0.count < 4000 }
        #expect(golden.count > 100)
        var random = SeededGenerator(seed: 6)
        let aggregator = EventAggregator(AggregationConfiguration(slices: ["region", "tier"]))
        let marker = prediction(#""features":{"marker":1}"#, model: "marker")
        var mutations = 0
        while mutations < 100_000 {
            var bytes: [UInt8] = []
            var expected: Int64 = 0
            var markers: Int64 = 0
            for _ in 0..<5000 {
                var line = golden[Int(random.next() % UInt64(golden.count))]
                for _ in 0...(random.next() % 3) { Self.mutate(&line, &random, golden) }
                line.removeAll { $0 == 0x0A }
                bytes += line
                bytes.append(0x0A)
                bytes += marker.utf8
                bytes.append(0x0A)
                expected += 2
                markers += 1
                mutations += 1
            }
            let rows = try aggregator.aggregate(makeObject([SegmentFixture(bytes)]))
            let result = rows.segments[0]
            #expect(result.loadedLines + result.rejectedLines == expected)
            let model = try #require(rows.models.firstIndex(of: "marker"))
            let found = rows.requestHours.filter {
                rows.series[$0.key.series].model == model && rows.series[$0.key.series].isAll
            }
            #expect(found.values.reduce(0) { $0 + $1.predictions } == markers)
            let feature = rows.featureHours.filter {
                rows.features[$0.key.feature].name == "marker" && rows.series[$0.key.series].isAll
            }
            #expect(feature.values.reduce(0) { $0 + $1.moments.count } == markers)
            #expect(rows.requestHours.values.allSatisfy { $0.latencySum.isFinite })
            #expect(rows.featureHours.values.allSatisfy { $0.moments.meanHigh.isFinite && $0.moments.m2.isFinite })
        }
    }

    private static func mutate(_ line: inout [UInt8], _ random: inout SeededGenerator, _ golden: [[UInt8]]) {
        guard !line.isEmpty else { return }
        let place = Int(random.next() % UInt64(line.count))
        switch random.next() % 6 {
        case 0: line[place] = UInt8(truncatingIfNeeded: random.next())
        case 1: line.remove(at: place)
        case 2: line.insert(Array("{}[]\",:\\u0019eE-.tfn".utf8)[Int(random.next() % 20)], at: place)
        case 3: line.removeSubrange(place...)
        case 4:
            let other = golden[Int(random.next() % UInt64(golden.count))]
            line.replaceSubrange(place..., with: other.suffix(Int(random.next() % UInt64(other.count + 1))))
        default:
            let end = min(line.count, place + Int(random.next() % 40))
            line.insert(contentsOf: line[place..<end], at: place)
        }
    }
}
