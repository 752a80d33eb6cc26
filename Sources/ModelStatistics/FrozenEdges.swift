internal import Sketches

/// The bins of a numeric feature, frozen with the reference.
///
/// Bin i covers [edge i - 1, edge i), the first from minus infinity, the last to infinity: one bin more than edges. Edges
/// are the quantiles at k/50, the least value, what follows the greatest, and both sides of each value with a share of
/// over 1 %, or of every value where there are at most 50. So the first and the last bin hold nothing of the reference.
package struct FrozenEdges: Equatable, Sendable {
    /// Ascending, all different, finite.
    package let edges: [Double]
    /// How many of the reference's values are in each bin.
    package let counts: [Int64]
    /// The group of each bin in the population stability index, from 0 without gaps, ascending.
    package let deciles: [Int]

    /// Most distinct values that each get a bin of their own.
    package static let mostPoints = 50

    /// - Parameters:
    ///   - sorted: finite numbers, ascending.
    ///   - isCoded: whether each bin that holds values is a group of its own: for numbers that stand for classes.
    package init(sorted: [Double], isCoded: Bool = false) {
        guard let least = sorted.first, let greatest = sorted.last else {
            edges = []
            counts = []
            deciles = []
            return
        }
        var edges: [Double] = [least, greatest.nextUp]
        for k in 1..<50 { edges.append(Self.quantile(sorted, k, of: 50)) }
        for point in Self.points(sorted) { edges += [point, point.nextUp] }
        edges = edges.filter(\.isFinite).sorted()
        var distinct: [Double] = []
        for edge in edges where distinct.last != edge { distinct.append(edge) }
        self.edges = distinct
        counts = Self.count(sorted, distinct)
        deciles = Self.groups(counts, isCoded: isCoded)
    }

    /// The value at a share k/parts, as `percentile_disc` chooses it.
    private static func quantile(_ sorted: [Double], _ k: Int, of parts: Int) -> Double {
        // The least place at which (place + 1) / count >= k / parts, in whole numbers.
        sorted[max(0, (k * sorted.count + parts - 1) / parts - 1)]
    }

    /// The values that get a bin of their own.
    private static func points(_ sorted: [Double]) -> [Double] {
        var frequent: [Double] = []
        var all: [Double] = []
        var distinct = 0
        var begin = 0
        while begin < sorted.count {
            var end = begin + 1
            while end < sorted.count, sorted[end] == sorted[begin] { end += 1 }
            distinct += 1
            if distinct <= mostPoints { all.append(sorted[begin]) }
            if (end - begin) * 100 > sorted.count { frequent.append(sorted[begin]) }
            begin = end
        }
        return distinct <= mostPoints ? all : frequent
    }

    private static func count(_ sorted: [Double], _ edges: [Double]) -> [Int64] {
        var counts = [Int64](repeating: 0, count: edges.count + 1)
        var bin = 0
        for value in sorted {
            while bin < edges.count, value >= edges[bin] { bin += 1 }
            counts[bin] += 1
        }
        return counts
    }

    /// The groups of bins: tenths by the middle of a bin's counts, or each bin that holds something.
    ///
    /// Only groups that hold something exist; an empty bin belongs to the one before its own, or to the first.
    package static func groups(_ counts: [Int64], isCoded: Bool = false) -> [Int] {
        let total = counts.reduce(0, +)
        guard total > 0 else { return [Int](repeating: 0, count: counts.count) }
        var tenths: [Int64] = []
        var before: Int64 = 0
        for (bin, count) in counts.enumerated() {
            // floor(10 (before + count / 2) / total), in whole numbers.
            tenths.append(isCoded ? Int64(bin) : min(9, 5 * (2 * before + count) / total))
            before += count
        }
        var groups: [Int] = []
        var group = -1
        var last: Int64 = -1
        for (bin, count) in counts.enumerated() {
            if count > 0, tenths[bin] != last {
                group += 1
                last = tenths[bin]
            }
            groups.append(max(0, group))
        }
        return groups
    }
}
