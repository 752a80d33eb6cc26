/// The bins of probabilities: 100 equal-width ones united with 100 logit-spaced ones from 1e-6 to 1 - 1e-6.
///
/// Bin i covers [edge i, edge i + 1), the last one its upper edge too. The edges are those of `nadi_store.score_edge`.
package enum ScoreBins {
    /// How many bins there are.
    package static let count = edges.count - 1

    /// The bin of a probability.
    ///
    /// Some 3 ns.
    ///
    /// - Parameter score: from 0 to 1; what lies outside counts in the first or last bin.
    @inlinable
    package static func bin(_ score: Double) -> Int {
        Table.shared.bin(score)
    }

    /// The lookup tables of ``bin(_:)``.
    ///
    /// The middle is cut into 1,024 cells of equal width, both ends into eight cells an octave of the distance to 0 or 1.
    /// Each cell names the least bin that begins in or before it; what is left is a comparison or two with the edges.
    package struct Table: @unchecked Sendable {
        @usableFromInline static let cells = 1024
        @usableFromInline static let end = 1.0 / 64
        @usableFromInline static let octaves = 24
        @usableFromInline let middle: UnsafePointer<UInt8>
        @usableFromInline let low: UnsafePointer<UInt8>
        @usableFromInline let high: UnsafePointer<UInt8>
        @usableFromInline let edges: UnsafePointer<Double>

        /// The one table.
        ///
        /// It lives as long as the process, which is why sharing its pointers is safe.
        package static let shared = Table()

        private init() {
            let edges = UnsafeMutablePointer<Double>.allocate(capacity: ScoreBins.edges.count)
            edges.initialize(from: ScoreBins.edges, count: ScoreBins.edges.count)
            self.edges = UnsafePointer(edges)
            let least = { (score: Double) in
                UInt8(max(0, (ScoreBins.edges.firstIndex { $0 > score } ?? ScoreBins.count) - 1))
            }
            let middle = UnsafeMutablePointer<UInt8>.allocate(capacity: Self.cells)
            for cell in 0..<Self.cells { middle[cell] = least(Double(cell) / Double(Self.cells)) }
            self.middle = UnsafePointer(middle)
            let places = Self.octaves * 8
            let low = UnsafeMutablePointer<UInt8>.allocate(capacity: places)
            let high = UnsafeMutablePointer<UInt8>.allocate(capacity: places)
            for place in 0..<places {
                low[place] = place == 0 ? 0 : least(Self.distance(place))
                high[place] = least(1 - Self.distance(place + 1))
            }
            self.low = UnsafePointer(low)
            self.high = UnsafePointer(high)
        }

        /// The least distance of an end cell; the first cell holds all smaller ones too.
        private static func distance(_ place: Int) -> Double {
            Double(bitPattern: UInt64(place + firstPlace) << 49)
        }

        /// The exponent and upper three mantissa bits of the least distance, 2^-30.
        @usableFromInline static let firstPlace = (1023 - 30) << 3

        @inlinable @inline(__always)
        static func place(_ distance: Double) -> Int {
            max(0, Int(truncatingIfNeeded: distance.bitPattern >> 49) &- firstPlace)
        }

        /// The bin of a probability.
        @inlinable @inline(__always)
        package func bin(_ score: Double) -> Int {
            guard score > 0 else { return 0 }
            guard score < 1 else { return ScoreBins.count - 1 }
            var bin: Int
            if score < Self.end {
                bin = Int(low[Self.place(score)])
            } else if score > 1 - Self.end {
                bin = Int(high[Self.place(1 - score)])
            } else {
                bin = Int(middle[Int(score * Double(Self.cells))])
            }
            while score >= edges[bin &+ 1] { bin = bin &+ 1 }
            return bin
        }
    }
}
