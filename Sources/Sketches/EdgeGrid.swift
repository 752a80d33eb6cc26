/// Cells that numbers fall into: even in the number, or in the bits of its magnitude, which is nearly its logarithm.
///
/// A greater number never falls into a lesser cell; what is beyond the grid falls into its first or last.
@usableFromInline
struct EdgeGrid {
    /// How many cells there are.
    @usableFromInline let count: Int
    /// Even in the number: the grid's begin, and cells to one of the number; a scale of 0 marks a grid of bits.
    @usableFromInline let begin: Double
    @usableFromInline let scale: Double
    /// In bits: what counts as zero, the key of the grid's begin, and how many bits a cell spans.
    @usableFromInline let floor: Int64
    @usableFromInline let first: Int64
    @usableFromInline let shift: Int64

    private init(
        count: Int, begin: Double = 0, scale: Double = 0, floor: Int64 = 0, first: Int64 = 0, shift: Int64 = 0
    ) {
        self.count = count
        self.begin = begin
        self.scale = scale
        self.floor = floor
        self.first = first
        self.shift = shift
    }

    /// The cell of a number.
    @inlinable @inline(__always)
    func cell(_ x: Double) -> Int {
        if scale > 0 {
            let place = (x - begin) * scale
            let last = Double(count &- 1)
            return Int(place > 0 ? (place < last ? place : last) : 0)
        }
        let place = (Self.key(x, floor) &- first) >> shift
        return Int(truncatingIfNeeded: place > 0 ? (place < Int64(count &- 1) ? place : Int64(count &- 1)) : 0)
    }

    /// The bits of a number's magnitude above `floor`, with the number's sign: ascends with the number.
    ///
    /// Halved, so that no two keys are further apart than an integer holds.
    @inlinable @inline(__always)
    static func key(_ x: Double, _ floor: Int64) -> Int64 {
        let bits = Int64(bitPattern: x.bitPattern)
        let above = (bits & Int64.max) &- floor
        let magnitude = above > 0 ? above >> 1 : 0
        return bits < 0 ? 0 &- magnitude : magnitude
    }

    // MARK: Choosing

    /// The grid that leaves the fewest edges together.
    ///
    /// Outliers and point bins at zero would stretch it over nothing: some grids span only the middle of the edges.
    static func best(for edges: [Double]) -> EdgeGrid {
        guard edges.count > 1 else { return EdgeGrid(count: 1) }
        var count = 64
        while count < 4 * edges.count { count *= 2 }
        count = min(count, 4096)
        var best = EdgeGrid(count: 1)
        var least = best.cost(edges)
        for low in trims(edges.count) {
            for high in trims(edges.count) where low + high < edges.count - 1 {
                let span = (edges[low], edges[edges.count - 1 - high])
                for grid in grids(count, span, edges) {
                    let cost = grid.cost(edges)
                    if cost < least { (best, least) = (grid, cost) }
                }
            }
        }
        return best
    }

    /// How many edges a grid leaves out at one end.
    private static func trims(_ count: Int) -> [Int] {
        [0, 1, 2, 3, count / 20, count / 8].reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private static func grids(_ count: Int, _ span: (low: Double, high: Double), _ edges: [Double]) -> [EdgeGrid] {
        var grids: [EdgeGrid] = []
        let scale = Double(count) / (span.high - span.low)
        if scale.isNormal { grids.append(EdgeGrid(count: count, begin: span.low, scale: scale)) }
        let magnitudes = edges.map { Int64(bitPattern: $0.magnitude.bitPattern) }.sorted()
        let floors = [
            0, magnitudes.first { $0 > 1 << 52 } ?? 0, magnitudes[edges.count / 20], magnitudes[edges.count / 5],
        ]
        for floor in floors {
            let first = key(span.low, floor)
            let last = key(span.high, floor)
            let width = last - first
            guard width > 0 else { continue }
            var shift: Int64 = 0
            while width >> shift >= Int64(count) { shift += 1 }
            grids.append(EdgeGrid(count: Int(width >> shift) + 1, floor: floor, first: first, shift: shift))
        }
        return grids
    }

    /// The sum of squares of the edges in each cell.
    private func cost(_ edges: [Double]) -> Int {
        var cost = 0
        var run = 0
        var cell = -1
        for edge in edges {
            let next = self.cell(edge)
            if next != cell { run = 0 }
            cell = next
            run += 1
            cost += 2 * run - 1
        }
        return cost
    }
}
