/// Fixed logarithmic bins that do not depend on data: 35 to the octave, ratio 2^(1/35) = 1.0200.
///
/// Bin b covers the magnitudes [2^(b/35), 2^((b+1)/35)). Its code is b + 40000 for positive numbers, the negative of that
/// for negative ones, and 0 for zero; codes are monotone in the number. Subnormal numbers count as 2^-1022. The code of a
/// number comes from its exponent bits and a table, without a logarithm, and is exact at the edges.
package enum LogBins {
    /// Bins in an octave.
    package static let binsPerOctave = 35
    /// What is added to a bin's number to make it positive.
    package static let codeOffset: Int32 = 40_000
    /// The least and the greatest code of a positive number.
    package static let positiveCodes: ClosedRange<Int32> = 4_230...75_839

    /// The edges of one octave, 2^(k/35) for k = 0...35, correctly rounded.
    package static let octaveEdges: [Double] = [
        1.0, 1.0200016094211992, 1.0404032832218364, 1.0612130233333728,
        1.0824389917387767, 1.1040895136738123, 1.1261730808923576, 1.148698354997035,
        1.1716741708364595, 1.195109539970438, 1.2190136542044754, 1.2433958891949821,
        1.2682658081265845, 1.293633165462994, 1.3195079107728942, 1.3459001926323562,
        1.3728203626053053, 1.4002789793036055, 1.4282868125283514, 1.456854847493993,
        1.4859942891369484, 1.515716566510398, 1.5460333372669801, 1.5769564922311472,
        1.6084981600629789, 1.640670712015276, 1.673486766785806, 1.706959195466601,
        1.7411011265922482, 1.775925951289156, 1.8114473285278134, 1.8476791904801013,
        1.8846357479837614, 1.9223314961161622, 1.960781219879547, 2.0,
    ]

    /// The code of a finite number.
    ///
    /// Some 2 ns.
    @inlinable
    package static func code(_ number: Double) -> Int32 {
        Table.shared.code(number)
    }

    /// The lower edge of a code's bin as a number; 0 for code 0.
    ///
    /// For negative codes the bin is (lower, upper].
    package static func lower(_ code: Int32) -> Double {
        code >= 0 ? edge(code) : -edge(-code &+ 1)
    }

    /// The upper edge of a code's bin as a number; 0 for code 0, infinity above the greatest finite number.
    package static func upper(_ code: Int32) -> Double {
        code > 0 ? edge(code &+ 1) : -edge(-code)
    }

    /// What stands for the numbers of a bin: 2 lo hi / (lo + hi), at most 1 % from any of them.
    ///
    /// 0 for code 0.
    package static func representative(_ code: Int32) -> Double {
        guard code != 0 else { return 0 }
        let bin = Int(code.magnitude) - Int(codeOffset)
        let place = bin - floorDivide(bin) * binsPerOctave
        // lo 2 / (1 + lo / hi) is the same number and does not overflow in the last octave.
        let answer = edge(Int32(code.magnitude)) * (2 / (1 + octaveEdges[place] / octaveEdges[place + 1]))
        return code > 0 ? answer : -answer
    }

    /// The lower edge of a positive code's bin; 0 for code 0 and below.
    private static func edge(_ code: Int32) -> Double {
        guard code > 0 else { return 0 }
        let bin = Int(code) - Int(codeOffset)
        let octave = floorDivide(bin)
        return Double(sign: .plus, exponent: octave, significand: octaveEdges[bin - octave * binsPerOctave])
    }

    private static func floorDivide(_ bin: Int) -> Int {
        (bin >= 0 ? bin : bin - (binsPerOctave - 1)) / binsPerOctave
    }

    /// The lookup tables of ``code(_:)``.
    ///
    /// A loop over many numbers keeps one in a local constant.
    ///
    /// An octave is cut into 128 cells by the mantissa's upper seven bits. A cell is narrower than any bin, so that it
    /// holds one edge at most: the bin is the one at the cell's begin, or the next.
    package struct Table: @unchecked Sendable {
        @usableFromInline let cells: UnsafePointer<UInt8>
        @usableFromInline let edges: UnsafePointer<UInt64>

        /// The one table.
        ///
        /// It lives as long as the process, which is why sharing its pointers is safe.
        package static let shared = Table()

        private init() {
            let edges = UnsafeMutablePointer<UInt64>.allocate(capacity: 36)
            let mantissa: UInt64 = 1 << 52 - 1
            for (place, edge) in octaveEdges.enumerated() {
                edges[place] = place == 35 ? 1 << 52 : edge.bitPattern & mantissa
            }
            let cells = UnsafeMutablePointer<UInt8>.allocate(capacity: 128)
            var bin: UInt8 = 0
            for cell in 0..<128 {
                while edges[Int(bin) + 1] <= UInt64(cell) << 45 { bin += 1 }
                cells[cell] = bin
            }
            self.cells = UnsafePointer(cells)
            self.edges = UnsafePointer(edges)
        }

        /// The code of a finite number.
        @inlinable @inline(__always)
        package func code(_ number: Double) -> Int32 {
            let bits = number.bitPattern
            let magnitude = bits & 0x7FFF_FFFF_FFFF_FFFF
            if magnitude == 0 { return 0 }
            let exponent = Int32(truncatingIfNeeded: magnitude >> 52)
            let mantissa = magnitude & 0xF_FFFF_FFFF_FFFF
            var bin: Int32
            if exponent == 0 {
                bin = -1022 &* 35
            } else {
                let cell = cells[Int(truncatingIfNeeded: mantissa >> 45)]
                let next: Int32 = mantissa >= edges[Int(cell) &+ 1] ? 1 : 0
                bin = (exponent &- 1023) &* 35 &+ Int32(truncatingIfNeeded: cell) &+ next
            }
            bin = bin &+ 40_000
            return bits >> 63 == 0 ? bin : -bin
        }
    }
}
