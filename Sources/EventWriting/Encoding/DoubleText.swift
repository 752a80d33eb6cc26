/// The shortest decimal text that reads back as the same double, without allocating.
///
/// Raffaello Giulietti, "The Schubfach way to render doubles" (2020), in the arrangement of Alexander Bolz. Of the
/// shortest candidates it takes the one closest to the value.
enum DoubleText {
    /// Most bytes that ``write(_:to:)`` writes: sign, 17 digits, point, and an exponent or leading zeros.
    static let maximumBytes = 26

    /// Writes a finite value as a JSON number and returns the bytes written.
    ///
    /// Integral values keep a `.0`, so that tools that guess a column's type from its first values see a floating point
    /// number.
    static func write(_ value: Double, to target: UnsafeMutableRawPointer) -> Int {
        var place = 0
        if value.sign == .minus {
            target.storeBytes(of: 0x2D, as: UInt8.self)
            place = 1
        }
        let bits = value.bitPattern
        let fraction = bits & 0xF_FFFF_FFFF_FFFF
        let exponent = Int(bits >> 52 & 0x7FF)
        if fraction == 0 && exponent == 0 {
            target.copy("0.0", at: place)
            return place + 3
        }
        var (digits, power) = decimal(fraction: fraction, exponent: exponent)
        // Short values come with up to 16 zeros; most values with none.
        if digits % 10 == 0 {
            strip(100_000_000, 8, &digits, &power)
            strip(10_000, 4, &digits, &power)
            strip(100, 2, &digits, &power)
            strip(10, 1, &digits, &power)
            strip(10, 1, &digits, &power)
        }
        return place + layOut(digits, power, to: target + place)
    }

    /// Takes a factor of 10^zeros out of the digits, if it is there.
    @inline(__always)
    private static func strip(_ factor: UInt64, _ zeros: Int, _ digits: inout UInt64, _ power: inout Int) {
        let (quotient, remainder) = digits.quotientAndRemainder(dividingBy: factor)
        if remainder == 0 {
            digits = quotient
            power += zeros
        }
    }

    /// The shortest `digits` and `power` with digits * 10^power between the value's rounding bounds.
    static func decimal(fraction: UInt64, exponent: Int) -> (digits: UInt64, power: Int) {
        let c: UInt64
        let q: Int
        if exponent != 0 {
            c = 1 << 52 | fraction
            q = exponent - 1075
            if q <= 0, q > -53, c & ((1 << UInt64(-q)) - 1) == 0 { return (c >> UInt64(-q), 0) }
        } else {
            c = fraction
            q = -1074
        }
        let odd: UInt64 = c & 1
        let lowerIsCloser = fraction == 0 && exponent > 1
        let k = (q * 1_262_611 - (lowerIsCloser ? 524_031 : 0)) >> 22
        let h = UInt64(q + ((-k * 1_741_647) >> 19) + 1)
        let entry = (-k - PowersOfTen.first) * 2
        let (high, low) = PowersOfTen.words.withUnsafeBufferPointer { ($0[entry], $0[entry + 1]) }

        let lower = roundToOdd(high, low, (4 * c - (lowerIsCloser ? 1 : 2)) << h) + odd
        let middle = roundToOdd(high, low, (4 * c) << h)
        let upper = roundToOdd(high, low, (4 * c + 2) << h) - odd
        let s = middle / 4
        if s >= 10 {
            let tens = s / 10
            let downInside = lower <= 40 * tens
            let upInside = 40 * tens + 40 <= upper
            if downInside != upInside { return (tens + (upInside ? 1 : 0), k + 1) }
        }
        let downInside = lower <= 4 * s
        let upInside = 4 * s + 4 <= upper
        if downInside != upInside { return (s + (upInside ? 1 : 0), k) }
        let half = 4 * s + 2
        return (s + (middle > half || (middle == half && s & 1 == 1) ? 1 : 0), k)
    }

    /// The upper 64 bits of a 192-bit product, its lowest bit set where anything was cut off.
    @inline(__always)
    private static func roundToOdd(_ high: UInt64, _ low: UInt64, _ factor: UInt64) -> UInt64 {
        let below = low.multipliedFullWidth(by: factor).high
        let product = high.multipliedFullWidth(by: factor)
        let (sum, carried) = product.low.addingReportingOverflow(below)
        return (product.high + (carried ? 1 : 0)) | (sum > 1 ? 1 : 0)
    }

    /// Writes digits * 10^power, positional from 10^-5 up to 10^16, else with an exponent.
    private static func layOut(_ digits: UInt64, _ power: Int, to target: UnsafeMutableRawPointer) -> Int {
        let count = IntegerText.count(digits)
        let point = count + power
        if power >= 0, point <= 16 {
            IntegerText.write(digits, count: count, to: target)
            for place in count..<point { target.storeBytes(of: 0x30, toByteOffset: place, as: UInt8.self) }
            target.copy(".0", at: point)
            return point + 2
        }
        if point > 0, point <= 16 {
            IntegerText.write(digits, count: count, to: target + 1)
            target.copyMemory(from: target + 1, byteCount: point)
            target.storeBytes(of: 0x2E, toByteOffset: point, as: UInt8.self)
            return count + 1
        }
        if point <= 0, point > -5 {
            target.copy("0.0000", at: 0)
            IntegerText.write(digits, count: count, to: target + 2 - point)
            return 2 - point + count
        }
        IntegerText.write(digits, count: count, to: target + 1)
        target.copyMemory(from: target + 1, byteCount: 1)
        var place = 1
        if count > 1 {
            target.storeBytes(of: 0x2E, toByteOffset: 1, as: UInt8.self)
            place = count + 1
        }
        target.storeBytes(of: 0x65, toByteOffset: place, as: UInt8.self)
        return place + 1 + IntegerText.write(point - 1, to: target + place + 1)
    }
}
