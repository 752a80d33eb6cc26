internal import Compression
internal import DurableIO
package import EventSegments

/// Reads an object that is held in memory: its manifest, then the raw bytes of its segments, each proven on its way.
///
/// An object is zstd frames, one for each segment in the manifest's order and without gaps, then the manifest.
package struct ObjectReader {
    private let object: [UInt8]
    /// What the object says it holds.
    package let manifest: Manifest

    /// Reads the manifest and checks that its frames fill the object.
    ///
    /// - Throws: ``ObjectError`` with code `manifest` or `layout`.
    package init(_ object: [UInt8]) throws(ObjectError) {
        self.object = object
        let size: Int
        do {
            (manifest, size) = try ObjectTrailer.find(in: object)
        } catch {
            throw ObjectError(.manifest, error.message)
        }
        var offset = 0
        for (index, segment) in manifest.segments.enumerated() {
            guard segment.offset == offset else {
                throw ObjectError(
                    .layout, "segment \(index) is announced at byte \(segment.offset), it begins at byte \(offset)")
            }
            (offset, _) = offset.addingReportingOverflow(segment.compressedBytes)
            guard offset > segment.offset, offset <= object.count - size else {
                throw ObjectError(.layout, "segment \(index) ends behind the object's data")
            }
        }
        guard offset == object.count - size else {
            throw ObjectError(
                .layout, "the segments end at byte \(offset), the manifest begins at byte \(object.count - size)")
        }
    }

    /// Hands out a segment's raw bytes.
    ///
    /// - Parameters:
    ///   - index: the segment's place in the manifest.
    ///   - sink: takes pieces of at most 128 KiB, valid only during the call. What it has made of them counts only if
    ///     this function returns.
    /// - Throws: ``ObjectError`` with code `compression` where the frame cannot be decompressed, `content` where size,
    ///   lines or SHA-256 differ from the manifest.
    package func read(_ index: Int, _ sink: (UnsafeRawBufferPointer) -> Void) throws(ObjectError) {
        let segment = manifest.segments[index]
        let name = "segment \(segment.writer)/\(segment.seq)"
        var check = SegmentCheck()
        do {
            try object.withUnsafeBytes { bytes in
                let frame = UnsafeRawBufferPointer(
                    rebasing: bytes[segment.offset..<(segment.offset + segment.compressedBytes)])
                let decoder = Decoder()
                let take = { (piece: UnsafeRawBufferPointer) throws in
                    check.update(piece)
                    guard check.bytes <= segment.rawBytes else {
                        throw ObjectError(
                            .content, "\(name) has more than the \(segment.rawBytes) bytes that its manifest says")
                    }
                    sink(piece)
                }
                try decoder.decode(frame, take)
                try decoder.finish(take)
            }
        } catch let error as ObjectError {
            throw error
        } catch {
            throw ObjectError(.compression, "\(name) cannot be decompressed: \(error)")
        }
        try check.compare(with: segment, name)
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

    /// How many bytes are newlines, eight at a time: a byte-wise loop cost more than parsing the JSON.
    private static func newlines(_ piece: UnsafeRawBufferPointer) -> Int {
        guard let base = piece.baseAddress else { return 0 }
        let low: UInt64 = 0x7F7F_7F7F_7F7F_7F7F
        var found = 0
        var place = 0
        while place &+ 8 <= piece.count {
            // Each byte of `counts` counts its column, up to 255 rows.
            var counts: UInt64 = 0
            let end = min(piece.count &- 7, place &+ 255 &* 8)
            while place < end {
                let other = base.loadUnaligned(fromByteOffset: place, as: UInt64.self) ^ 0x0A0A_0A0A_0A0A_0A0A
                // The upper bit of each byte that is zero, exactly.
                let zero = ~(((other & low) &+ low) | other | low)
                counts &+= zero >> 7
                place = place &+ 8
            }
            let pairs = (counts & 0x00FF_00FF_00FF_00FF) &+ ((counts >> 8) & 0x00FF_00FF_00FF_00FF)
            found += Int(truncatingIfNeeded: (pairs &* 0x0001_0001_0001_0001) >> 48)
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
