import DurableIO
import EventModel
import EventSegments
import Glibc

/// Ends writers whose process died: what is open is sealed as it is, and a last segment says what is known.
///
/// A writer is dead when its lock is free and nothing was written for the dead age. What is judged is read once more
/// while its lock is held: what was read before may have changed until the lock was taken. The steps are in an order that any
/// of them may be the last before a crash: rename what is open, create the end segment, remove the lock file. A restart
/// finds the lock still there and goes on; the end segment's number follows from the files that are there.
struct Adoption {
    /// What became of one writer.
    enum Outcome: Equatable {
        /// It lives, or may live.
        case alive
        /// It was ended now; `lines` of its were found.
        case adopted(lines: Int)
        /// It had ended by itself before its lock file was removed.
        case completed
    }

    let directory: String
    /// How long nothing may have been written, milliseconds.
    let deadAfter_ms: Int64

    /// Ends one writer if it is dead.
    ///
    /// - Parameters:
    ///   - writer: the writer.
    ///   - seen: the writer's files in a listing of the directory.
    ///   - unchanged_ms: for how long they were seen like that, by a clock that only goes forward.
    ///   - now_ms: the wall clock.
    /// - Throws: `SystemError` when a file could not be read, renamed or created; it is tried again on the next scan.
    func end(_ writer: WriterName, seen: WriterFiles, unchanged_ms: Int64 = 0, now_ms: Int64) throws -> Outcome {
        func isQuiet(_ files: WriterFiles) -> Bool {
            // Times of the future, of a clock that was set, are waited out by watching.
            now_ms - files.lastWrite_ms >= deadAfter_ms || (files == seen && unchanged_ms >= deadAfter_ms)
        }
        guard isQuiet(seen) else { return .alive }
        let lockPath = "\(directory)/\(writer.lockFileName)"
        var held: FileLock?
        if seen.lock != nil {
            held = try FileLock.attempt(path: lockPath, create: false)
            // Held by its process; or the file went meanwhile, and a listing will say so.
            guard held != nil else { return .alive }
        }
        return try withExtendedLifetime(held) {
            let files = WriterFiles(of: writer, in: try Spool(reading: directory))
            // Gone, come or written to until the lock was taken: judged again by the next scan.
            guard (files.lock != nil) == (held != nil), isQuiet(files) else { return .alive }
            let (open, sealed, lock) = (files.open, files.sealed, files.lock)
            let aside = files.damaged
            let record = lock == nil ? nil : LockRecord.read(lockPath)
            if lock == nil, open.isEmpty { return .alive }
            if (sealed + aside).contains(where: \.name.isEnd) {
                // A clean close, or an adoption, was cut off before its last step.
                if lock != nil { try DurableFile.remove(path: lockPath) }
                return .completed
            }
            let lines = try seal(open, now_ms: now_ms) + sealed.reduce(0) { $0 + $1.name.lines }
            try createEnd(
                writer, open: open, sealed: sealed, aside: aside, record: record, found: lines, now_ms: now_ms)
            if lock != nil { try DurableFile.remove(path: lockPath) }
            return .adopted(lines: lines)
        }
    }

    /// Seals open segments as they are: fsync, count, rename.
    private func seal(_ open: [Spool.OpenFile], now_ms: Int64) throws -> Int {
        var found = 0
        for file in open {
            let path = "\(directory)/\(file.name.fileName)"
            try DurableFile.syncFile(path)
            var lines = LineCount()
            try FileReading.pieces(of: path) { lines.update($0) }
            let name = SegmentName(
                writer: file.name.writer, seq: file.name.seq, sealed_ms: sealTime(file, now_ms: now_ms),
                lines: lines.total, isEnd: false)
            try DurableFile.rename(from: path, to: "\(directory)/\(name.fileName)")
            found += lines.total
        }
        return found
    }

    /// Now, or, where the clock was set back since, when it was last written: its events' times are of that clock, and
    /// would lie in the future of a seal by this one. A clock that was days ahead was wrong, and so are they.
    private func sealTime(_ file: Spool.OpenFile, now_ms: Int64) -> Int64 {
        file.modified_ms - now_ms < 86_400_000 ? max(now_ms, file.modified_ms) : now_ms
    }

    /// Creates the end segment: one `writer` line with the lock file's counts, raised to what was found.
    private func createEnd(
        _ writer: WriterName, open: [Spool.OpenFile], sealed: [Spool.SealedFile], aside: [Spool.SealedFile],
        record: LockRecord?, found: Int, now_ms: Int64
    ) throws {
        let seq = max(
            record?.seq ?? 0, (open.map(\.name.seq).max() ?? -1) + 1,
            ((sealed + aside).map(\.name.seq).max() ?? -1) + 1)
        var counts = record?.counts ?? WriterCounts()
        // Segments shipped before hold what the record counted and these files do not; the files may hold more than the
        // record, which is up to a second old.
        let before = writtenBefore(sealed, open: open)
        counts.written = max(counts.written, before + found) + 1
        counts.appended = max(counts.appended + 1, counts.written + counts.dropped.total)
        let line = WriterLine(
            time_ms: now_ms, writer: writer.text, service: record?.service ?? "", segment: seq, counts: counts,
            end: true, adopted: true, found: found, replay: replays(sealed))
        let name = SegmentName(writer: writer, seq: seq, sealed_ms: now_ms, lines: 1, isEnd: true)
        let isNew = try DurableFile.create(path: "\(directory)/\(name.fileName)", bytes: line.encoded())
        guard isNew else {
            throw SystemError(operation: "create", path: "\(directory)/\(name.fileName)", code: EEXIST)
        }
    }

    /// What the writer had written before the oldest file that is still here, by that file's own `writer` line.
    private func writtenBefore(_ sealed: [Spool.SealedFile], open: [Spool.OpenFile]) -> Int {
        guard let oldest = sealed.first, oldest.name.seq < open.first?.name.seq ?? .max,
            let line = SegmentTail.writerLine(path: "\(directory)/\(oldest.name.fileName)", size: oldest.size)
        else { return 0 }
        return max(0, line.counts.written - oldest.name.lines)
    }

    private func replays(_ sealed: [Spool.SealedFile]) -> Bool {
        sealed.contains { file in
            SegmentTail.writerLine(path: "\(directory)/\(file.name.fileName)", size: file.size)?.replay ?? false
        }
    }
}

/// What lies in a spool directory of one writer.
struct WriterFiles: Equatable {
    var open: [Spool.OpenFile] = []
    var sealed: [Spool.SealedFile] = []
    /// Damaged ones, whose numbers are taken.
    var damaged: [Spool.SealedFile] = []
    var lock: Spool.LockFile?

    init(of writer: WriterName, in spool: Spool) {
        open = spool.open.filter { $0.name.writer == writer }
        sealed = spool.sealed.filter { $0.name.writer == writer }
        damaged = spool.damaged.filter { $0.name.writer == writer }
        lock = spool.locks.first { $0.writer == writer }
    }

    private init() {}

    /// The files of all writers that have a lock file or an open segment.
    static func unended(in spool: Spool) -> [WriterName: WriterFiles] {
        var files: [WriterName: WriterFiles] = [:]
        for lock in spool.locks { files[lock.writer, default: WriterFiles()].lock = lock }
        for file in spool.open { files[file.name.writer, default: WriterFiles()].open.append(file) }
        for file in spool.sealed { files[file.name.writer]?.sealed.append(file) }
        for file in spool.damaged { files[file.name.writer]?.damaged.append(file) }
        return files
    }

    /// When the open segment or the lock record was last written, milliseconds since the epoch.
    var lastWrite_ms: Int64 { max(lock?.modified_ms ?? 0, open.map(\.modified_ms).max() ?? 0) }
}

extension LockRecord {
    /// The record in a lock file; nil when it is torn or cannot be read.
    static func read(_ path: String) -> LockRecord? {
        guard let bytes = try? DurableFile.read(path: path, limit: EventLimits.lockRecordBytes) else { return nil }
        return LockRecord(bytes)
    }
}

/// The last line of a segment.
enum SegmentTail {
    /// How many bytes of a segment's end are read for its `writer` line.
    static let bytes = 4_096

    /// The `writer` line that ends a segment; nil when it has none, as one sealed for a dead writer.
    static func writerLine(path: String, size: Int) -> WriterLine? {
        guard let tail = try? FileReading.tail(of: path, size: size, count: bytes) else { return nil }
        return writerLine(tail: tail)
    }

    /// The `writer` line that ends a segment, as ``writerLine(path:size:)``.
    ///
    /// - Throws: `SystemError` when the file cannot be read.
    static func readWriterLine(path: String, size: Int) throws -> WriterLine? {
        writerLine(tail: try FileReading.tail(of: path, size: size, count: bytes))
    }

    /// The `writer` line at the end of bytes.
    static func writerLine(tail: [UInt8]) -> WriterLine? {
        guard tail.last == UInt8(ascii: "\n") else { return nil }
        let start = tail.dropLast().lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return WriterLine(tail[start...])
    }
}
