import ModelStatistics
import Sketches
import TestSupport
import Testing

/// What holds of frozen bins whatever the values.
struct EdgePropertyTests {
    private static func samples(_ random: inout SeededGenerator) -> [[Double]] {
        var out: [[Double]] = [
            [5], [5, 5, 5], [-1, 1], [0, 0, 0, 1], [.greatestFiniteMagnitude, 1], [-.greatestFiniteMagnitude, 0],
            [5e-324, 0], (0..<50).map(Double.init), (0..<51).map(Double.init), (0..<1000).map { Double($0 % 7) },
        ]
        for _ in 0..<60 {
            let count = Int.random(in: 1...400, using: &random)
            let distinct = Int.random(in: 1...120, using: &random)
            let pool = (0..<distinct).map { _ in Double.random(in: -10...10, using: &random) * 1e3 }
            out.append((0..<count).map { _ in pool[Int.random(in: 0..<distinct, using: &random)] })
            out.append((0..<count).map { _ in 1e9 + Double.random(in: -1...1, using: &random) })
        }
        return out
    }

    @Test func binsHoldEveryValueAndTheirOuterOnesNone() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("EdgePropertyTests: seed \(seed)")
        var random = SeededGenerator(seed: seed)
        for values in Self.samples(&random) {
            let sorted = values.sorted()
            let bins = FrozenEdges(sorted: sorted)
            #expect(EdgeBins.areAscending(bins.edges))
            #expect(bins.counts.count == bins.edges.count + 1 && bins.deciles.count == bins.counts.count)
            #expect(bins.counts.reduce(0, +) == Int64(values.count))
            #expect(bins.counts.first == 0, "nothing below the least")
            if sorted.last != .greatestFiniteMagnitude { #expect(bins.counts.last == 0, "nothing above the greatest") }
            // The same as binning one by one.
            let edges = EdgeBins(edges: bins.edges)
            var counts = [Int64](repeating: 0, count: bins.counts.count)
            for value in values { counts[edges.bin(value)] += 1 }
            #expect(counts == bins.counts)
            // Groups: from 0, without gaps, ascending, at most ten, each with something in it.
            let groups = bins.deciles
            #expect(groups.first == 0 && zip(groups, groups.dropFirst()).allSatisfy { $1 == $0 || $1 == $0 + 1 })
            #expect((groups.last ?? 0) <= 9)
            for group in 0...(groups.last ?? 0) {
                #expect(zip(groups, bins.counts).contains { $0 == group && $1 > 0 })
            }
            // A bin wider than a point holds at most 1/50 of the values and what ties with its lower edge.
            for (bin, count) in bins.counts.enumerated() where count > 0 && bin > 0 && bin < bins.edges.count {
                let low = bins.edges[bin - 1]
                let ties = sorted.count { $0 == low }
                #expect(Int(count) - ties <= values.count / 50 + 1)
            }
        }
    }

    @Test func aValueOfOverAHundredthAndFewDistinctOnesHaveBinsOfTheirOwn() {
        let many = (0..<1000).map { $0 < 15 ? 0.5 : Double($0) }.sorted()
        let bins = FrozenEdges(sorted: many)
        #expect(bins.edges.contains(0.5) && bins.edges.contains(0.5.nextUp))
        let place = EdgeBins(edges: bins.edges).bin(0.5)
        #expect(bins.counts[place] == 15)
        let rare = FrozenEdges(sorted: (0..<1000).map { $0 < 10 ? 0.5 : Double($0) }.sorted())
        #expect(!rare.edges.contains(0.5.nextUp))
        for distinct in [1, 2, 49, 50] {
            let few = FrozenEdges(sorted: (0..<(distinct * 3)).map { Double($0 % distinct) }.sorted())
            #expect(few.counts.count { $0 > 0 } == distinct)
        }
        let coded = FrozenEdges(sorted: (0..<60).map { Double($0 % 20) }.sorted(), isCoded: true)
        #expect(coded.deciles.last == 19)
    }

    @Test func aConstantHasOneGroup() {
        let bins = FrozenEdges(sorted: [7, 7, 7])
        #expect(bins.edges == [7, 7.nextUp] && bins.counts == [0, 3, 0] && bins.deciles == [0, 0, 0])
        #expect(FrozenEdges(sorted: []).counts.isEmpty)
    }
}
