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
        try ObjectLayout.check(manifest, frameBytes: object.count - size)
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
        let proof = SegmentProof(manifest.segments[index])
        do {
            try frame(index) { try proof.append($0, sink) }
            try proof.finish(sink)
        } catch let error as ObjectError {
            throw error
        } catch {
            throw ObjectError(.compression, "segment \(index) cannot be read: \(error)")
        }
    }

    /// Lends a segment's compressed bytes.
    func frame<Result>(_ index: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        let segment = manifest.segments[index]
        return try object.withUnsafeBytes { bytes in
            try body(
                UnsafeRawBufferPointer(rebasing: bytes[segment.offset..<(segment.offset + segment.compressedBytes)]))
        }
    }
}

/// Where a manifest says that the frames are.
package enum ObjectLayout {
    /// An object that announces more than this before compression, in bytes, is refused: 64 GiB.
    ///
    /// A shipper's holds some hundred MiB; frames of one repeated byte could keep a loader busy for days.
    package static let largestContent = 64 << 30

    /// Checks that a manifest's frames follow each other without gaps and fill the object up to its manifest.
    ///
    /// - Parameter frameBytes: how many bytes stand before the manifest.
    /// - Throws: ``ObjectError`` with code `layout`.
    package static func check(_ manifest: Manifest, frameBytes: Int) throws(ObjectError) {
        var offset = 0
        var content = 0
        for (index, segment) in manifest.segments.enumerated() {
            guard segment.offset == offset else {
                throw ObjectError(
                    .layout, "segment \(index) is announced at byte \(segment.offset), it begins at byte \(offset)")
            }
            (offset, _) = offset.addingReportingOverflow(segment.compressedBytes)
            guard offset > segment.offset, offset <= frameBytes else {
                throw ObjectError(.layout, "segment \(index) ends behind the object's data")
            }
            content += min(segment.rawBytes, largestContent + 1)
            guard content <= largestContent else {
                throw ObjectError(
                    .layout, "it announces more than \(largestContent >> 30) GiB of lines, which no object holds")
            }
        }
        guard offset == frameBytes else {
            throw ObjectError(.layout, "the segments end at byte \(offset), the manifest begins at byte \(frameBytes)")
        }
    }
}
