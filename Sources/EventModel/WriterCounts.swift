/// What a writer has done since it began: `appended` is always `written + dropped`.
///
/// Lines of every kind count, the library's own included: `writer` lines, fragments that a short write left behind and
/// the newlines that end them.
public struct WriterCounts: Sendable, Hashable {
    /// Lines begun.
    public var appended: Int
    /// Lines for which `write(2)` has returned.
    public var written: Int
    /// Lines given up, by reason.
    public var dropped: DropCounts

    /// Counts of a writer; all 0 where nothing is said.
    public init(appended: Int = 0, written: Int = 0, dropped: DropCounts = DropCounts()) {
        self.appended = appended
        self.written = written
        self.dropped = dropped
    }
}

/// Lines that a writer gave up, by reason.
public struct DropCounts: Sendable, Hashable {
    /// The buffer was full: the disk is slower than the service.
    public var buffer_full: Int
    /// The disk, or the quota, was full.
    public var disk_full: Int
    /// Another error of the file system.
    public var io_error: Int
    /// The line was longer than 1 MiB.
    public var too_large: Int
    /// The event lacked what its type requires, or came after `close`.
    public var invalid: Int

    /// Drops by reason; 0 where nothing is said.
    public init(
        buffer_full: Int = 0, disk_full: Int = 0, io_error: Int = 0, too_large: Int = 0, invalid: Int = 0
    ) {
        self.buffer_full = buffer_full
        self.disk_full = disk_full
        self.io_error = io_error
        self.too_large = too_large
        self.invalid = invalid
    }

    /// All reasons together.
    ///
    /// Saturates, so that counts read from a damaged record cannot trap.
    public var total: Int {
        entries.reduce(0) { sum, entry in
            let (value, overflowed) = sum.addingReportingOverflow(entry.count)
            return overflowed ? .max : value
        }
    }

    /// The reasons by the names they have in files, in SQL and in the documentation.
    package var entries: [(name: String, count: Int)] {
        [
            ("buffer_full", buffer_full), ("disk_full", disk_full), ("io_error", io_error),
            ("too_large", too_large), ("invalid", invalid),
        ]
    }
}

extension WriterCounts {
    /// Appends `"appended":…,"written":…,"dropped":{…}`.
    package func appendFields(to text: inout JSONText) {
        text.field("appended", appended)
        text.field("written", written)
        text.object("dropped") { inner in
            for (name, count) in dropped.entries { inner.field(name, count) }
        }
    }

    /// The counts among an object's fields; nil where one is missing, negative or not an integer.
    package init?(_ value: JSONValue) {
        guard let appended = value["appended"]?.count, let written = value["written"]?.count,
            let dropped = value["dropped"], let bufferFull = dropped["buffer_full"]?.count,
            let diskFull = dropped["disk_full"]?.count, let ioError = dropped["io_error"]?.count,
            let tooLarge = dropped["too_large"]?.count, let invalid = dropped["invalid"]?.count
        else { return nil }
        self.init(
            appended: appended, written: written,
            dropped: DropCounts(
                buffer_full: bufferFull, disk_full: diskFull, io_error: ioError, too_large: tooLarge, invalid: invalid))
    }
}
