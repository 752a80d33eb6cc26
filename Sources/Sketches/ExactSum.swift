/// A sum of any finite doubles that is the same to the last bit in whatever order and parts they are added.
///
/// A number's mantissa is an integer times a power of two. Numbers whose exponents fall into one window of 32 add up
/// exactly as 128-bit integers, up to 2^43 of them; the windows are put together when the sum is asked for (the idea of
/// Kulisch's long accumulator, with only the words that are used). Adding takes some 3 ns, without an allocation for
/// magnitudes from 3e-5 to 131,072; another one makes room for all windows, 1 KiB.
package struct ExactSum: Sendable, Hashable {
    /// The window of exponents from 2^-15 to 2^16.
    private static let middle = 32
    private static let windows = 65

    private var main: Int128 = 0
    /// All other windows, once one of them was met; none before.
    private var others: [Int128] = []

    package init() {}

    /// Adds a finite number; one that is not counts as the greatest or least finite one.
    package mutating func add(_ number: Double) {
        let bits = number.bitPattern
        var exponent = Int(truncatingIfNeeded: (bits >> 52) & 0x7FF)
        var mantissa = bits & 0xF_FFFF_FFFF_FFFF
        if exponent == 0x7FF {
            exponent = 0x7FE
            mantissa = 0x1F_FFFF_FFFF_FFFF
        } else if exponent > 0 {
            mantissa |= 0x10_0000_0000_0000
        } else {
            if mantissa == 0 { return }
            exponent = 1
        }
        let window = (exponent &+ 16) >> 5
        let magnitude = Int128(mantissa) << ((exponent &+ 16) & 31)
        let amount = bits >> 63 == 0 ? magnitude : -magnitude
        if window == Self.middle {
            main += amount
        } else {
            add(amount, window)
        }
    }

    @inline(never)
    private mutating func add(_ amount: Int128, _ window: Int) {
        if others.isEmpty { others = [Int128](repeating: 0, count: Self.windows) }
        others[window] += amount
    }

    /// Adds another's numbers.
    package mutating func merge(_ other: ExactSum) {
        main += other.main
        if other.others.isEmpty { return }
        if others.isEmpty {
            others = other.others
            return
        }
        for window in 0..<Self.windows { others[window] += other.others[window] }
    }

    /// The sum, within a unit or two of the last place; a sum beyond the doubles is the greatest or least finite one.
    package var value: Double {
        if others.isEmpty { return Double(sign: .plus, exponent: Self.scale(Self.middle), significand: Double.nearest(main)) }
        // Far below the upper end of the doubles while the greatest windows are added.
        let isLarge = others[58...].contains { $0 != 0 }
        let shift = isLarge ? -160 : 0
        var sum = 0.0
        var rest = 0.0
        for window in stride(from: Self.windows - 1, through: 0, by: -1) {
            let integer = window == Self.middle ? main : others[window]
            if integer == 0 { continue }
            // Two doubles hold the window's integer to 106 bits.
            let high = Double.nearest(integer)
            let low = Double.nearest(integer - Self.integer(high))
            for part in [high, low] {
                let term = Double(sign: .plus, exponent: Self.scale(window) + shift, significand: part)
                // Knuth's two-sum.
                let total = sum + term
                let back = total - sum
                rest += (sum - (total - back)) + (term - back)
                sum = total
            }
        }
        let total = Double(sign: .plus, exponent: -shift, significand: sum + rest)
        if total.isFinite { return total }
        return total > 0 ? .greatestFiniteMagnitude : -.greatestFiniteMagnitude
    }

    package static func == (left: Self, right: Self) -> Bool {
        guard left.main == right.main else { return false }
        return (0..<windows).allSatisfy { left.window($0) == right.window($0) }
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(value) }

    private func window(_ place: Int) -> Int128 { others.isEmpty ? 0 : others[place] }

    /// The exponent of a window's unit.
    private static func scale(_ window: Int) -> Int { window << 5 - 16 - 1075 }

    /// The integer that a double of integral value is.
    private static func integer(_ number: Double) -> Int128 {
        let exponent = Int(number.exponentBitPattern)
        if exponent == 0 { return 0 }
        let mantissa = Int128(number.significandBitPattern | 0x10_0000_0000_0000)
        let shift = exponent - 1075
        let magnitude = shift >= 0 ? mantissa << shift : mantissa >> -shift
        return number < 0 ? -magnitude : magnitude
    }
}
