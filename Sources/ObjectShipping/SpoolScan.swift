import DurableIO
import EventModel
package import EventSegments

/// One look at the spool directories: what waits, who writes, and who died.
package struct SpoolScan: Sendable {
    /// Sealed segments.
    package var candidates: [Candidate] = []
    /// Writers that have not ended, or whose end is not removed yet, by name.
    package var writers: [HostReport.Writer] = []
    /// The open segments that hold something: how many, their bytes, and when the oldest may have begun.
    package var openSegments = 0
    package var openBytes = 0
    package var oldestOpen_ms: Int64?
    /// Lock files, open segments and sealed ones: whether anything is there at all.
    package var isEmpty = true
    /// Writers that were ended by this scan.
    package var adopted: [String] = []
    /// Bytes of all segments.
    package var spoolBytes = 0
    /// What could not be read or done, one sentence each.
    package var faults: [String] = []
    /// Whether every directory could be read; else some of what is here was found by an earlier scan.
    package var isReadable = false
    /// Whether at least one directory could be read.
    package var isPartlyReadable = false
    /// Whether every directory was read by this scan or an earlier one, so that no writer is left out.
    package var isKnown = false

    /// Adds what was found in another directory.
    fileprivate mutating func add(_ part: SpoolScan) {
        candidates += part.candidates
        writers += part.writers
        openSegments += part.openSegments
        openBytes += part.openBytes
        oldestOpen_ms = [oldestOpen_ms, part.oldestOpen_ms].compactMap { $0 }.min()
        isEmpty = isEmpty && part.isEmpty
        adopted += part.adopted
        spoolBytes += part.spoolBytes
        faults += part.faults
        isReadable = isReadable && part.isReadable
        isPartlyReadable = isPartlyReadable || part.isReadable
        isKnown = isKnown && part.isKnown
    }
}

/// Reads spool directories again and again.
///
/// A directory that cannot be read counts as what it held when it last could be: its writers have not ended, and what
/// was waiting waits.
///
/// A sealed segment's file may go once it is proven, except where the number of an adopted writer's end would be lost:
/// the newest segment of a writer stays until its lock record, an open segment or a later one shows that the writer
/// went on, and an end segment stays until its writer's lock file is gone.
package final class SpoolReader {
    private var folders: [SpoolFolder]

    package init(directories: [String], deadAfter_ms: Int64) {
        folders = directories.map { SpoolFolder(directory: $0, deadAfter_ms: deadAfter_ms) }
    }

    /// Reads the directories; nothing a single file does makes the others fail.
    ///
    /// - Parameters:
    ///   - now_ms: the wall clock.
    ///   - steady_ms: a clock that only goes forward.
    package func scan(now_ms: Int64, steady_ms: Int64) -> SpoolScan {
        var scan = SpoolScan()
        scan.isReadable = true
        scan.isKnown = true
        for index in folders.indices { scan.add(folders[index].scan(now_ms: now_ms, steady_ms: steady_ms)) }
        scan.writers.sort { $0.writer < $1.writer }
        return scan
    }
}

/// One spool directory, and what was seen of it before.
private struct SpoolFolder {
    let directory: String
    let deadAfter_ms: Int64
    private var opened: [String: Int64] = [:]
    private var ends: [String: WriterLine] = [:]
    private var watched: [WriterName: (files: WriterFiles, since_ms: Int64)] = [:]
    private var isFirst = true
    private var last: SpoolScan?

    init(directory: String, deadAfter_ms: Int64) {
        self.directory = directory
        self.deadAfter_ms = deadAfter_ms
    }

    mutating func scan(now_ms: Int64, steady_ms: Int64) -> SpoolScan {
        var scan = SpoolScan()
        do {
            var spool = try Spool(reading: directory)
            if try adopt(in: spool, now_ms: now_ms, steady_ms: steady_ms, scan: &scan) {
                spool = try Spool(reading: directory)
            }
            scan.isReadable = true
            scan.isKnown = true
            var stillOpen: [String: Int64] = [:]
            var stillEnded: [String: WriterLine] = [:]
            add(spool, now_ms: now_ms, stillOpen: &stillOpen, stillEnded: &stillEnded, to: &scan)
            opened = stillOpen
            ends = stillEnded
            isFirst = false
            last = scan
            return scan
        } catch {
            var held = last ?? SpoolScan()
            // Whether they are still there, and may go, cannot be seen.
            for index in held.candidates.indices { held.candidates[index].isRetirable = false }
            held.isReadable = false
            held.isKnown = last != nil
            held.isEmpty = false
            held.adopted = scan.adopted
            held.faults = scan.faults + ["\(error)"]
            return held
        }
    }

    /// Ends dead writers; true when files were changed.
    private mutating func adopt(
        in spool: Spool, now_ms: Int64, steady_ms: Int64, scan: inout SpoolScan
    ) throws -> Bool {
        let adoption = Adoption(directory: spool.directory, deadAfter_ms: deadAfter_ms)
        let unended = WriterFiles.unended(in: spool)
        watched = watched.filter { unended[$0.key] != nil }
        var isChanged = false
        for (writer, files) in unended.sorted(by: { $0.key < $1.key }) {
            do {
                if watched[writer]?.files != files { watched[writer] = (files, steady_ms) }
                let unchanged_ms = steady_ms - (watched[writer]?.since_ms ?? steady_ms)
                let outcome = try adoption.end(
                    writer, seen: files, unchanged_ms: unchanged_ms, now_ms: now_ms)
                switch outcome {
                case .alive: break
                case .completed: isChanged = true
                case .adopted:
                    isChanged = true
                    scan.adopted.append(writer.text)
                }
            } catch let error as SystemError where error.isNotFound {
                isChanged = true
            } catch {
                scan.faults.append("writer \(writer) died and cannot be ended: \(error)")
            }
        }
        return isChanged
    }

    private func add(
        _ spool: Spool, now_ms: Int64, stillOpen: inout [String: Int64], stillEnded: inout [String: WriterLine],
        to scan: inout SpoolScan
    ) {
        if !(spool.sealed.isEmpty && spool.open.isEmpty && spool.locks.isEmpty) { scan.isEmpty = false }
        let locked = Set(spool.locks.map(\.writer))
        var records: [WriterName: LockRecord] = [:]
        for writer in locked { records[writer] = LockRecord.read("\(directory)/\(writer.lockFileName)") }
        var newest: [WriterName: Int] = [:]
        for name in spool.sealed.map(\.name) + spool.open.map(\.name) {
            newest[name.writer] = max(newest[name.writer] ?? 0, name.seq)
        }
        for file in spool.sealed {
            let writer = file.name.writer
            let isRetirable: Bool
            if !locked.contains(writer) {
                isRetirable = true
            } else if file.name.isEnd {
                isRetirable = false
            } else {
                isRetirable = max(newest[writer] ?? 0, records[writer]?.seq ?? 0) > file.name.seq
            }
            let path = "\(spool.directory)/\(file.name.fileName)"
            scan.spoolBytes += file.size
            scan.candidates.append(
                Candidate(
                    id: SegmentID(writer: writer.text, seq: file.name.seq, path: path), rawBytes: file.size,
                    lines: file.name.lines, sealed_ms: file.name.sealed_ms, isRetirable: isRetirable))
        }
        for file in spool.open where file.size > 0 {
            let path = "\(spool.directory)/\(file.name.fileName)"
            // What is in it was written since the last scan, or before this program began.
            let began_ms = opened[path] ?? (isFirst ? file.modified_ms - EventLimits.sealAge_ms : now_ms - 2_000)
            stillOpen[path] = began_ms
            scan.openSegments += 1
            scan.openBytes += file.size
            scan.spoolBytes += file.size
            scan.oldestOpen_ms = min(scan.oldestOpen_ms ?? .max, began_ms)
        }
        addWriters(spool, locked: locked, records: records, stillEnded: &stillEnded, to: &scan)
    }

    private func addWriters(
        _ spool: Spool, locked: Set<WriterName>, records: [WriterName: LockRecord],
        stillEnded: inout [String: WriterLine], to scan: inout SpoolScan
    ) {
        var numbers: [WriterName: [Int]] = [:]
        for name in spool.sealed.map(\.name) + spool.open.map(\.name) {
            numbers[name.writer, default: []].append(name.seq)
        }
        var endFiles: [WriterName: Spool.SealedFile] = [:]
        for file in spool.sealed where file.name.isEnd { endFiles[file.name.writer] = file }
        for writer in locked.union(numbers.keys) {
            let segments = (numbers[writer] ?? []).sorted()
            let record = records[writer]
            var counts = record?.counts ?? WriterCounts()
            var updated_ms = record?.updated_ms ?? 0
            if let file = endFiles[writer] {
                let path = "\(spool.directory)/\(file.name.fileName)"
                let line = ends[path] ?? SegmentTail.writerLine(path: path, size: file.size)
                stillEnded[path] = line
                counts = line?.counts ?? counts
                updated_ms = file.name.sealed_ms
            } else if record == nil, let last = spool.sealed.last(where: { $0.name.writer == writer }) {
                updated_ms = last.name.sealed_ms
            }
            scan.writers.append(
                HostReport.Writer(
                    writer: writer.text, state: endFiles[writer] == nil ? .open : .ended, counts: counts,
                    nextSeq: max(record?.seq ?? 0, (segments.last ?? -1) + 1), spoolSegments: segments,
                    updated_ms: updated_ms))
        }
    }
}
