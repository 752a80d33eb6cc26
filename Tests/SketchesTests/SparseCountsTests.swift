import Sketches
import Testing
import TestSupport

struct SparseCountsTests {
    @Test func mergingPartsEqualsTheWhole() {
        var random = SeededGenerator(seed: 3)
        var whole: [Int32: Int64] = [:]
        var parts = [SparseCounts](repeating: SparseCounts(), count: 9)
        for _ in 0..<5000 {
            let code = Int32(truncatingIfNeeded: random.next() % 300) - 150
            whole[code, default: 0] += 1
            parts[Int(random.next() % 9)].add(code)
        }
        while parts.count > 1 {
            let other = parts.removeLast()
            parts[Int(random.next() % UInt64(parts.count))].merge(other)
        }
        #expect(parts[0] == SparseCounts(unordered: whole.map { ($0.key, $0.value) }))
        #expect(parts[0].total == 5000)
        for (code, count) in whole { #expect(parts[0][code] == count) }
        #expect(parts[0][1000] == 0)
        #expect(zip(parts[0].codes, parts[0].codes.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test func quantilesAreWithinOnePercentOfTheDiscretePercentile() throws {
        var random = SeededGenerator(seed: 4)
        var counts = SparseCounts()
        let values = (0..<10_001).map { _ in
            let one = Double.random(in: 0..<1, using: &random)
            return 0.001 / (1 - one)
        }.sorted()
        for value in values { counts.add(LogBins.code(value)) }
        for share in [0, 0.01, 0.5, 0.9, 0.99, 0.999, 1] {
            let exact = values[max(0, Int((share * 10_001).rounded(.up)) - 1)]
            let answer = try #require(counts.quantile(share))
            #expect((answer / exact - 1).magnitude <= 0.01, "\(share)")
        }
        #expect(SparseCounts().quantile(0.5) == nil)
    }

    @Test func newNumbersOfADictionary() {
        let counts = SparseCounts(unordered: [(1, 5), (2, 0), (3, 7), (1, 1)])
        #expect(counts.codes == [1, 3] && counts.counts == [6, 7])
        #expect(counts.mapCodes { 10 - $0 } == SparseCounts(unordered: [(9, 6), (7, 7)]))
    }
}
