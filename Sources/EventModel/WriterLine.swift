/// The last line of every segment: what its writer has counted up to and with this very line.
///
/// The lines of segments 0 to k add up to `written` of segment k's `writer` line. An *adopted* line was written by the
/// shipper for a writer that died: its counts are the lock file's, raised to the lines that were found.
package struct WriterLine: Sendable, Hashable {
    /// When the segment was sealed, in milliseconds since the epoch.
    package var time_ms: Int64
    /// The writer's name.
    package var writer: String
    /// The service's name.
    package var service: String
    /// Number of the segment that this line ends.
    package var segment: Int
    /// Cumulative counts, this line included.
    package var counts: WriterCounts
    /// Whether this is the writer's last segment.
    package var end: Bool
    /// Whether the shipper wrote this line for a dead writer.
    package var adopted: Bool
    /// Adopted only: lines found in the writer's other segments that were adopted with this one.
    package var found: Int?
    /// Whether the writer replays old events, so that the lower bound of event times does not hold.
    package var replay: Bool

    package init(
        time_ms: Int64, writer: String, service: String, segment: Int, counts: WriterCounts, end: Bool,
        adopted: Bool = false, found: Int? = nil, replay: Bool = false
    ) {
        self.time_ms = time_ms
        self.writer = writer
        self.service = service
        self.segment = segment
        self.counts = counts
        self.end = end
        self.adopted = adopted
        self.found = found
        self.replay = replay
    }

    /// The line with its newline.
    package func encoded() -> [UInt8] {
        var text = JSONText()
        text.field("schema", EventLimits.schemaVersion)
        text.field("type", "writer")
        text.field("time", Timestamp.format(time_ms))
        text.field("writer", writer)
        text.field("service", service)
        text.field("segment", segment)
        counts.appendFields(to: &text)
        text.field("end", end)
        text.field("adopted", adopted)
        if let found { text.field("found", found) }
        if replay { text.field("replay", true) }
        return text.closed + [0x0A]
    }

    /// Reads a line, with or without its newline; nil where it is no `writer` line.
    package init?(_ bytes: some Collection<UInt8>) {
        guard let value = JSONValue.parse(prefixOf: bytes), value["schema"]?.integer == 1,
            value["type"]?.string == "writer", let time = value["time"]?.string, let time_ms = Timestamp.parse(time),
            let writer = value["writer"]?.string, let segment = value["segment"]?.count,
            let counts = WriterCounts(value), let end = value["end"]?.bool
        else { return nil }
        self.init(
            time_ms: time_ms, writer: writer, service: value["service"]?.string ?? "", segment: segment,
            counts: counts, end: end, adopted: value["adopted"]?.bool ?? false, found: value["found"]?.count,
            replay: value["replay"]?.bool ?? false)
    }
}
