public import EventModel

/// Logs a model server's predictions, outcomes, feedback, resources and deployments to files that the shipper finds.
///
///     let log = try EventWriter(directory: "/var/spool/nadi", service: "iris")
///     log.append(.prediction(
///         model: "iris", version: "1.0", prediction: "setosa", score: 0.98, features: ["petal_length": 1.4],
///         latency_seconds: 0.003))
///     log.close()
///
/// Any thread may call any method. `append` copies the event's line into memory and returns, in under a microsecond;
/// a thread of the writer's own hands it to the kernel within 100 ms, and at once on ``flush()`` (both wait for a disk
/// that hangs, or that takes its time to synchronise a segment being sealed). From then on no crash of the process loses
/// it; from the sealing of its segment (by default after 20 s at the latest) no power cut either.
///
/// A forked child becomes a writer of its own when it first logs. A process that ends without ``close()`` loses what
/// was appended in its last 100 ms, and its counts are a lower bound in the audit.
public final class EventWriter: Sendable {
    private let core: WriterCore

    /// Opens a writer with the defaults.
    ///
    /// - Throws: ``EventWriterError`` where the directory is absent, not writable or on a network file system, or a
    ///   setting is out of range. A full disk is no error: the writer starts when there is room, and counts meanwhile.
    public convenience init(directory: String, service: String, environment: String? = nil) throws(EventWriterError) {
        try self.init(Configuration(directory: directory, service: service, environment: environment))
    }

    /// Opens a writer.
    ///
    /// - Throws: As ``init(directory:service:environment:)``.
    public init(_ configuration: Configuration) throws(EventWriterError) {
        try configuration.check()
        var configuration = configuration
        configuration.directory = SpoolDirectory.absolute(configuration.directory)
        try SpoolDirectory.check(configuration.directory)
        core = WriterCore(configuration)
        let code = core.start()
        if code != 0 { throw EventWriterError(.thread, path: configuration.directory, errno: code) }
        core.waitForFirstRound(1000)
    }

    deinit { _ = core.close() }

    // MARK: - Append

    /// Logs a prediction and returns its id, the key for its outcome (unless it has a `prediction_id` of its own); nil
    /// where it was dropped.
    ///
    /// `more` writes further fields straight into the line.
    @discardableResult
    public func append(_ event: Prediction, _ more: (inout EventFields) -> Void = { _ in }) -> UUIDv7? {
        var start = begin("{\"schema\":1,\"type\":\"prediction\",\"id\":\"", event.context.time_ms, event.context.id)
        event.write(to: &start.fields)
        more(&start.fields)
        return end(start)
    }

    /// Logs an outcome; returns its id, or nil where it was dropped.
    @discardableResult
    public func append(_ event: Outcome, _ more: (inout EventFields) -> Void = { _ in }) -> UUIDv7? {
        var start = begin("{\"schema\":1,\"type\":\"outcome\",\"id\":\"", event.context.time_ms, event.context.id)
        event.write(to: &start.fields)
        more(&start.fields)
        return end(start)
    }

    /// Logs feedback; returns its id, or nil where it was dropped.
    @discardableResult
    public func append(_ event: Feedback, _ more: (inout EventFields) -> Void = { _ in }) -> UUIDv7? {
        var start = begin("{\"schema\":1,\"type\":\"feedback\",\"id\":\"", event.context.time_ms, event.context.id)
        event.write(to: &start.fields)
        more(&start.fields)
        return end(start)
    }

    /// Logs what the process used; returns the event's id, or nil where it was dropped.
    @discardableResult
    public func append(_ event: ResourceUsage, _ more: (inout EventFields) -> Void = { _ in }) -> UUIDv7? {
        var start = begin("{\"schema\":1,\"type\":\"resource\",\"id\":\"", event.context.time_ms, event.context.id)
        event.write(to: &start.fields)
        more(&start.fields)
        return end(start)
    }

    /// Logs a deployment; returns its id, or nil where it was dropped.
    @discardableResult
    public func append(_ event: Deployment, _ more: (inout EventFields) -> Void = { _ in }) -> UUIDv7? {
        var start = begin("{\"schema\":1,\"type\":\"deployment\",\"id\":\"", event.context.time_ms, event.context.id)
        event.write(to: &start.fields)
        more(&start.fields)
        return end(start)
    }

    /// An event that has been begun in this thread's memory.
    private struct Start: ~Copyable {
        var fields: EventFields
        let id: UUIDv7
        let scratch: ThreadScratch
    }

    /// Writes the fields that every event has.
    @inline(__always)
    private func begin(_ head: StaticString, _ time_ms: Int64?, _ ownID: String?) -> Start {
        core.ensureStarted()
        let scratch = ThreadScratch.current
        if _slowPath(scratch.writer != core.number) { core.begin(scratch) }
        let time_ms = time_ms ?? core.clock.wall_ms
        let id = scratch.makeID(time_ms: time_ms)
        var line = scratch.takeLine()
        line.append(head)
        if let ownID {
            // The head ends with the opening quote of the id.
            line.appendAfterQuote(name: ownID)
        } else {
            line.append(id)
            line.append("\"")
        }
        line.append(",\"time\":\"")
        line.append(time_ms: time_ms)
        line.append("\"")
        core.commonFields.withUnsafeBytes { line.append($0) }
        return Start(fields: EventFields(line: line), id: id, scratch: scratch)
    }

    /// Puts the line into the buffer.
    @inline(__always)
    private func end(_ start: consuming Start) -> UUIDv7? {
        let id = start.id
        let scratch = start.scratch
        var line = start.fields.takeLine()
        let taken: Bool
        if _slowPath(line.isInvalid) {
            core.drop(\.invalid)
            taken = false
        } else if _slowPath(!line.end()) {
            core.drop(\.too_large)
            taken = false
        } else {
            taken = core.enqueue(line.bytes, nonFinite: line.nonFinite)
        }
        scratch.giveBack(line)
        return taken ? id : nil
    }

    // MARK: - Flush and close

    /// Waits until everything appended before this call has been handed to the kernel.
    ///
    /// Blocks the calling thread, as long as the disk takes.
    ///
    /// - Returns: Whether all of it was written. False where some was dropped since this thread last flushed, or the
    ///   disk does not take it now. So append and flush on one thread: a task that suspends between them may miss what
    ///   another's flush was told.
    @discardableResult
    public func flush() -> Bool { core.flush() }

    /// Writes what is buffered, seals the last segment, marks it as the writer's end and removes the lock file.
    ///
    /// Events appended later are dropped and counted as invalid. Closing again changes nothing.
    ///
    /// - Returns: Whether all that is done. False where the disk did not let it within the configured time; the shipper
    ///   then adopts what is there.
    @discardableResult
    public func close() -> Bool { core.close() }

    // MARK: - Status

    /// What a service may want to show of its own logging.
    public struct Status: Sendable {
        /// Lines written and dropped.
        ///
        /// Counts every line, also those that the writer itself writes.
        public let counts: WriterCounts
        /// Events in memory, not yet written.
        public let waiting: Int
        /// Numbers that were not finite and became `null`.
        public let nonFinite: Int
        /// The last operation that failed, in words; nil where none has.
        public let failure: String?
        /// The writer's name, the first part of its files' names; nil before it has begun.
        public let writer: String?
    }

    /// The state as of the writing thread's last round.
    public var status: Status { core.status }
}
