/// A sum of numbers of moderate size that is the same to the last bit in whatever order and parts they are added.
///
/// Fixed point with 84 binary places: each number is cut to a multiple of 2^-84 (5e-26), and integers add exactly. For
/// probabilities, their squares and logarithms: numbers below 2^20 in magnitude, of which 2^22 fit at that size and 2^42
/// below 1. Adding takes some 2 ns.
package struct FixedSum: Hashable, Sendable {
    /// Binary places behind the point.
    @usableFromInline static let places = 84
    /// The sum in units of 2^-84.
    @usableFromInline package var units: Int128 = 0

    package init() {}

    /// Adds a number; what is not finite or at least 2^20 counts as the greatest that fits.
    @inlinable @inline(__always)
    package mutating func add(_ number: Double) {
        let bits = number.bitPattern
        let exponent = Int(truncatingIfNeeded: (bits >> 52) & 0x7FF)
        guard exponent > 0 else { return }
        let mantissa = bits & 0xF_FFFF_FFFF_FFFF | 0x10_0000_0000_0000
        // The number is mantissa * 2^(exponent - 1075).
        let shift = min(exponent &- 1075 &+ Self.places, 20 &+ Self.places &- 53)
        let magnitude = shift >= 0 ? Int128(mantissa) << shift : Int128(shift > -64 ? mantissa >> UInt64(-shift) : 0)
        units += bits >> 63 == 0 ? magnitude : -magnitude
    }

    /// Adds another's numbers.
    @inlinable
    package mutating func merge(_ other: FixedSum) { units += other.units }

    /// The sum as the nearest double, or one beside it.
    package var value: Double {
        Double(sign: .plus, exponent: -Self.places, significand: Double.nearest(units))
    }
}

extension Double {
    /// An integer as a double, within one unit of the last place.
    static func nearest(_ integer: Int128) -> Double {
        let high = Int64(truncatingIfNeeded: integer >> 64)
        let low = UInt64(truncatingIfNeeded: integer)
        return Double(high) * 18_446_744_073_709_551_616.0 + Double(low)
    }
}
