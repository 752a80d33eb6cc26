/// Which segment: unique among all that wait on one host.
package struct SegmentID: Hashable, Sendable, Comparable {
    /// The writer's unique name.
    package let writer: String
    /// The segment's number, from 0.
    package let seq: Int
    /// The file it lies in, with its folder; tells two files apart that claim the same number.
    package let path: String

    package init(writer: String, seq: Int, path: String) {
        self.writer = writer
        self.seq = seq
        self.path = path
    }

    /// The order of segments in an object: by writer, then number.
    package static func < (left: SegmentID, right: SegmentID) -> Bool {
        if left.writer != right.writer { return left.writer < right.writer }
        return left.seq != right.seq ? left.seq < right.seq : left.path < right.path
    }
}

/// A segment that a scan found ready to be shipped.
package struct Candidate: Equatable, Sendable {
    /// Which segment.
    package var id: SegmentID
    /// The stream it counts for in metrics: `native`, or a configured stream's name.
    package var stream: String
    /// Its size before compression, in bytes.
    package var rawBytes: Int
    /// Its lines, as its name or its plan says.
    package var lines: Int
    /// When it was sealed, milliseconds since the epoch.
    package var sealed_ms: Int64
    /// Whether its file may go once it is proven; see ``SpoolScan``.
    package var isRetirable: Bool

    package init(
        id: SegmentID, stream: String = Candidate.nativeStream, rawBytes: Int, lines: Int, sealed_ms: Int64,
        isRetirable: Bool = true
    ) {
        self.id = id
        self.stream = stream
        self.rawBytes = rawBytes
        self.lines = lines
        self.sealed_ms = sealed_ms
        self.isRetirable = isRetirable
    }

    /// The stream of segments that Nadi's own writers made.
    package static let nativeStream = "native"
}
