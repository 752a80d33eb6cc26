import EventModel
import Glibc

/// Does what the machine says, on the writing thread.
///
/// It holds the lines that wait: the batch taken from the service's buffer and, after the files were taken away, what
/// had been written since the last seal.
final class WriterShell {
    private(set) var machine: SegmentMachine
    private let files: SegmentFiles
    private let clock: WriterClock
    private let host: String

    /// Lines to write before the batch.
    private var heldBack: [[UInt8]] = []
    /// Bytes of the first of `heldBack`, or else of the batch, that are done.
    private var offset = 0
    private var batch = UnsafeRawBufferPointer(start: nil, count: 0)
    private var writtenBack = 0
    /// A short write left out no more than a line's newline: the event is in the file, and done once that is written.
    private var owesNewline = false

    /// The last operation that failed, in words.
    private(set) var lastFailure: String?
    private var lastCode = EIO
    /// Lines that reached this shell and were then dropped.
    private(set) var lost = 0

    init(name: WriterName, settings: SegmentMachine.Settings, files: SegmentFiles, clock: WriterClock) {
        self.files = files
        self.clock = clock
        host = settings.host
        machine = SegmentMachine(name: name, started_ms: clock.wall_ms, settings: settings)
    }

    /// Whether all lines that were handed over are done with.
    var isDrained: Bool { heldBack.isEmpty && batch.count == 0 && !owesNewline }

    /// Whether everything is written, sealed and recorded.
    var hasEnded: Bool { machine.phase == .ended }

    /// Hands over a batch of whole lines.
    ///
    /// It must stay in place until ``isDrained``.
    func take(_ batch: UnsafeRawBufferPointer) {
        self.batch = batch
        if heldBack.isEmpty { offset = 0 }
    }

    /// Works until there is nothing to do before the time that it returns, on the steady clock.
    func work(dropped: DropCounts, isClosing: Bool) -> Int64? {
        machine.drop(dropped)
        while true {
            let now = SegmentMachine.Now(wall_ms: clock.wall_ms, steady_ms: clock.steady_ms)
            let action = machine.next(now, hasLines: !isDrained, isClosing: isClosing)
            switch action {
            case .rest(let until_ms): return until_ms
            case .finished: return nil
            default: machine.apply(perform(action), of: action, now)
            }
        }
    }

    /// Ends a writer that cannot write its last lines: they are dropped, the counts are kept as well as can be, and the
    /// shipper will find the rest.
    func giveUp() {
        machine.giveUp(lastCode, lines: dropWaiting())
        if files.descriptors.lockFile.status != nil { _ = files.writeRecord(machine.record(clock.wall_ms, closed: false)) }
        files.descriptors.closeSegment()
        files.descriptors.closeLockFile()
    }

    // MARK: - Actions

    private func perform(_ action: SegmentMachine.Action) -> SegmentMachine.Result {
        switch action {
        case .createLock(let name, let record):
            return result(files.createLock(name, record), "create \(name.lockFileName)")
        case .openSegment(let name):
            writtenBack = 0
            return result(files.openSegment(name), "create \(name.fileName)")
        case .write(let limit, let newlineFirst):
            return write(limit: limit, newlineFirst: newlineFirst)
        case .writeLine(let line, let newlineFirst):
            return line.encoded().withUnsafeBytes { write($0, newlineFirst: newlineFirst) }
        case .seal(let name, let target):
            let (code, warning) = files.seal(name, as: target)
            note(warning, "synchronise \(name.fileName)")
            if code == SegmentFiles.inDoubt { return .inDoubt }
            return result(code, "seal \(name.fileName)")
        case .record(let record):
            return result(files.rewriteRecord(record, machine.name), "keep counts in \(record.writer).lock")
        case .removeLock(let name):
            return result(files.removeLock(name), "remove \(name.lockFileName)")
        case .dropWaiting:
            return .dropped(lines: dropWaiting())
        case .becomeNew(let keep):
            return becomeNew(keep: keep)
        case .rest, .finished:
            return .done
        }
    }

    private func result(_ code: Int32, _ what: @autoclosure () -> String) -> SegmentMachine.Result {
        if code == SegmentFiles.gone { return .gone }
        note(code, what())
        return code == 0 ? .done : .failed(code)
    }

    private func note(_ code: Int32, _ what: @autoclosure () -> String) {
        guard code != 0 else { return }
        lastCode = code
        lastFailure = "cannot \(what()) in \(files.directory): \(String(cString: strerror(code)))"
    }

    /// Writes waiting lines until the segment has reached `limit` more bytes at the end of a line.
    private func write(limit: Int, newlineFirst: Bool) -> SegmentMachine.Result {
        let result =
            if let first = heldBack.first {
                first.withUnsafeBytes { writeWaiting($0, limit: limit, newlineFirst: newlineFirst) }
            } else {
                writeWaiting(batch, limit: limit, newlineFirst: newlineFirst)
            }
        if let first = heldBack.first {
            if offset == first.count {
                heldBack.removeFirst()
                offset = 0
            }
        } else if offset == batch.count {
            batch = UnsafeRawBufferPointer(start: nil, count: 0)
            offset = 0
        }
        return result
    }

    private func writeWaiting(
        _ source: UnsafeRawBufferPointer, limit: Int, newlineFirst: Bool
    ) -> SegmentMachine.Result {
        var end = source.count
        if end - offset > limit, let newline = source.newline(from: offset + limit - 1) { end = newline + 1 }
        let part = UnsafeRawBufferPointer(rebasing: source[offset..<end])
        let result = write(part, newlineFirst: newlineFirst)
        if case .wrote(let write) = result {
            if write.endsLine {
                offset += write.bytes
            } else if part[write.bytes] == 0x0A {
                // Written again, the event would be there twice.
                offset += write.bytes + 1
                owesNewline = true
            } else {
                offset += part.lineStart(before: write.bytes)
            }
        }
        return result
    }

    private func write(_ bytes: UnsafeRawBufferPointer, newlineFirst: Bool) -> SegmentMachine.Result {
        let name = SegmentName(writer: machine.name, seq: machine.seq)
        let held = files.check(name)
        if held == SegmentFiles.gone { return .gone }
        var write = SegmentMachine.Write(code: held)
        if held == 0, newlineFirst {
            let newline: [UInt8] = [0x0A]
            write.code = newline.withUnsafeBytes { files.append($0) }.code
            write.repaired = write.code == 0
            if write.repaired { owesNewline = false }
        }
        if write.code == 0 {
            (write.bytes, write.code) = files.append(bytes)
            let done = UnsafeRawBufferPointer(rebasing: bytes[..<write.bytes])
            write.lines = done.newlines
            write.endsLine = done.last.map { $0 == 0x0A } ?? true
        }
        note(write.code, "write to \(name.fileName)")
        let size = machine.segment.bytes + write.bytes
        if size - writtenBack >= 1 << 20 {
            files.startWriteback(from: writtenBack, count: size - writtenBack)
            writtenBack = size
        }
        return .wrote(write)
    }

    private func dropWaiting() -> Int {
        var lines = 0
        for held in heldBack {
            lines += held.withUnsafeBytes { UnsafeRawBufferPointer(rebasing: $0[offset...]).newlines }
            offset = 0
        }
        if batch.count > 0 { lines += UnsafeRawBufferPointer(rebasing: batch[offset...]).newlines }
        heldBack = []
        batch = UnsafeRawBufferPointer(start: nil, count: 0)
        offset = 0
        lost += lines
        if owesNewline {
            // It is in the file, and whole with the next newline there; only nobody can be promised that.
            lost += 1
            owesNewline = false
        }
        return lines
    }

    private func becomeNew(keep: Int) -> SegmentMachine.Result {
        if !heldBack.isEmpty {
            heldBack[0].removeFirst(offset)
        } else if batch.count > 0 {
            batch = UnsafeRawBufferPointer(rebasing: batch[offset...])
        }
        offset = 0
        let hasEnded = !machine.isInDoubt && endWithoutLock()
        // Where the lock file is still there, what it tells is the last that is heard of the old writer.
        let isTold = hasEnded || files.rewriteRecord(machine.record(clock.wall_ms, closed: false), machine.name) == 0
        let bytes = hasEnded ? [] : files.readBack(keep, lastIsWhole: owesNewline)
        owesNewline = false
        if !bytes.isEmpty { heldBack.insert(bytes, at: 0) }
        files.descriptors.closeSegment()
        files.descriptors.closeLockFile()
        if machine.isInDoubt {
            lastFailure = (lastFailure ?? "") + "; a new writer writes again what was not sealed"
        } else {
            lastFailure =
                "the files of \(machine.name) in \(files.directory) were taken away; it goes on as a new writer"
        }
        var random = FastRandom()
        return .renamed(
            WriterName(host: host, id: UUIDv7(time_ms: clock.wall_ms, using: &random)), isTold: isTold)
    }

    /// Where only the lock file was taken away: seals what is open and the writer's end, so that nothing is written twice.
    private func endWithoutLock() -> Bool {
        let now = SegmentMachine.Now(wall_ms: clock.wall_ms, steady_ms: clock.steady_ms)
        switch machine.phase {
        case .between:
            return machine.counts.written > 0 && createEnd(machine.seq, machine.writerLine(now, end: true))
        case .open:
            guard files.standsSegment(machine.openName) else { return false }
            return sealEnd(
                machine.openName, machine.writerLine(now, end: true), lines: machine.segment.lines,
                newlineFirst: machine.segment.isTorn)
        case .sealing(let target):
            guard files.seal(machine.openName, as: target, withoutLock: true).code == 0 else { return false }
            if !target.isEnd {
                var line = machine.writerLine(now, end: true)
                line.segment += 1
                _ = createEnd(line.segment, line)
            }
            return true
        case .unborn, .leaving, .ended:
            return false
        }
    }

    private func createEnd(_ seq: Int, _ line: WriterLine) -> Bool {
        let name = SegmentName(writer: machine.name, seq: seq)
        return files.createSegment(name) == 0 && sealEnd(name, line, lines: 0, newlineFirst: false)
    }

    private func sealEnd(_ name: SegmentName, _ line: WriterLine, lines: Int, newlineFirst: Bool) -> Bool {
        let bytes = (newlineFirst ? [0x0A] : []) + line.encoded()
        guard bytes.withUnsafeBytes({ files.append($0) }).code == 0 else { return false }
        let target = SegmentName(
            writer: name.writer, seq: name.seq, sealed_ms: line.time_ms, lines: lines + 1, isEnd: true)
        return files.seal(name, as: target, withoutLock: true).code == 0
    }
}

extension UnsafeRawBufferPointer {
    /// Number of newlines.
    var newlines: Int {
        var count = 0
        var place = 0
        while place < self.count, let next = newline(from: place) {
            count += 1
            place = next + 1
        }
        return count
    }

    /// Place of the first newline from `place` on.
    func newline(from place: Int) -> Int? {
        guard let base = baseAddress, place < count, let found = memchr(base + place, 0x0A, count - place)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }

    /// Where the line begins that the byte before `place` belongs to.
    func lineStart(before place: Int) -> Int {
        self[..<place].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    }
}
