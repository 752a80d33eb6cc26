package import EventModel
package import EventSegments

/// Why a line is rejected: the fixed list that SQL and documentation use.
package enum RejectReason: String, CaseIterable, Sendable, Comparable {
    case invalid_utf8, invalid_json, not_an_object, too_long, too_deep, torn_tail, unknown_schema, unknown_type
    case missing_field, wrong_type, invalid_time, time_out_of_range, invalid_value, empty_line

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A rejected line, for people: its place and why.
package struct RejectLine: Hashable, Sendable {
    /// How many lines are kept for each segment and reason.
    package static let kept = 20
    /// How many lines are kept for each reason of a segment, by its place in its object's manifest.
    ///
    /// An object of very many segments keeps few lines of each, and none of the last, which bounds memory and tables.
    package static func kept(inSegmentAt place: Int) -> Int { place < 100 ? kept : place < 2000 ? 1 : 0 }

    /// How many bytes of a line are kept.
    package static let excerptBytes = 200

    /// The line's number in the segment, from 1.
    package var line: Int
    package var reason: RejectReason
    /// Such as `latency_seconds is a string`.
    package var detail: String
    /// The line's first 200 bytes.
    package var excerpt: [UInt8]

    package init(line: Int, reason: RejectReason, detail: String, excerpt: [UInt8]) {
        self.line = line
        self.reason = reason
        self.detail = detail
        self.excerpt = excerpt
    }
}

/// What became of one segment of an object.
package struct SegmentResult: Equatable, Sendable {
    package enum State: String, Sendable {
        /// Read; each of its lines was aggregated or rejected.
        case loaded
        /// Not read: the configuration has no mapping of the name that the manifest gives.
        case pending
    }

    /// The manifest's entry.
    package var segment: Manifest.Segment
    package var state: State
    /// The mapping that was applied: SHA-256 over its canonical form, 32 bytes; nil for native segments.
    package var mappingSHA256: [UInt8]?
    /// Lines that count, by hour and type.
    package var hours: [HourType: Int64]
    /// Rejected lines, all of them.
    package var rejects: [RejectReason: Int64]
    /// The first rejected lines of each reason, in order of line.
    package var rejectLines: [RejectLine]
    /// The last `writer` line; nil where there is none (foreign logs, segments of dead writers).
    package var writerLine: WriterLine?

    /// Nothing read yet.
    package init(segment: Manifest.Segment, state: State = .loaded, mappingSHA256: [UInt8]? = nil) {
        self.segment = segment
        self.state = state
        self.mappingSHA256 = mappingSHA256
        hours = [:]
        rejects = [:]
        rejectLines = []
        writerLine = nil
    }

    /// Lines that an aggregate or a row answers for, `writer` lines included.
    package var loadedLines: Int64 { hours.values.reduce(0, +) }
    /// Lines that were rejected.
    package var rejectedLines: Int64 { rejects.values.reduce(0, +) }
}
