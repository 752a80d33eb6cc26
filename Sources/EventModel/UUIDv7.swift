/// A time-ordered identifier (RFC 9562, version 7): 48 bits of milliseconds since the epoch, 74 random bits.
public struct UUIDv7: Sendable, Hashable {
    /// Time, version and `rand_a`.
    package let high: UInt64
    /// Variant and `rand_b`.
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Makes an identifier of the given time, in milliseconds since the epoch, from 74 bits of `generator`.
    @inline(__always)
    package init(time_ms: Int64, using generator: inout some RandomNumberGenerator) {
        let time = UInt64(bitPattern: max(0, time_ms)) & 0xFFFF_FFFF_FFFF
        self.init(
            high: time << 16 | 0x7000 | generator.next() & 0xFFF,
            low: 0x8000_0000_0000_0000 | generator.next() >> 2)
    }

    /// Reads the 36-character form or the 32 hexadecimal digits, in either case; nil unless it is a version 7 identifier.
    public init?(_ text: String) {
        var text = text
        guard let value = text.withUTF8({ UUIDv7(bytes: UnsafeRawBufferPointer($0)) }) else { return nil }
        self = value
    }

    /// Reads the whole of `bytes` as ``init(_:)`` does, without allocating.
    package init?(bytes: UnsafeRawBufferPointer) {
        let hyphens = bytes.count == 36
        guard hyphens || bytes.count == 32 else { return nil }
        var halves: (UInt64, UInt64) = (0, 0)
        var digits = 0
        for (place, byte) in bytes.enumerated() {
            if hyphens, place == 8 || place == 13 || place == 18 || place == 23 {
                guard byte == 0x2D else { return nil }
                continue
            }
            let value: UInt8
            switch byte {
            case 0x30...0x39: value = byte - 0x30
            case 0x61...0x66: value = byte - 0x61 + 10
            case 0x41...0x46: value = byte - 0x41 + 10
            default: return nil
            }
            if digits < 16 {
                halves.0 = halves.0 << 4 | UInt64(value)
            } else {
                halves.1 = halves.1 << 4 | UInt64(value)
            }
            digits += 1
        }
        guard halves.0 >> 12 & 0xF == 7, halves.1 >> 62 == 2 else { return nil }
        self.init(high: halves.0, low: halves.1)
    }

    /// When the identifier was made, in milliseconds since the epoch.
    public var time_ms: Int64 { Int64(high >> 16) }

    /// The 32 lower-case hexadecimal digits without hyphens.
    public var hex: String {
        String(unsafeUninitializedCapacity: 32) { buffer in
            for place in 0..<32 { buffer[place] = Self.digit(nibble(place)) }
            return 32
        }
    }

    /// Writes the 36 bytes of ``description`` to `target`, which must have room for them.
    ///
    /// Does not allocate.
    package func write(to target: UnsafeMutableRawPointer) {
        var offset = 0
        for place in 0..<32 {
            if place == 8 || place == 12 || place == 16 || place == 20 {
                target.storeBytes(of: 0x2D, toByteOffset: offset, as: UInt8.self)
                offset += 1
            }
            target.storeBytes(of: Self.digit(nibble(place)), toByteOffset: offset, as: UInt8.self)
            offset += 1
        }
    }

    @inline(__always)
    private func nibble(_ place: Int) -> UInt8 {
        let half = place < 16 ? high : low
        return UInt8(truncatingIfNeeded: half >> UInt64(60 - (place & 15) * 4)) & 0xF
    }

    @inline(__always)
    private static func digit(_ nibble: UInt8) -> UInt8 {
        nibble < 10 ? 0x30 + nibble : 0x57 + nibble
    }
}

extension UUIDv7: CustomStringConvertible {
    /// The 36-character lower-case form.
    public var description: String {
        String(unsafeUninitializedCapacity: 36) { buffer in
            guard let start = buffer.baseAddress else { return 0 }
            write(to: UnsafeMutableRawPointer(start))
            return 36
        }
    }
}
