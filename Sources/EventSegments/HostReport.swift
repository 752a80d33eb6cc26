package import EventModel

/// What a host's shipper says of itself every 30 seconds, in `<prefix>/hosts/<host>.json`.
///
/// The loader keeps the counts, which only grow: a writer that vanishes from the reports without a proven end is lost,
/// a host whose report grows old is silent.
package struct HostReport: Equatable, Sendable {
    /// The newest version of the report that this code writes and reads.
    package static let currentVersion = 1

    /// Whether the shipper runs.
    package enum State: String, Sendable {
        /// It runs, or it stopped while something was left in the spool.
        case running
        /// It stopped with an empty spool.
        case ended
    }

    /// What is sealed or open in the spool and not proven in the bucket.
    package struct Unshipped: Equatable, Sendable {
        /// Segments, the open ones included.
        package var segments = 0
        /// Lines of the sealed segments.
        package var lines = 0
        /// Bytes on disk, the open segments included.
        package var bytes = 0
        /// When the oldest of it was sealed, or began if it is open, milliseconds since the epoch; nil for nothing.
        package var oldest_ms: Int64?

        package init(segments: Int = 0, lines: Int = 0, bytes: Int = 0, oldest_ms: Int64? = nil) {
            self.segments = segments
            self.lines = lines
            self.bytes = bytes
            self.oldest_ms = oldest_ms
        }
    }

    /// A writer that has not ended, or whose end is not proven.
    package struct Writer: Equatable, Sendable {
        /// Whether the writer may write more.
        package enum State: String, Sendable {
            /// Its process lives, or its death is not yet certain.
            case open
            /// Its last segment is sealed.
            case ended
        }

        /// The writer's unique name.
        package var writer: String
        /// Whether it may write more.
        package var state: State
        /// Its counts, as far as known; for foreign logs what was found in the files.
        package var counts: WriterCounts
        /// The number of its next segment.
        package var nextSeq: Int
        /// The numbers of its segments in the spool, ascending, the open one included.
        package var spoolSegments: [Int]
        /// When the counts were last changed, milliseconds since the epoch.
        package var updated_ms: Int64

        package init(
            writer: String, state: State, counts: WriterCounts, nextSeq: Int, spoolSegments: [Int], updated_ms: Int64
        ) {
            self.writer = writer
            self.state = state
            self.counts = counts
            self.nextSeq = nextSeq
            self.spoolSegments = spoolSegments
            self.updated_ms = updated_ms
        }
    }

    /// The host's name.
    package var host: String
    /// When the report was made, milliseconds since the epoch by the host's clock.
    package var time_ms: Int64
    /// Whether the shipper runs.
    package var state: State
    /// The version of the shipper.
    package var shipperVersion: String
    /// When the shipper began, milliseconds since the epoch.
    package var started_ms: Int64
    /// What is waiting.
    package var unshipped: Unshipped
    /// When an object was last proven, milliseconds since the epoch; nil for never.
    package var lastUpload_ms: Int64?
    /// The last error that is not mended; nil for none.
    package var lastError: String?
    /// Every writer that has not ended and been proven, by name.
    package var writers: [Writer]
    /// Whether a spool directory could not be read since the shipper began: its writers are missing here, and have not
    /// ended for that; and what it holds is not counted as unshipped.
    package var isPartial: Bool

    package init(
        host: String, time_ms: Int64, state: State, shipperVersion: String, started_ms: Int64, unshipped: Unshipped,
        lastUpload_ms: Int64?, lastError: String?, writers: [Writer], isPartial: Bool = false
    ) {
        self.host = host
        self.time_ms = time_ms
        self.state = state
        self.shipperVersion = shipperVersion
        self.started_ms = started_ms
        self.unshipped = unshipped
        self.lastUpload_ms = lastUpload_ms
        self.lastError = lastError
        self.writers = writers
        self.isPartial = isPartial
    }
}
