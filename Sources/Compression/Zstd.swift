/// Whole zstd frames (RFC 8878) in memory.
package enum Zstd {
    /// The magic number of a data frame's first four bytes, little-endian.
    package static let frameMagic: UInt32 = 0xFD2F_B528
    /// The magic number of the skippable frames we write; 0x184D2A50 to 0x184D2A5F are skippable.
    package static let skippableMagic: UInt32 = 0x184D_2A50

    /// One frame with checksum and content size.
    package static func frame(_ bytes: UnsafeRawBufferPointer, level: Int = 3) throws(CompressionError) -> [UInt8] {
        let encoder = try ZstdEncoder(level: level, contentSize: bytes.count)
        var output: [UInt8] = []
        try encoder.append(bytes, into: &output)
        try encoder.finish(into: &output)
        return output
    }

    /// One frame with checksum and content size.
    package static func frame(_ bytes: [UInt8], level: Int = 3) throws(CompressionError) -> [UInt8] {
        let encoder = try ZstdEncoder(level: level, contentSize: bytes.count)
        var output: [UInt8] = []
        try encoder.append(bytes, into: &output)
        try encoder.finish(into: &output)
        return output
    }

    /// A frame that every zstd reader passes over: magic, little-endian length, payload (less than 4 GiB).
    package static func skippableFrame(_ payload: [UInt8]) -> [UInt8] {
        precondition(payload.count <= Int(UInt32.max), "a skippable frame's payload must be shorter than 4 GiB")
        var frame: [UInt8] = []
        frame.reserveCapacity(8 + payload.count)
        withUnsafeBytes(of: skippableMagic.littleEndian) { frame += $0 }
        withUnsafeBytes(of: UInt32(payload.count).littleEndian) { frame += $0 }
        frame += payload
        return frame
    }
}
