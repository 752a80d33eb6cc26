/// The end of an object: its manifest in a zstd skippable frame, found from the last bytes.
///
/// Layout, integers little-endian:
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | magic number of a skippable frame, 0x184D2A50 |
/// | 4 | 4 | payload size P = n + 12 |
/// | 8 | n | manifest, JSON |
/// | 8 + n | 4 | n |
/// | 12 + n | 8 | `NADIMAN1` |
///
/// Decompressors skip the frame (RFC 8878 section 3.1.2), so an object reads as its plain lines.
package enum ObjectTrailer {
    /// The magic number of the skippable frame.
    package static let frameMagic: UInt32 = 0x184D_2A50
    /// The last eight bytes of every object.
    package static let magic = Array("NADIMAN1".utf8)
    /// How many bytes at an object's end tell the trailer's size.
    package static let footerBytes = 12
    /// A manifest larger than this is refused, in bytes; one of 1,000 segments, which is the most that a shipper bundles,
    /// has 0.4 MB.
    package static let largestManifest = 16 << 20

    /// Appends a manifest's frame to an object's body.
    package static func append(_ manifest: Manifest, to object: inout [UInt8]) {
        let json = manifest.encoded()
        object.reserveCapacity(object.count + json.count + 20)
        appendInteger(frameMagic, to: &object)
        appendInteger(UInt32(json.count + footerBytes), to: &object)
        object.append(contentsOf: json)
        appendInteger(UInt32(json.count), to: &object)
        object.append(contentsOf: magic)
    }

    /// The size of the whole trailer, from an object's last bytes.
    ///
    /// - Parameter tail: the end of the object, at least ``footerBytes`` bytes.
    /// - Returns: how many bytes from the end the trailer begins.
    /// - Throws: ``ObjectFormatError`` when the bytes are not the end of an object.
    package static func size(tail: [UInt8]) throws(ObjectFormatError) -> Int {
        guard tail.count >= footerBytes, tail.suffix(magic.count).elementsEqual(magic) else {
            throw ObjectFormatError(
                .noManifest,
                "the object does not end with a manifest: it was cut off, or another program wrote it")
        }
        let length = Int(integer(in: tail, at: tail.count - footerBytes))
        guard length <= largestManifest else {
            throw ObjectFormatError(
                .noManifest, "the object announces a manifest of \(length) bytes, which is too large")
        }
        return length + footerBytes + 8
    }

    /// The manifest at the end of an object, or of the end of one.
    ///
    /// - Parameter bytes: the object's last bytes, at least as many as ``size(tail:)`` says; the whole object will do.
    /// - Returns: the manifest, and how many bytes from the end its frame begins.
    /// - Throws: ``ObjectFormatError`` when there is none, or it is not valid.
    package static func find(in bytes: [UInt8]) throws(ObjectFormatError) -> (manifest: Manifest, size: Int) {
        let size = try size(tail: bytes)
        let start = bytes.count - size
        guard start >= 0, integer(in: bytes, at: start) == frameMagic,
            Int(integer(in: bytes, at: start + 4)) == size - 8
        else {
            throw ObjectFormatError(
                .noManifest, "the frame of the object's manifest is damaged: restore the object from its source")
        }
        let manifest = try Manifest(decoding: Array(bytes[(start + 8)..<(bytes.count - footerBytes)]))
        return (manifest, size)
    }

    private static func appendInteger(_ number: UInt32, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func integer(in bytes: [UInt8], at offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) }
    }
}
