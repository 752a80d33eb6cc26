import Compression
import DurableIO

/// Makes an object from segments: one zstd frame for each, then the manifest.
///
/// The same segments in the same order give the same bytes (with one version of libzstd) and always the same key.
/// Memory: the compressed object, and one segment's buffers.
package struct BundleBuilder: ~Copyable, Sendable {
    /// The compression level of the format.
    package static let level = 3

    /// Who a segment is: the manifest's entry without what the builder measures.
    package struct Identity: Equatable, Sendable {
        /// The writer's unique name.
        package var writer: String
        /// The segment's number, from 0.
        package var seq: Int
        /// When it was sealed, milliseconds since the epoch.
        package var sealed_ms: Int64
        /// ``Manifest/nativeFormat`` or the name of a mapping.
        package var format: String
        /// The name of its file, without the folder.
        package var file: String
        /// Whether it is the writer's last segment.
        package var end: Bool
        /// Whether a shipper sealed it for a dead writer.
        package var adopted: Bool
        /// Whether its writer replays old events.
        package var replay: Bool

        package init(
            writer: String, seq: Int, sealed_ms: Int64, format: String = Manifest.nativeFormat, file: String,
            end: Bool = false, adopted: Bool = false, replay: Bool = false
        ) {
            self.writer = writer
            self.seq = seq
            self.sealed_ms = sealed_ms
            self.format = format
            self.file = file
            self.end = end
            self.adopted = adopted
            self.replay = replay
        }
    }

    private struct CapReached: Error {}

    private let host: String
    private var object: [UInt8] = []
    private var segments: [Manifest.Segment] = []
    /// One for all segments: to set one up costs as much as to compress some hundred KiB. Safe, as nobody can have a copy of
    /// the builder.
    private nonisolated(unsafe) var encoder: ZstdEncoder?

    /// An empty object for a host's segments.
    ///
    /// - Parameters:
    ///   - host: the host's name.
    ///   - expectedBytes: room to set aside for the object, so that it is not copied as it grows; memory that is never
    ///     written to is never used.
    package init(host: String, expectedBytes: Int = 0) {
        self.host = host
        object.reserveCapacity(expectedBytes)
    }

    /// The size of the object so far, without its manifest, in bytes.
    package var compressedBytes: Int { object.count }

    /// How many segments were added.
    package var count: Int { segments.count }

    /// What was added, in order.
    package var added: [Manifest.Segment] { segments }

    /// Adds one segment; the object stays as it was when this throws.
    ///
    /// - Parameters:
    ///   - identity: who it is. Segments are to be added in the order of writer and number.
    ///   - rawBytes: its exact size, which the frame's header announces.
    ///   - sha256: what the SHA-256 of the pieces must be, hexadecimal; nil for anything.
    ///   - lines: how many lines it must have; nil for any number.
    ///   - cap: the size that the object may come to, bytes; a first segment may take it beyond that.
    ///   - read: calls what it is given with one piece of the segment after another.
    /// - Returns: the manifest's entry; nil when the object would become larger than `cap`.
    /// - Throws: ``ObjectFormatError`` with `changedSegment` when the pieces are not `rawBytes` long or have another
    ///   hash, with `damagedSegment` when they have another number of lines; what `read` throws.
    @discardableResult
    package mutating func add(
        _ identity: Identity, rawBytes: Int, sha256: String? = nil, lines expectedLines: Int? = nil, cap: Int = .max,
        read: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws -> Manifest.Segment? {
        let offset = object.count
        let cap = segments.isEmpty ? Int.max : cap
        do {
            let encoder = try encoder(for: rawBytes)
            var hash = SHA256()
            var lines = LineCount()
            var size = 0
            try read { piece in
                size += piece.count
                guard size <= rawBytes else { throw BundleBuilder.changed(identity, rawBytes) }
                hash.update(piece)
                lines.update(piece)
                try encoder.append(piece, into: &object)
                if object.count > cap { throw CapReached() }
            }
            guard size == rawBytes else { throw BundleBuilder.changed(identity, rawBytes) }
            try encoder.finish(into: &object)
            let rawSHA256 = hex(hash.finalize())
            guard rawSHA256 == sha256 ?? rawSHA256 else { throw BundleBuilder.changed(identity, rawBytes) }
            if let expectedLines, lines.total != expectedLines {
                throw ObjectFormatError(
                    .damagedSegment,
                    "\(identity.file) holds \(lines.total) lines and its name says \(expectedLines): it was damaged "
                        + "after it was sealed")
            }
            let segment = Manifest.Segment(
                writer: identity.writer, seq: identity.seq, sealed_ms: identity.sealed_ms, lines: lines.total,
                rawBytes: size, rawSHA256: rawSHA256, offset: offset,
                compressedBytes: object.count - offset, format: identity.format, file: identity.file,
                end: identity.end, adopted: identity.adopted, replay: identity.replay)
            segments.append(segment)
            return segment
        } catch is CapReached {
            object.removeSubrange(offset...)
            return nil
        } catch {
            object.removeSubrange(offset...)
            throw error
        }
    }

    private mutating func encoder(for rawBytes: Int) throws(CompressionError) -> ZstdEncoder {
        if let encoder {
            try encoder.start(contentSize: rawBytes)
            return encoder
        }
        let made = try ZstdEncoder(level: BundleBuilder.level, contentSize: rawBytes)
        encoder = made
        return made
    }

    /// Adds one segment that is in memory.
    @discardableResult
    package mutating func add(_ identity: Identity, bytes: [UInt8]) throws -> Manifest.Segment? {
        try add(identity, rawBytes: bytes.count) { sink in try bytes.withUnsafeBytes { try sink($0) } }
    }

    /// Appends the manifest and hashes the object; the builder is empty then.
    package mutating func finish() -> Bundle {
        let manifest = Manifest(host: host, segments: segments)
        // Taken out, so that the bytes are never held twice.
        var object: [UInt8] = []
        swap(&object, &self.object)
        segments = []
        encoder = nil
        ObjectTrailer.append(manifest, to: &object)
        return Bundle(object: object, manifest: manifest, sha256: SHA256.hash(object))
    }

    private static func changed(_ identity: Identity, _ rawBytes: Int) -> ObjectFormatError {
        ObjectFormatError(
            .changedSegment,
            "\(identity.file) does not have the \(rawBytes) bytes it had when it was listed: finished files must not "
                + "be changed; it is read again on the next scan")
    }
}
