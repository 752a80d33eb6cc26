/// Decimal text of integers, written in place.
enum IntegerText {
    /// Most bytes that ``write(_:to:)`` writes.
    static let maximumBytes = 20

    /// Writes the integer and returns the bytes written.
    static func write(_ value: Int, to target: UnsafeMutableRawPointer) -> Int {
        let magnitude = UInt64(value.magnitude)
        var place = 0
        if value < 0 {
            target.storeBytes(of: 0x2D, as: UInt8.self)
            place = 1
        }
        let count = count(magnitude)
        write(magnitude, count: count, to: target + place)
        return place + count
    }

    /// Writes the lowest `count` digits, leading zeros included.
    @inline(__always)
    static func write(_ value: UInt64, count: Int, to target: UnsafeMutableRawPointer) {
        var rest = value
        var place = count
        while place >= 2 {
            place -= 2
            let (next, pair) = rest.quotientAndRemainder(dividingBy: 100)
            // Two digits at once: the tens in the low byte, as the target is little-endian.
            let tens = (pair &* 103) &>> 10
            let word = UInt16(truncatingIfNeeded: 0x3030 &+ tens &+ (pair &- tens &* 10) &<< 8)
            target.storeBytes(of: word.littleEndian, toByteOffset: place, as: UInt16.self)
            rest = next
        }
        if place == 1 { target.storeBytes(of: UInt8(truncatingIfNeeded: 48 + rest % 10), as: UInt8.self) }
    }

    /// Decimal digits of the value; 1 for zero.
    static func count(_ value: UInt64) -> Int {
        // floor(log10) from the bit length, corrected by one comparison.
        let guess = ((64 - (value | 1).leadingZeroBitCount) * 1233) >> 12
        return guess + (value >= powers.withUnsafeBufferPointer { $0[guess] } ? 1 : 0)
    }

    private static let powers: [UInt64] = [
        0, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000,
        100_000_000_000, 1_000_000_000_000, 10_000_000_000_000, 100_000_000_000_000, 1_000_000_000_000_000,
        10_000_000_000_000_000, 100_000_000_000_000_000, 1_000_000_000_000_000_000, 10_000_000_000_000_000_000,
    ]
}

extension UnsafeMutableRawPointer {
    /// Copies a constant's bytes to `offset`.
    @inline(__always)
    func copy(_ text: StaticString, at offset: Int) {
        (self + offset).copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
    }
}
