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
    private var lines = LineCount()
    private var hash = SHA256()

    mutating func update(_ piece: UnsafeRawBufferPointer) {
        bytes += piece.count
        lines.update(piece)
        hash.update(piece)
    }

    func compare(with segment: Manifest.Segment, _ name: String) throws(ObjectError) {
        guard bytes == segment.rawBytes else {
            throw ObjectError(.content, "\(name) has \(bytes) bytes, its manifest says \(segment.rawBytes)")
        }
        guard lines.total == segment.lines else {
            throw ObjectError(.content, "\(name) has \(lines.total) lines, its manifest says \(segment.lines)")
        }
        let sha256 = hex(hash.finalize())
        guard sha256 == segment.rawSHA256 else {
            throw ObjectError(.content, "\(name) has SHA-256 \(sha256), its manifest says \(segment.rawSHA256)")
        }
    }
}
