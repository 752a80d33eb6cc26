import EventModel

/// What an object says about itself: one entry for each segment, in the order of the frames.
///
/// It is the record that the ledger is balanced against, so it names the lines and the SHA-256 of the raw bytes of
/// each segment and the place of its frame.
package struct Manifest: Equatable, Sendable {
    /// The newest version of the manifest that this code writes and reads.
    package static let currentVersion = 1
    /// The format of segments that Nadi's own writers made; any other value is the name of a mapping.
    package static let nativeFormat = "native"

    /// One segment of the object.
    package struct Segment: Equatable, Sendable {
        /// The writer's unique name.
        package var writer: String
        /// The segment's number, from 0.
        package var seq: Int
        /// When the segment was sealed, milliseconds since the epoch; for a foreign file its modification time.
        package var sealed_ms: Int64
        /// Newlines, plus one for a last line without one.
        package var lines: Int
        /// Size of the segment before compression, in bytes.
        package var rawBytes: Int
        /// SHA-256 of the segment before compression, 64 lower-case hexadecimal digits.
        package var rawSHA256: String
        /// Where the segment's frame begins in the object, in bytes.
        package var offset: Int
        /// Size of the segment's frame, in bytes.
        package var compressedBytes: Int
        /// ``Manifest/nativeFormat``, or the name of the mapping for a foreign log.
        package var format: String
        /// The name of the file it was read from, without its folder.
        package var file: String
        /// Whether it is the writer's last segment.
        package var end: Bool
        /// Whether a shipper sealed it for a writer that had died.
        package var adopted: Bool
        /// Whether its writer replays old events, which lifts the lower bound of event times.
        package var replay: Bool

        package init(
            writer: String, seq: Int, sealed_ms: Int64, lines: Int, rawBytes: Int, rawSHA256: String, offset: Int,
            compressedBytes: Int, format: String = Manifest.nativeFormat, file: String, end: Bool = false,
            adopted: Bool = false, replay: Bool = false
        ) {
            self.writer = writer
            self.seq = seq
            self.sealed_ms = sealed_ms
            self.lines = lines
            self.rawBytes = rawBytes
            self.rawSHA256 = rawSHA256
            self.offset = offset
            self.compressedBytes = compressedBytes
            self.format = format
            self.file = file
            self.end = end
            self.adopted = adopted
            self.replay = replay
        }
    }

    /// The host whose shipper made the object.
    package var host: String
    /// The segments, ordered by writer and number.
    package var segments: [Segment]

    package init(host: String, segments: [Segment]) {
        self.host = host
        self.segments = segments
    }

    /// The lines of all segments together.
    package var lines: Int { segments.reduce(0) { $0 + $1.lines } }

    /// The manifest's JSON: compact, keys in the documented order, the same bytes for the same content.
    package func encoded() -> [UInt8] {
        var head = JSONText()
        head.field("version", Manifest.currentVersion)
        head.field("host", host)
        var bytes = head.bytes
        bytes.append(contentsOf: ",\"segments\":[".utf8)
        for (index, segment) in segments.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: segment.encoded())
        }
        bytes.append(contentsOf: "]}".utf8)
        return bytes
    }

    /// Reads a manifest's JSON.
    ///
    /// Unknown keys are ignored, so that a later version 1 may add some.
    ///
    /// - Parameter json: the bytes of one JSON object.
    /// - Throws: ``ObjectFormatError`` when it is not a manifest, or one of a newer version.
    package init(decoding json: [UInt8]) throws(ObjectFormatError) {
        // A later version may have other entries: what is wrong with them is told only after the version.
        var segments: [Segment] = []
        var number = 0
        var faulty: Int?
        let value = JSONValue.parse(prefixOf: json, list: "segments") { entry in
            if let segment = Segment(entry) { segments.append(segment) } else if faulty == nil { faulty = number }
            number += 1
            return true
        }
        guard let value, let version = value["version"]?.integer else {
            throw ObjectFormatError(.invalidManifest, "the object's manifest is not a JSON object with a version")
        }
        guard version == Manifest.currentVersion else {
            throw ObjectFormatError(
                .unknownVersion,
                "the object's manifest has version \(version), this program reads \(Manifest.currentVersion): "
                    + "update this program")
        }
        guard let host = value["host"]?.string, Manifest.isName(host), case .array = value["segments"] else {
            throw ObjectFormatError(.invalidManifest, "the object's manifest lacks its host or its segments")
        }
        if let faulty {
            throw ObjectFormatError(
                .invalidManifest,
                "entry \(faulty) of the object's manifest lacks a field or holds an impossible value")
        }
        if segments.isEmpty {
            throw ObjectFormatError(.invalidManifest, "the object's manifest names no segment")
        }
        self.init(host: host, segments: segments)
    }

    /// Whether a text can be the name of a host, a writer or a mapping: 1 to 256 bytes, none of them a control character.
    ///
    /// What is longer has no place in an index of the ledger.
    fileprivate static func isName(_ text: String) -> Bool {
        (1...256).contains(text.utf8.count) && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}

extension Manifest.Segment {
    fileprivate func encoded() -> [UInt8] {
        var json = JSONText()
        json.field("writer", writer)
        json.field("seq", seq)
        json.field("sealed_ms", sealed_ms)
        json.field("lines", lines)
        json.field("raw_bytes", rawBytes)
        json.field("raw_sha256", rawSHA256)
        json.field("offset", offset)
        json.field("compressed_bytes", compressedBytes)
        json.field("format", format)
        json.field("file", file)
        json.field("end", end)
        json.field("adopted", adopted)
        json.field("replay", replay)
        return json.closed
    }

    /// The greatest number that an entry may hold, far above any real one: sums of them never overflow.
    private static let largestNumber = 1 << 48
    /// The greatest number of a segment: a writer that seals one each second needs thirty years for it.
    private static let largestSeq = 1_000_000_000

    /// Reads one entry; nil where a field is missing or holds what no segment can have.
    fileprivate init?(_ value: JSONValue) {
        guard let writer = value["writer"]?.string, Manifest.isName(writer), let seq = value["seq"]?.count,
            seq <= Self.largestSeq, let sealed_ms = value["sealed_ms"]?.integer,
            (0...Timestamp.range.upperBound).contains(sealed_ms), let lines = value["lines"]?.count,
            let rawBytes = value["raw_bytes"]?.count, rawBytes <= Self.largestNumber, lines <= rawBytes,
            let rawSHA256 = value["raw_sha256"]?.string, rawSHA256.utf8.count == 64,
            rawSHA256.utf8.allSatisfy(\.isLowerCaseHex), let offset = value["offset"]?.count,
            let compressedBytes = value["compressed_bytes"]?.count, compressedBytes > 0,
            let format = value["format"]?.string, Manifest.isName(format), let file = value["file"]?.string,
            file.utf8.count <= 4096, let end = value["end"]?.bool, let adopted = value["adopted"]?.bool,
            let replay = value["replay"]?.bool
        else { return nil }
        // The name of a writer's own file says some of it again.
        if format == Manifest.nativeFormat, let name = SegmentName(file), !name.isOpen,
            name.seq != seq || name.sealed_ms != sealed_ms || name.isEnd != end
        {
            return nil
        }
        self.init(
            writer: writer, seq: seq, sealed_ms: sealed_ms, lines: lines, rawBytes: rawBytes, rawSHA256: rawSHA256,
            offset: offset, compressedBytes: compressedBytes, format: format, file: file,
            end: end, adopted: adopted, replay: replay)
    }
}

extension UInt8 {
    /// Whether the byte is one of `0123456789abcdef`.
    var isLowerCaseHex: Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self)
    }
}
