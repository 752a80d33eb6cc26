import EventModel

/// What a writer does next and what it has counted: a pure value.
///
/// Results of file operations go in, the next operation comes out; no clock, no files. Every crash, full disk and retry
/// is a value test.
///
///     unborn --createLock--> between --openSegment--> open --writeLine--> sealing --seal--> between ... --> ended
///
/// Counting: a line counts as written when `write(2)` has returned for it. The start of a line that was cut off by a
/// full disk (a *fragment*) is a line of its own; the next thing written begins with a newline, which ends it. So the
/// lines of all segments always add up to `written`.
struct SegmentMachine {
    /// What does not change in a writer's life.
    struct Settings {
        var host: String
        var service: String
        var pid: Int
        var replay: Bool
        /// Keep lines for which there is no room and try again, instead of dropping them.
        var keepsWhenFull: Bool
        var sealBytes = EventLimits.sealBytes
        var sealAge_ms = EventLimits.sealAge_ms
        /// How often counts go to the lock file.
        var record_ms: Int64 = 1000
        /// Pause after a failed operation.
        var retry_ms: Int64 = 1000
        /// Longest pause before a new writer where `fsync` keeps failing: each leaves a copy in the spool.
        var doubt_ms: Int64 = 60_000
    }

    /// Where the writer stands.
    enum Phase: Equatable {
        /// No lock file yet.
        case unborn
        /// Between two segments.
        case between
        /// A segment is open.
        case open
        /// The `writer` line stands in the open segment, which must be synchronised and renamed.
        case sealing(SegmentName)
        /// The end segment is sealed; the lock file goes after this step.
        case leaving(recorded: Bool)
        /// Nothing is left to do.
        case ended
    }

    /// The open segment.
    struct Segment: Equatable {
        var bytes = 0
        var lines = 0
        /// Bytes before the `writer` line: what must be written again if the file gets lost.
        var eventBytes = 0
        /// The last byte is not a newline.
        var isTorn = false
        /// When it was opened, on the steady clock.
        var opened_ms: Int64 = 0
        /// The same, in milliseconds since the epoch.
        var openedWall_ms: Int64 = 0

        /// Loaders take events up to 10 minutes after the seal: a clock that went back by less does no harm.
        static let harmless_ms: Int64 = 5 * 60_000
        /// A clock that went back by more was wrong before, and so are the events' times.
        static let nonsense_ms: Int64 = 86_400_000

        /// The time to seal with: now, or, where the clock was set back since the segment was opened, what that clock
        /// would say by now. The events' times are of that clock; sealed with the other they would lie in the future.
        func sealTime(_ now: Now) -> Int64 {
            let kept_ms = openedWall_ms + (now.steady_ms - opened_ms)
            return (Self.harmless_ms...Self.nonsense_ms).contains(kept_ms - now.wall_ms) ? kept_ms : now.wall_ms
        }
    }

    let settings: Settings
    private(set) var name: WriterName
    private(set) var phase = Phase.unborn
    private(set) var seq = 0
    private(set) var segment = Segment()
    private(set) var counts = WriterCounts()
    private(set) var started_ms: Int64

    private var recorded = WriterCounts()
    private var nextRecord_ms: Int64 = .min
    private var mustRecord = false
    /// No operation of the kind that failed before this time, on the steady clock.
    private var retryOpen_ms: Int64 = .min
    private var retryWrite_ms: Int64 = .min
    private var retrySeal_ms: Int64 = .min
    private var dropReason: Int32?
    private var isLost = false
    /// The files are given up because a `fsync` failed.
    private(set) var isInDoubt = false
    /// Failures of `fsync` since the last good seal, over this writer and those before it.
    private var doubts = 0

    init(name: WriterName, started_ms: Int64, settings: Settings) {
        self.name = name
        self.started_ms = started_ms
        self.settings = settings
    }

    /// Counts lines that were dropped before they reached the machine.
    mutating func drop(_ more: DropCounts) {
        counts.dropped.buffer_full += more.buffer_full
        counts.dropped.disk_full += more.disk_full
        counts.dropped.io_error += more.io_error
        counts.dropped.too_large += more.too_large
        counts.dropped.invalid += more.invalid
        counts.appended += more.total
    }

    // MARK: - The next step

    /// What to do now.
    ///
    /// Ask again after each result, until it says ``Action/rest(until_ms:)`` or ``Action/finished``.
    func next(_ now: Now, hasLines: Bool, isClosing: Bool) -> Action {
        if isLost { return .becomeNew(keep: segment.eventBytes) }
        if dropReason != nil { return .dropWaiting }
        switch phase {
        case .unborn:
            guard now.steady_ms >= retryOpen_ms else { return .rest(until_ms: retryOpen_ms) }
            return .createLock(name, record(now, closed: false))
        case .between:
            if hasLines || isClosing {
                guard now.steady_ms >= retryOpen_ms else { return rest(now, or: retryOpen_ms) }
                return .openSegment(openName)
            }
            return rest(now, or: nil)
        case .open:
            return nextWhileOpen(now, hasLines: hasLines, isClosing: isClosing)
        case .sealing(let target):
            guard now.steady_ms >= retrySeal_ms else { return rest(now, or: retrySeal_ms) }
            return .seal(openName, target)
        case .leaving(let isRecorded):
            return isRecorded ? .removeLock(name) : .record(record(now, closed: true))
        case .ended:
            return .finished
        }
    }

    private func nextWhileOpen(_ now: Now, hasLines: Bool, isClosing: Bool) -> Action {
        let due_ms = segment.opened_ms + settings.sealAge_ms
        let mustSeal =
            segment.bytes >= settings.sealBytes || (segment.bytes > 0 && now.steady_ms >= due_ms)
            || (isClosing && !hasLines)
        if mustSeal, now.steady_ms >= retrySeal_ms {
            return .writeLine(writerLine(now, end: isClosing && !hasLines), newlineFirst: segment.isTorn)
        }
        if hasLines {
            // Under load the writer never rests; its counts must be kept all the same.
            if isRecordDue(now) { return .record(record(now, closed: false)) }
            guard now.steady_ms >= retryWrite_ms else { return rest(now, or: retryWrite_ms) }
            let room = settings.sealBytes - segment.bytes
            return .write(limit: room > 0 ? room : settings.sealBytes, newlineFirst: segment.isTorn)
        }
        return rest(now, or: segment.bytes > 0 || isClosing ? max(due_ms, retrySeal_ms) : nil)
    }

    /// Nothing to do before `time_ms` but to keep the counts.
    private func rest(_ now: Now, or time_ms: Int64?) -> Action {
        if mustRecord || isRecordDue(now) { return .record(record(now, closed: false)) }
        let recordTime_ms = counts != recorded ? nextRecord_ms : nil
        guard let time_ms else { return .rest(until_ms: recordTime_ms) }
        return .rest(until_ms: min(time_ms, recordTime_ms ?? time_ms))
    }

    private func isRecordDue(_ now: Now) -> Bool { counts != recorded && now.steady_ms >= nextRecord_ms }

    var openName: SegmentName { SegmentName(writer: name, seq: seq) }

    /// The counts with the line that carries them.
    func writerLine(_ now: Now, end: Bool) -> WriterLine {
        var counts = counts
        counts.appended += 1
        counts.written += 1
        return WriterLine(
            time_ms: phase == .open ? segment.sealTime(now) : now.wall_ms, writer: name.text,
            service: settings.service, segment: seq, counts: counts, end: end, replay: settings.replay)
    }

    private func record(_ now: Now, closed: Bool) -> LockRecord { record(now.wall_ms, closed: closed) }

    /// The lock file's content at this time, in milliseconds since the epoch.
    func record(_ wall_ms: Int64, closed: Bool) -> LockRecord {
        LockRecord(
            writer: name.text, host: settings.host, service: settings.service, pid: settings.pid,
            started_ms: started_ms, updated_ms: wall_ms, seq: seq, counts: counts, closed: closed)
    }
}

// MARK: - Results

extension SegmentMachine {
    /// Takes the result of the action that ``next(_:hasLines:isClosing:)`` named.
    mutating func apply(_ result: Result, of action: Action, _ now: Now) {
        if result == .inDoubt {
            isLost = true
            isInDoubt = true
            return
        }
        if case .gone = result {
            // Once all is sealed there is nothing left to save.
            if case .leaving = phase { phase = .ended } else { isLost = true }
            return
        }
        switch action {
        case .createLock: created(result, now)
        case .openSegment: opened(result, now)
        case .write: wrote(result, now)
        case .writeLine(let line, _): wroteLine(result, line, now)
        case .seal(_, let target): sealed(result, target, now)
        case .record(let record): tookRecord(result, record, now)
        case .removeLock: phase = .ended
        case .dropWaiting: dropped(result)
        case .becomeNew: becameNew(result, now)
        case .rest, .finished: break
        }
    }

    private mutating func created(_ result: Result, _ now: Now) {
        guard case .done = result else {
            retryOpen_ms = now.steady_ms + settings.retry_ms
            return
        }
        phase = .between
        retryOpen_ms = .min
        recorded = counts
        nextRecord_ms = now.steady_ms + settings.record_ms
    }

    private mutating func opened(_ result: Result, _ now: Now) {
        switch result {
        case .done:
            phase = .open
            segment = Segment(opened_ms: now.steady_ms, openedWall_ms: now.wall_ms)
            retrySeal_ms = .min
        case .failed(let code):
            failed(code, now)
            retryOpen_ms = now.steady_ms + settings.retry_ms
        default:
            break
        }
    }

    private mutating func wrote(_ result: Result, _ now: Now) {
        guard case .wrote(let write) = result else { return }
        count(write)
        segment.eventBytes = segment.bytes
        if write.code != 0 { failed(write.code, now) }
    }

    private mutating func wroteLine(_ result: Result, _ line: WriterLine, _ now: Now) {
        guard case .wrote(let write) = result else { return }
        let before = segment.eventBytes
        count(write)
        if write.code == 0, write.lines == 1 {
            segment.eventBytes = before
            phase = .sealing(
                SegmentName(writer: name, seq: seq, sealed_ms: line.time_ms, lines: segment.lines, isEnd: line.end))
        } else {
            retrySeal_ms = now.steady_ms + settings.retry_ms
        }
    }

    private mutating func sealed(_ result: Result, _ target: SegmentName, _ now: Now) {
        guard case .done = result else {
            retrySeal_ms = now.steady_ms + settings.retry_ms
            return
        }
        seq += 1
        doubts = 0
        segment = Segment()
        mustRecord = true
        phase = target.isEnd ? .leaving(recorded: false) : .between
    }

    private mutating func tookRecord(_ result: Result, _ record: LockRecord, _ now: Now) {
        // A failed write is not repeated before the next second: the counts are still in memory.
        if result == .done { recorded = record.counts }
        mustRecord = false
        nextRecord_ms = now.steady_ms + settings.record_ms
        if case .leaving = phase { phase = .leaving(recorded: true) }
    }

    private mutating func dropped(_ result: Result) {
        guard case .dropped(let lines) = result, let code = dropReason else { return }
        dropReason = nil
        drop(.init(reason: code, lines: lines))
    }

    private mutating func becameNew(_ result: Result, _ now: Now) {
        guard case .renamed(let name, let isTold) = result else { return }
        if isTold { recorded = counts }
        // Drops that the old lock file never told of would be forgotten with it.
        let untold = DropCounts(
            buffer_full: counts.dropped.buffer_full - recorded.dropped.buffer_full,
            disk_full: counts.dropped.disk_full - recorded.dropped.disk_full,
            io_error: counts.dropped.io_error - recorded.dropped.io_error,
            too_large: counts.dropped.too_large - recorded.dropped.too_large,
            invalid: counts.dropped.invalid - recorded.dropped.invalid)
        let doubts = isInDoubt ? doubts + 1 : doubts
        let mustWait = isInDoubt && doubts > 1
        self = SegmentMachine(name: name, started_ms: now.wall_ms, settings: settings)
        self.doubts = doubts
        if mustWait {
            let pause_ms = settings.retry_ms << Int64(min(doubts - 2, 16))
            retryOpen_ms = now.steady_ms + min(pause_ms, settings.doubt_ms)
        }
        drop(untold)
    }

    /// Counts what one write left in the file.
    private mutating func count(_ write: Write) {
        if write.repaired {
            segment.bytes += 1
            segment.isTorn = false
        }
        segment.bytes += write.bytes
        var lines = write.lines
        if write.bytes > 0 {
            segment.isTorn = !write.endsLine
            if !write.endsLine { lines += 1 }
        }
        segment.lines += lines
        counts.written += lines
        counts.appended += lines
    }

    private mutating func failed(_ code: Int32, _ now: Now) {
        if settings.keepsWhenFull {
            retryWrite_ms = now.steady_ms + settings.retry_ms
        } else {
            dropReason = code
        }
    }

    /// Gives up the lines that wait: the writer closes and the disk will not take them.
    mutating func giveUp(_ code: Int32, lines: Int) {
        drop(.init(reason: code, lines: lines))
    }
}
