import DurableIO
import EventModel
import EventSegments
import Glibc

/// One spool directory, whatever its path is by now, and what was seen of it before.
struct SpoolFolder {
    /// How long dead writers may be ended in one look, milliseconds: a look must not last long, and the next goes on.
    static let adoptionBudget_ms: Int64 = 2_000
    /// How many files of one kind are named in one sentence each; the rest is counted.
    private static let named = 3

    let directory: String
    let deadAfter_ms: Int64
    private var opened: [String: Int64] = [:]
    private var ends: [String: WriterLine] = [:]
    private var watched: [WriterName: (files: WriterFiles, since_ms: Int64)] = [:]
    private var isFirst = true
    private var last: SpoolScan?
    private let lock: FileLock

    /// - Parameter lock: the lock on the directory, which also tells which one it is.
    init(directory: String, deadAfter_ms: Int64, lock: FileLock) {
        self.directory = directory
        self.deadAfter_ms = deadAfter_ms
        self.lock = lock
    }

    var identity: FileIdentity { lock.identity }

    /// Whether the directory was removed, so that what was in it cannot come back.
    var isRemoved: Bool { lock.isUnlinked }

    mutating func scan(now_ms: Int64, steady_ms: Int64) -> SpoolScan {
        var scan = SpoolScan()
        do {
            var spool = try Spool(reading: directory)
            if try adopt(in: spool, now_ms: now_ms, steady_ms: steady_ms, scan: &scan) {
                spool = try Spool(reading: directory)
            }
            guard try FileIdentity(of: directory) == identity else {
                throw SpoolFault("became another folder while it was read", directory)
            }
            scan.isReadable = true
            scan.isKnown = true
            add(spool, now_ms: now_ms, to: &scan)
            isFirst = false
            last = scan
            last?.adopted = []
            return scan
        } catch {
            var held = unreadable(error)
            held.adopted = scan.adopted
            held.faults = scan.faults + held.faults
            return held
        }
    }

    /// What the directory held when it last could be read.
    func unreadable(_ reason: any Error) -> SpoolScan {
        var held = last ?? SpoolScan()
        // Whether they are still there, and may go, cannot be seen.
        for index in held.candidates.indices { held.candidates[index].isRetirable = false }
        held.isReadable = false
        held.isKnown = last != nil
        held.isEmpty = false
        held.faults = ["\(reason)"]
        return held
    }

    /// What the directory held when it last could be read, without the writers that are found in another one since:
    /// their files were moved.
    mutating func held(without found: Set<String>) -> SpoolScan {
        guard last != nil else { return SpoolScan() }
        last?.writers.removeAll { found.contains($0.writer) }
        last?.candidates.removeAll { found.contains($0.id.writer) }
        return last ?? SpoolScan()
    }

    /// Ends dead writers; true when files were changed.
    private mutating func adopt(
        in spool: Spool, now_ms: Int64, steady_ms: Int64, scan: inout SpoolScan
    ) throws -> Bool {
        let adoption = Adoption(directory: spool.directory, deadAfter_ms: deadAfter_ms)
        let unended = WriterFiles.unended(in: spool)
        watched = watched.filter { unended[$0.key] != nil }
        let began = ContinuousClock.now
        var isChanged = false
        for (writer, files) in unended.sorted(by: { $0.key < $1.key }) {
            if ContinuousClock.now - began > .milliseconds(SpoolFolder.adoptionBudget_ms) { break }
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

    private mutating func add(_ spool: Spool, now_ms: Int64, to scan: inout SpoolScan) {
        if !(spool.sealed.isEmpty && spool.open.isEmpty && spool.locks.isEmpty && spool.damaged.isEmpty) {
            scan.isEmpty = false
        }
        let locked = Set(spool.locks.map(\.writer))
        var records: [WriterName: LockRecord] = [:]
        for writer in locked { records[writer] = LockRecord.read("\(directory)/\(writer.lockFileName)") }
        var newest: [WriterName: Int] = [:]
        for file in spool.sealed { newest[file.name.writer] = max(newest[file.name.writer] ?? 0, file.name.seq) }
        for file in spool.open { newest[file.name.writer] = max(newest[file.name.writer] ?? 0, file.name.seq) }
        scan.candidates.reserveCapacity(spool.sealed.count)
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
        var stillOpen: [String: Int64] = [:]
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
        opened = stillOpen
        addFaults(spool, to: &scan)
        addWriters(spool, locked: locked, records: records, to: &scan)
    }

    private func addFaults(_ spool: Spool, to scan: inout SpoolScan) {
        scan.damaged = spool.damaged.count
        for file in spool.damaged.prefix(SpoolFolder.named) {
            scan.faults.append(
                "segment \(file.name.seq) of \(file.name.writer) was damaged after it was sealed and is put aside as "
                    + "\(directory)/\(file.name.fileName)\(Spool.damagedSuffix): mend it and take the ending away, or "
                    + "remove it and accept the loss in the audit")
        }
        if spool.damaged.count > SpoolFolder.named {
            scan.faults.append("\(spool.damaged.count) damaged segments are put aside in \(directory)")
        }
        if let first = spool.irregular.first {
            scan.faults.append(
                "\(spool.irregular.count) names of segments in \(directory) are no regular files, such as \(first): "
                    + "links are not followed; put the file itself there")
        }
    }

    private mutating func addWriters(
        _ spool: Spool, locked: Set<WriterName>, records: [WriterName: LockRecord], to scan: inout SpoolScan
    ) {
        var numbers: [WriterName: [Int]] = [:]
        var endFiles: [WriterName: Spool.SealedFile] = [:]
        var lastFiles: [WriterName: Spool.SealedFile] = [:]
        for file in spool.sealed {
            numbers[file.name.writer, default: []].append(file.name.seq)
            // They come by writer and number.
            lastFiles[file.name.writer] = file
            if file.name.isEnd { endFiles[file.name.writer] = file }
        }
        for file in spool.open { numbers[file.name.writer, default: []].append(file.name.seq) }
        // What is put aside is still held here, and not lost.
        for file in spool.damaged { numbers[file.name.writer, default: []].append(file.name.seq) }
        var stillEnded: [String: WriterLine] = [:]
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
            } else if record == nil, let last = lastFiles[writer] {
                updated_ms = last.name.sealed_ms
            }
            scan.writers.append(
                HostReport.Writer(
                    writer: writer.text, state: endFiles[writer] == nil ? .open : .ended, counts: counts,
                    nextSeq: max(record?.seq ?? 0, (segments.last ?? -1) + 1), spoolSegments: segments,
                    updated_ms: updated_ms))
        }
        ends = stillEnded
    }
}

/// Why a spool directory cannot be worked on.
struct SpoolFault: Error, CustomStringConvertible {
    let description: String

    init(_ reason: String, _ directory: String) { description = "spool \(directory) \(reason)" }
}
