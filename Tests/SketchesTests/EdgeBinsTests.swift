import Sketches
import Testing
import TestSupport

struct EdgeBinsTests {
    /// How many edges are not above a number, found plainly.
    private static func plain(_ edges: [Double], _ x: Double) -> Int {
        var (low, high) = (0, edges.count)
        while low < high {
            let middle = (low + high) / 2
            if edges[middle] <= x { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Compares at each edge, just below and above it, between edges, and at numbers of every size.
    private static func compare(_ edges: [Double], _ random: inout SeededGenerator, more: [Double] = []) {
        let bins = EdgeBins(edges: edges)
        #expect(bins.edges == edges && bins.count == edges.count + 1)
        var numbers =
            more + [
                0, -0.0, 1, -1, .leastNonzeroMagnitude, -.leastNonzeroMagnitude, .leastNormalMagnitude,
                .greatestFiniteMagnitude, -.greatestFiniteMagnitude, 1e300, -1e300, 1e-300, .infinity, -.infinity,
            ]
        for edge in edges { numbers += [edge, edge.nextUp, edge.nextDown, -edge] }
        for (low, high) in zip(edges, edges.dropFirst()) { numbers.append(low / 2 + high / 2) }
        for _ in 0..<200 { numbers.append(Double(bitPattern: random.next())) }
        if let low = edges.first, let high = edges.last, (high - low).isFinite, high > low {
            for _ in 0..<200 { numbers.append(.random(in: low...high, using: &random)) }
        }
        for x in numbers where !x.isNaN {
            let (found, right) = (bins.bin(x), plain(edges, x))
            if found != right { Issue.record("\(x) is in bin \(right), not \(found), of \(edges)") }
        }
        #expect((0...edges.count).contains(bins.bin(.nan)))
    }

    private static func normal(_ random: inout SeededGenerator) -> Double {
        // Irwin-Hall: twelve uniform numbers less six.
        (0..<12).reduce(-6.0) { sum, _ in sum + .random(in: 0..<1, using: &random) }
    }

    private static func power(_ base: Double, _ exponent: Int) -> Double {
        let factor = exponent < 0 ? 1 / base : base
        return (0..<exponent.magnitude).reduce(1.0) { product, _ in product * factor }
    }

    /// Edges as references freeze them: quantiles at k/50, minimum, past the maximum, point bins of frequent values.
    private static func frozen(_ values: [Double]) -> [Double] {
        let sorted = values.sorted()
        var edges: Set<Double> = []
        for k in 0...50 { edges.insert(sorted[min(sorted.count - 1, k * sorted.count / 50)]) }
        edges.insert(sorted[sorted.count - 1].nextUp)
        for (value, same) in Dictionary(grouping: sorted, by: { $0 }) where same.count * 100 > sorted.count {
            edges.formUnion([value, value.nextUp])
        }
        return edges.sorted()
    }

    @Test func noEdgesAndFewEdges() {
        var random = SeededGenerator(seed: 1)
        for edges in [[], [0], [-0.0], [1e9], [5, 5], [5, 5.0.nextUp], [0, Double.leastNonzeroMagnitude], [-1, 1]] {
            Self.compare(edges, &random)
        }
    }

    @Test func samplesAsReferencesFreezeThem() {
        var random = SeededGenerator(seed: 2)
        let n = 2000
        let samples: [(String, [Double])] = [
            ("normal", (0..<n).map { _ in Self.normal(&random) }),
            ("mean 1e9, std 1", (0..<n).map { _ in 1e9 + Self.normal(&random) }),
            ("mean -1e15, std 1", (0..<n).map { _ in -1e15 + Self.normal(&random) }),
            ("heavy tails", (0..<n).map { _ in Self.normal(&random) / Double.random(in: 1e-6..<1, using: &random) }),
            ("log scale", (0..<n).map { _ in Self.power(10, .random(in: -30...30, using: &random)) }),
            ("zero-inflated", (0..<n).map { $0 % 3 == 0 ? 0 : Self.power(3, .random(in: -9...9, using: &random)) }),
            ("discrete", (0..<n).map { _ in Double(Int.random(in: 0..<30, using: &random)) }),
            ("constant", .init(repeating: 42, count: n)),
            ("two far apart", (0..<n).map { $0 % 2 == 0 ? -1e300 : 1e300 }),
            ("subnormal", (0..<n).map { Double(bitPattern: UInt64($0 + 1)) }),
            ("one outlier", (0..<n).map { $0 == 0 ? 1e308 : Self.normal(&random) }),
            ("outliers on both sides", (0..<n).map { $0 < 20 ? ($0 % 2 == 0 ? 1.7e308 : -1.7e308) : Double($0) }),
            ("neighbours", (0..<n).map { Double(bitPattern: 1e9.bitPattern + UInt64($0 % 300)) }),
        ]
        for (_, values) in samples { Self.compare(Self.frozen(values), &random, more: values) }
    }

    @Test func anyEdges() {
        var random = SeededGenerator(seed: 3)
        for round in 0..<400 {
            let count = Int.random(in: 1...(round % 10 == 0 ? 600 : 60), using: &random)
            var edges: [Double] = []
            while edges.count < count {
                let x =
                    switch round % 4 {
                    case 0: Double(bitPattern: random.next())
                    case 1: Double.random(in: -1...1, using: &random)
                    case 2: Double(Int.random(in: -5...5, using: &random))
                    default: Double(bitPattern: random.next() >> 12)
                    }
                guard x.isFinite else { continue }
                edges.append(x)
                if Bool.random(using: &random) { edges.append(x.nextUp.isFinite ? x.nextUp : x) }
                if round % 7 == 0 { edges.append(x) }
            }
            Self.compare(edges.sorted(), &random)
        }
    }

    @Test func edgesThatAreNotAscendingAreTold() {
        #expect(EdgeBins.areAscending([]) && EdgeBins.areAscending([1, 1, 2]))
        #expect(!EdgeBins.areAscending([2, 1]) && !EdgeBins.areAscending([1, .infinity]))
        #expect(!EdgeBins.areAscending([.nan]) && !EdgeBins.areAscending([1, .nan, 2]))
    }

    @Test func equalEdgesAreEqualBins() {
        #expect(EdgeBins(edges: [1, 2]) == EdgeBins(edges: [1, 2]))
        #expect(EdgeBins(edges: [1, 2]) != EdgeBins(edges: [1, 3]))
    }
}
