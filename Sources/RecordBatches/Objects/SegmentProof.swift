internal import Compression
internal import DurableIO
package import EventSegments

/// Decompresses one segment's frame as its bytes come in, and proves that it is what its manifest says.
///
/// Memory is constant, whatever the frame expands to: it is given up at the first byte more than announced.
package final class SegmentProof {
    private let segment: Manifest.Segment
    private let decoder = Decoder()
    private var check = SegmentCheck()

    /// Starts before the frame's first byte.
    package init(_ segment: Manifest.Segment) { self.segment = segment }

    private var name: String { "segment \(segment.writer)/\(segment.seq)" }

    /// Takes the frame's next bytes, in pieces of any size.
    ///
    /// - Parameter sink: takes pieces of at most 128 KiB, valid only during the call. What it has made of them counts only
    ///   once ``finish(_:)`` has returned.
    /// - Throws: ``ObjectError`` with code `compression` or `content`; what `sink` throws.
    package func append(
        _ compressed: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        try named { try decoder.decode(compressed) { try take($0, sink) } }
    }

    /// Says that the frame has ended.
    ///
    /// - Throws: ``ObjectError`` with code `compression` where the frame is cut off, `content` where size, lines or SHA-256
    ///   differ from the manifest.
    package func finish(_ sink: (UnsafeRawBufferPointer) throws -> Void = { _ in }) throws {
        try named { try decoder.finish { try take($0, sink) } }
        try check.compare(with: segment, name)
    }

    private func take(_ piece: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws -> Void) throws {
        check.update(piece)
        guard check.bytes <= segment.rawBytes else {
            throw ObjectError(.content, "\(name) has more than the \(segment.rawBytes) bytes that its manifest says")
        }
        try sink(piece)
    }

    private func named(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as CompressionError {
            throw ObjectError(.compression, "\(name) cannot be decompressed: \(error)")
        }
    }
}

/// What a segment's bytes are, to be compared with what its manifest says.
private struct SegmentCheck {
    private(set) var bytes = 0
    private var newlines = 0
    private var last: UInt8 = 0x0A
    private var hash = SHA256()

    mutating func update(_ piece: UnsafeRawBufferPointer) {
        guard let final = piece.last else { return }
        bytes += piece.count
        newlines += Self.newlines(piece)
        last = final
        hash.update(piece)
    }

    /// How many bytes are newlines, 32 at a time: a byte-wise loop cost more than parsing the JSON.
    private static func newlines(_ piece: UnsafeRawBufferPointer) -> Int {
        guard let base = piece.baseAddress else { return 0 }
        typealias Row = SIMD4<UInt64>
        let newline = Row(repeating: 0x0A0A_0A0A_0A0A_0A0A)
        let low = Row(repeating: 0x7F7F_7F7F_7F7F_7F7F)
        let even = Row(repeating: 0x00FF_00FF_00FF_00FF)
        let one = Row(repeating: 0x0101_0101_0101_0101)
        var found = 0
        var place = 0
        while place &+ 32 <= piece.count {
            // Each byte of `counts` counts its column, up to 255 rows.
            var counts = Row()
            let end = min(piece.count &- 31, place &+ 255 &* 32)
            while place < end {
                let other = base.loadUnaligned(fromByteOffset: place, as: Row.self) ^ newline
                // The upper bit of each byte that is zero, exactly.
                let zero = ~(((other & low) &+ low) | other | low)
                counts &+= (zero &>> 7) & one
                place = place &+ 32
            }
            let pairs = (counts & even) &+ ((counts &>> 8) & even)
            for part in 0..<4 { found += Int(truncatingIfNeeded: (pairs[part] &* 0x0001_0001_0001_0001) >> 48) }
        }
        while place < piece.count {
            if piece[place] == 0x0A { found += 1 }
            place += 1
        }
        return found
    }

    func compare(with segment: Manifest.Segment, _ name: String) throws(ObjectError) {
        guard bytes == segment.rawBytes else {
            throw ObjectError(.content, "\(name) has \(bytes) bytes, its manifest says \(segment.rawBytes)")
        }
        let lines = last == 0x0A ? newlines : newlines + 1
        guard lines == segment.lines else {
            throw ObjectError(.content, "\(name) has \(lines) lines, its manifest says \(segment.lines)")
        }
        let sha256 = hex(hash.finalize())
        guard sha256 == segment.rawSHA256 else {
            throw ObjectError(.content, "\(name) has SHA-256 \(sha256), its manifest says \(segment.rawSHA256)")
        }
    }
}
