import EventModel
import Glibc
import Synchronization

/// What the service's threads and the writing thread share.
///
/// All state is guarded by `lock`, except what is said below.
///
/// `append` costs a short copy under the lock; files are touched by the writing thread only, outside the lock, so a disk
/// that hangs never holds up the service.
final class WriterCore: @unchecked Sendable {
    let configuration: EventWriter.Configuration
    let clock: WriterClock
    let host: String
    let descriptors = Descriptors()

    private let lock = Lock()
    /// Wakes the writing thread.
    private let wake = Condition()
    /// Wakes those who wait for the writing thread: flush, close, and append in blocking mode.
    private let progress = Condition()

    private var active: LineBuffer
    private var spare: LineBuffer
    /// Lines dropped since the writing thread last asked.
    private var dropped = DropCounts()
    private var nonFinite = 0
    private var published = WriterCounts()
    private var publishedName: WriterName?
    private var publishedFailure: String?

    /// Lines that entered the buffer; of them, lines done with; of those, lines that the disk did not take.
    private var enqueued = 0
    private var handled = 0
    private var lost = 0
    /// What threads tell this writer by, new in each process.
    private(set) var number = WriterCore.nextNumber.add(1, ordering: .relaxed).newValue
    private static let nextNumber = Atomic<Int>(0)
    /// Rounds of work asked for by flush, and begun and finished since.
    private var asked = 0
    private var served = 0
    private var isSleeping = false
    private var isClosing = false
    private var isFinished = false
    private var endedWell = false

    /// The fork generation for which the thread was made.
    ///
    /// A difference means: forked since, or there were no threads to be had.
    private let generation = Atomic<Int>(-1)
    /// The fields that all events of this process share.
    ///
    /// Changed only in `start`, once a process: before its first thread has come out of there.
    private(set) var commonFields: [UInt8] = []
    /// The fork generation that they are of.
    private var fieldsGeneration = -1
    /// No thread is asked for before this time, on the steady clock.
    private var retryThread_ms: Int64 = .min

    init(_ configuration: EventWriter.Configuration) {
        self.configuration = configuration
        clock = WriterClock(fixed: configuration.testing.wall_ms)
        host = configuration.host.map(HostName.normalise) ?? HostName.current()
        active = LineBuffer(capacity: configuration.buffer_bytes)
        spare = LineBuffer(capacity: configuration.buffer_bytes)
        ForkWatch.add(self)
    }

    deinit {
        ForkWatch.remove(self)
        active.base.deallocate()
        spare.base.deallocate()
    }

    // MARK: - Appending

    /// Makes sure that this process has its own writing thread.
    ///
    /// Nearly free where it has.
    @inline(__always)
    func ensureStarted() {
        if _slowPath(generation.load(ordering: .acquiring) != ForkWatch.generation) { _ = start() }
    }

    /// Puts a whole line into the buffer; false where it had to be dropped.
    @inline(__always)
    func enqueue(_ line: UnsafeRawBufferPointer, nonFinite: Int) -> Bool {
        lock.lock()
        if _slowPath(isClosing || !active.hasRoom(line.count)) {
            guard waitForRoom(line.count) else {
                lock.unlock()
                return false
            }
        }
        let wasLow = active.count < active.capacity / 2
        active.append(line)
        enqueued += 1
        self.nonFinite += nonFinite
        if _slowPath(isSleeping || (wasLow && active.count >= active.capacity / 2)) {
            isSleeping = false
            wake.signal()
        }
        lock.unlock()
        return true
    }

    /// With the lock held: waits for room where the configuration says so, else counts the line as dropped.
    @inline(never)
    private func waitForRoom(_ bytes: Int) -> Bool {
        if bytes > active.capacity {
            dropped.too_large += 1
            return false
        }
        while configuration.pressure == .block, !isClosing, !active.hasRoom(bytes) {
            isSleeping = false
            wake.signal()
            if startLocked() == 0 {
                progress.wait(lock, until: nil)
            } else {
                progress.wait(lock, until: retryThread_ms)
            }
        }
        if isClosing {
            dropped.invalid += 1
            return false
        }
        if active.hasRoom(bytes) { return true }
        dropped.buffer_full += 1
        return false
    }

    /// Counts a line that never reached the buffer.
    func drop(_ reason: WritableKeyPath<DropCounts, Int>) {
        lock.lock()
        dropped[keyPath: reason] += 1
        if isSleeping {
            // The lock file must tell of it within a second.
            isSleeping = false
            wake.signal()
        }
        lock.unlock()
    }

    // MARK: - Waiting

    /// Waits until everything appended before is done with, or cannot be written now.
    ///
    /// True where all was written.
    func flush() -> Bool {
        ensureStarted()
        let scratch = ThreadScratch.current
        lock.lock()
        defer { lock.unlock() }
        let target = enqueued
        if !isFinished, startLocked() == 0 {
            asked += 1
            let ticket = asked
            isSleeping = false
            wake.signal()
            while served < ticket, !isFinished { progress.wait(lock, until: nil) }
        }
        // What was appended may have been dropped before this call.
        return scratch.hasLostNothing(number, lost: lost) && handled >= target
    }

    /// Before a thread's first event: what was lost until now was none of its events.
    @inline(never)
    func begin(_ scratch: ThreadScratch) {
        scratch.begin(number) {
            lock.lock()
            defer { lock.unlock() }
            return lost
        }
    }

    /// Writes, seals and ends.
    ///
    /// True where the end segment is sealed and nothing is left open.
    func close() -> Bool {
        lock.lock()
        defer { lock.unlock() }
        if isFinished { return endedWell }
        retryThread_ms = .min
        if generation.load(ordering: .acquiring) != ForkWatch.generation, active.count == 0 || startLocked() != 0 {
            // A forked child that never logged has nothing to end; without a thread nothing can be.
            isClosing = true
            isFinished = true
            endedWell = active.count == 0
            dropped.io_error += active.lines
            return endedWell
        }
        isClosing = true
        wake.signal()
        progress.broadcast()
        let deadline_ms = clock.steady_ms + Int64(configuration.close_timeout_seconds * 1000) + 1000
        while !isFinished, clock.steady_ms < deadline_ms { progress.wait(lock, until: deadline_ms) }
        return isFinished && endedWell
    }

    /// Counts so far, lines waiting in the buffer, and what else a service may want to show.
    var status: EventWriter.Status {
        lock.lock()
        defer { lock.unlock() }
        var counts = published
        counts.dropped.buffer_full += dropped.buffer_full
        counts.dropped.too_large += dropped.too_large
        counts.dropped.invalid += dropped.invalid
        counts.appended += dropped.total
        return EventWriter.Status(
            counts: counts, waiting: enqueued - handled, nonFinite: nonFinite, failure: publishedFailure,
            writer: publishedName?.text)
    }
}

// MARK: - The writing thread

extension WriterCore {
    /// Longest time between looks at the buffer while there is traffic, in milliseconds.
    private static let tick_ms: Int64 = 50
    /// After so long without events the thread sleeps until it is woken, in milliseconds.
    private static let idle_ms: Int64 = 5000
    /// Time between attempts to start the thread where none is to be had, in milliseconds.
    private static let retryThread_ms: Int64 = 1000

    /// Starts the writing thread, once per process.
    ///
    /// Returns 0 or the error.
    ///
    /// Where no thread is to be had (a limit of the user's or the container's), events wait in the buffer meanwhile, and
    /// it is tried again each second.
    func start() -> Int32 {
        lock.lock()
        defer { lock.unlock() }
        return startLocked()
    }

    /// With the lock held.
    private func startLocked() -> Int32 {
        let now = ForkWatch.generation
        if generation.load(ordering: .relaxed) == now { return 0 }
        if fieldsGeneration != now {
            let pid = configuration.testing.pid ?? Int(getpid())
            commonFields = Self.commonFields(configuration, host: host, pid: pid)
            fieldsGeneration = now
            retryThread_ms = .min
        }
        if !isClosing {
            let now_ms = clock.steady_ms
            guard now_ms >= retryThread_ms else { return EAGAIN }
            let code = startThread()
            if code != 0 {
                retryThread_ms = now_ms + Self.retryThread_ms
                publishedFailure = "cannot start the writing thread: \(String(cString: strerror(code)))"
                return code
            }
        }
        generation.store(now, ordering: .releasing)
        return 0
    }

    /// Waits until the first round of work is done: the lock file is there, or cannot be made.
    func waitForFirstRound(_ timeout_ms: Int64) {
        lock.lock()
        let deadline_ms = clock.steady_ms + timeout_ms
        asked += 1
        wake.signal()
        while served < 1, clock.steady_ms < deadline_ms { progress.wait(lock, until: deadline_ms) }
        lock.unlock()
    }

    /// The fields between `time` and the event's own.
    private static func commonFields(_ configuration: EventWriter.Configuration, host: String, pid: Int) -> [UInt8] {
        var text = JSONText()
        // A name has at most 256 bytes; what tells processes apart stands at the end.
        let source = "\(configuration.service)/\(host)-\(pid)".utf8.suffix(EventLimits.nameBytes)
        text.field("source", String(decoding: source.drop { $0 & 0xC0 == 0x80 }, as: UTF8.self))
        text.field("service", configuration.service)
        if let environment = configuration.environment { text.field("environment", environment) }
        // Without the opening brace; a comma leads instead.
        return [UInt8(ascii: ",")] + text.bytes.dropFirst()
    }

    /// With the lock held.
    ///
    /// Signals are blocked in the thread: they are the service's.
    private func startThread() -> Int32 {
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                if let argument { Unmanaged<WriterCore>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, argument.toOpaque())
        if code != 0 { argument.release() }
        return code
    }

    private func makeShell() -> WriterShell {
        var random = FastRandom()
        let isFirst = ForkWatch.generation == 0
        let id =
            (isFirst ? configuration.testing.identity : nil) ?? UUIDv7(time_ms: clock.wall_ms, using: &random)
        let settings = SegmentMachine.Settings(
            host: host, service: configuration.service, pid: configuration.testing.pid ?? Int(getpid()),
            replay: configuration.replay, keepsWhenFull: configuration.pressure == .block,
            sealBytes: configuration.seal_bytes, sealAge_ms: Int64(configuration.seal_age_seconds * 1000))
        var files = SegmentFiles(directory: configuration.directory, descriptors: descriptors)
        if let synchronise = configuration.testing.synchronise { files.synchronise = synchronise }
        return WriterShell(name: WriterName(host: host, id: id), settings: settings, files: files, clock: clock)
    }

    private func run() {
        LinuxCalls.nameThread("nadi-writer")
        let shell = makeShell()
        var rest_ms: Int64?
        var batchEnd = 0
        var lastEvent_ms = clock.steady_ms
        var closeDeadline_ms: Int64?

        lock.lock()
        while true {
            let now_ms = clock.steady_ms
            if active.count > 0 { lastEvent_ms = now_ms }
            let hasTicket = asked > served
            let startsClosing = isClosing && closeDeadline_ms == nil
            if !hasTicket, !startsClosing, active.count < active.capacity / 2 || !shell.isDrained {
                isSleeping = now_ms - lastEvent_ms > Self.idle_ms && shell.isDrained && !isClosing
                let tick_ms = now_ms + Self.tick_ms
                wake.wait(lock, until: isSleeping ? rest_ms : min(rest_ms ?? tick_ms, tick_ms).atLeast(now_ms + 1))
                isSleeping = false
            }
            if isClosing, closeDeadline_ms == nil {
                closeDeadline_ms = clock.steady_ms + Int64(configuration.close_timeout_seconds * 1000)
            }

            // Take what has gathered, unless the last batch is still waiting for the disk.
            let ticket = asked
            let closing = isClosing
            if shell.isDrained, active.count > 0 {
                swap(&active, &spare)
                active.clear()
                shell.take(UnsafeRawBufferPointer(start: spare.base, count: spare.count))
                batchEnd = enqueued
                progress.broadcast()
            }
            let takenAll = active.count == 0
            let drops = dropped
            dropped = DropCounts()
            lock.unlock()

            rest_ms = shell.work(dropped: drops, isClosing: closing && takenAll)
            let gaveUp = !shell.hasEnded && closeDeadline_ms.map { clock.steady_ms >= $0 } ?? false
            if gaveUp { shell.giveUp() }

            lock.lock()
            if shell.isDrained { handled = batchEnd }
            lost = shell.lost
            published = shell.machine.counts
            publishedName = shell.machine.name
            publishedFailure = shell.lastFailure
            served = ticket
            if shell.hasEnded || gaveUp {
                isFinished = true
                endedWell = shell.hasEnded
                progress.broadcast()
                break
            }
            progress.broadcast()
        }
        lock.unlock()
    }
}

// MARK: - Fork

extension WriterCore {
    func beforeFork() {
        descriptors.beforeFork()
        lock.lock()
    }

    func afterForkInParent() {
        lock.unlock()
        descriptors.afterForkInParent()
    }

    /// The parent's thread writes the parent's events; this process begins with nothing, and with a thread of its own
    /// when it first logs.
    func afterForkInChild() {
        descriptors.afterForkInChild()
        lock.reinitialise()
        wake.reinitialise()
        progress.reinitialise()
        active.clear()
        spare.clear()
        dropped = DropCounts()
        nonFinite = 0
        published = WriterCounts()
        publishedName = nil
        publishedFailure = nil
        enqueued = 0
        handled = 0
        lost = 0
        asked = 0
        served = 0
        isSleeping = false
        number = Self.nextNumber.add(1, ordering: .relaxed).newValue
        if isClosing {
            isFinished = true
            endedWell = true
        }
    }
}

extension Int64 {
    fileprivate func atLeast(_ other: Int64) -> Int64 { Swift.max(self, other) }
}
