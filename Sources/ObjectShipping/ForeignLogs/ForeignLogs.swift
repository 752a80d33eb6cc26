import DurableIO
import EventSegments

/// Finds finished logs of other writers, plans what to ship of them, and remembers what was proven.
///
/// Used from one thread at a time. A plan is on disk before its first byte is shipped, so that a crash in between ships
/// the same segments under the same names.
package final class ForeignLogs {
    /// What one look found.
    package struct Scan: Sendable {
        /// Planned segments that are not proven.
        package var candidates: [Candidate] = []
        /// What is wrong, one sentence each.
        package var faults: [String] = []
        /// Live files that are refused.
        package var refused: [String] = []
        /// Whether files were left for a later look: not quiet yet, or too much to read at once.
        package var isPartial = false
    }

    private struct Observation {
        var facts: FileFacts
        var since_ms: Int64
    }

    private struct Unreadable {
        var facts: FileFacts
        var fault: String
        var retryAt_ms: Int64
    }

    private struct Unremovable {
        var fault: String
        var retryAt_ms: Int64
    }

    /// How long a file that could not be read is left alone unless it changes, milliseconds.
    private static let unreadableRetry_ms: Int64 = 300_000
    /// How long after a shipped file could not be removed that is tried again, milliseconds.
    private static let removalRetry_ms: Int64 = 60_000
    /// How many bytes may be read for hashes in one look, so that shipping begins early.
    private static let hashBudget = 512 << 20
    /// How long a vanished file is remembered, milliseconds.
    private static let memory_ms: Int64 = 90 * 86_400_000

    private let streams: [StreamConfiguration]
    private let host: String
    private let statePath: String
    private var state: ForeignState
    private var saved: ForeignState
    private var paths: [String: String] = [:]
    private var observed: [String: Observation] = [:]
    private var live: [String: FileFacts] = [:]
    private var missing: [String: Int] = [:]
    private var unreadable: [String: Unreadable] = [:]
    private var unremovable: [String: Unremovable] = [:]
    private let reader = ForeignReader()
    private let looking: ReadingWatch
    private let shipping: ReadingWatch
    private var firstFault: String?
    private var isLost: Bool

    /// Reads the state that an earlier run left.
    ///
    /// - Parameters:
    ///   - looking: ends looks.
    ///   - shipping: ends the reading of planned segments.
    init(
        streams: [StreamConfiguration], host: String, stateDirectory: String, looking: ReadingWatch = ReadingWatch(),
        shipping: ReadingWatch = ReadingWatch()
    ) {
        self.looking = looking
        self.shipping = shipping
        self.streams = streams
        self.host = host
        statePath = "\(stateDirectory)/foreign.json"
        (state, firstFault, isLost) = ForeignState.load(statePath)
        saved = state
    }

    /// Looks at all streams.
    ///
    /// - Parameters:
    ///   - now_ms: the wall clock.
    ///   - steady_ms: a clock that only goes forward.
    package func scan(now_ms: Int64, steady_ms: Int64) -> Scan {
        var scan = Scan()
        if let fault = firstFault { scan.faults.append(fault) }
        firstFault = nil
        var budget = ForeignLogs.hashBudget
        paths = [:]
        var present = Set<String>()
        var whole = Set<String>()
        for stream in streams {
            let isWhole = look(
                at: stream, now_ms: now_ms, steady_ms: steady_ms, budget: &budget, present: &present, scan: &scan)
            if isWhole { whole.insert(stream.name) } else { scan.isPartial = true }
        }
        observed = observed.filter { present.contains($0.key) }
        unreadable = unreadable.filter { present.contains($0.key) }
        let configured = Set(streams.map(\.name))
        state.files = state.files.filter { path, file in
            present.contains(path) || (configured.contains(file.stream) && !whole.contains(file.stream))
        }
        tellVanished(of: whole, scan: &scan)
        state.ledger.forget(before: now_ms - ForeignLogs.memory_ms)
        scan.refused = state.refused.map(\.path)
        guard save(&scan) else { return scan }
        removeShipped(steady_ms: steady_ms, scan: &scan)
        for writer in state.ledger.writers where paths[writer.name] != nil {
            for piece in writer.pending {
                scan.candidates.append(
                    Candidate(
                        id: SegmentID(writer: writer.name, seq: piece.seq, path: ForeignLogs.place(writer.stream)),
                        stream: writer.stream, rawBytes: piece.bytes, lines: piece.lines, sealed_ms: piece.sealed_ms))
            }
        }
        return scan
    }

    /// The time that the bucket must be asked for, since nothing is remembered of files that are there; nil when
    /// nothing is to be asked.
    ///
    /// A file's first part may have been stored before its last line came: a week is added.
    func history(now_ms: Int64) -> ClosedRange<Int64>? {
        guard isLost else { return nil }
        let times = streams.flatMap(rotated).compactMap { try? FileFacts.of($0) }.map(\.modified_ms)
        guard let oldest = times.min(), let newest = times.max() else { return nil }
        return min(oldest, now_ms) - 7 * 86_400_000...max(newest, now_ms) + 3_600_000
    }

    /// Takes over what the bucket knows.
    ///
    /// - Parameter stored: foreign segments of this host; nil when the bucket may not be asked.
    /// - Returns: a fault, one sentence.
    func recall(_ stored: [Manifest.Segment]?, now_ms: Int64) -> String? {
        guard isLost else { return nil }
        let recall = ForeignRecall(host: host, watch: looking)
        do {
            for stream in streams {
                let writers = try recall.writers(
                    of: stream, paths: rotated(stream), stored: stored ?? [], now_ms: now_ms)
                state.ledger.writers += writers
            }
            isLost = false
        } catch {
            // Stopped: asked again by the next start.
            state = saved
            return nil
        }
        guard stored == nil else { return nil }
        return
            "what was shipped of foreign logs is not remembered, and the bucket may not be asked: finished logs that are "
            + "still there are shipped again; the loader counts them as duplicates, except those that got late lines after "
            + "they were shipped, whose lines count twice"
    }

    /// A stream's files that rotation has finished with.
    private func rotated(_ stream: StreamConfiguration) -> [String] {
        Glob.expand(stream.paths).filter { path in
            !Glob.matches(path, stream.exclude)
                && RotatedName(String(path.split(separator: "/").last ?? "")).isRotated
        }
    }

    /// What stands for a path in the identity of a foreign segment: rotation renames the real one.
    static func place(_ stream: String) -> String { "foreign:\(stream)" }

    /// Whether a segment is a foreign one.
    package static func owns(_ id: SegmentID) -> Bool { id.path.hasPrefix("foreign:") }

    /// Adds a planned segment to an object.
    ///
    /// - Parameter cap: the size that the object may come to, bytes.
    /// - Returns: false when the object would become too large.
    /// - Throws: when its file is gone or changed since it was planned.
    func add(_ id: SegmentID, cap: Int = .max, to builder: inout BundleBuilder) throws -> Bool {
        guard let writer = state.ledger.writers.first(where: { $0.name == id.writer }),
            let piece = writer.pending.first(where: { $0.seq == id.seq }), let path = paths[writer.name]
        else {
            throw ObjectFormatError(.changedSegment, "segment \(id.seq) of \(id.writer) is no longer planned")
        }
        let identity = BundleBuilder.Identity(
            writer: writer.name, seq: piece.seq, sealed_ms: piece.sealed_ms, format: writer.format, file: piece.file)
        do {
            let segment = try builder.add(identity, rawBytes: piece.bytes, sha256: piece.sha256, cap: cap) { sink in
                try reader.bytes(of: path, from: piece.offset, count: piece.bytes, shipping, sink)
            }
            return segment != nil
        } catch let error as ObjectFormatError {
            // Looked at again from the beginning.
            observed[path] = nil
            state.files[path] = nil
            throw error
        }
    }

    /// Notes that segments are proven, and removes files where the configuration says so.
    ///
    /// - Returns: faults, one sentence each.
    package func shipped(_ ids: [SegmentID]) -> [String] {
        var done: [String] = []
        for id in ids where state.ledger.shipped(writer: id.writer, seq: id.seq) { done.append(id.writer) }
        var scan = Scan()
        _ = save(&scan)
        for name in done {
            guard let writer = state.ledger.writers.first(where: { $0.name == name }), let path = paths[name] else {
                continue
            }
            // The next look tries again, and tells of it for as long as it fails.
            if let fault = remove(path, of: writer) { scan.faults.append(fault) }
        }
        return scan.faults
    }

    /// Removes a file that is proven to be in the bucket, whole, where the configuration says so.
    ///
    /// - Returns: why it could not be removed.
    private func remove(_ path: String, of writer: ForeignLedger.Writer) -> String? {
        guard writer.pending.isEmpty, streams.contains(where: { $0.name == writer.stream && $0.deletesAfterShipping }),
            let file = state.files[path], file.sha256 == writer.sha256, file.bytes == writer.bytes
        else { return nil }
        do {
            guard let facts = try FileFacts.of(path), facts.device == file.device, facts.inode == file.inode,
                facts.size == file.size, facts.modified_ns == file.modified_ns, facts.changed_ns == file.changed_ns
            else { return nil }
            try DurableFile.remove(path: path)
            return nil
        } catch {
            return "\(path) is shipped and cannot be removed: \(error); under systemd the unit needs "
                + "ReadWritePaths= for its folder"
        }
    }

    /// Removes what is shipped and still there.
    private func removeShipped(steady_ms: Int64, scan: inout Scan) {
        var still: [String: Unremovable] = [:]
        for writer in state.ledger.writers {
            guard let path = paths[writer.name] else { continue }
            if let known = unremovable[path], steady_ms < known.retryAt_ms {
                still[path] = known
            } else if let fault = remove(path, of: writer) {
                still[path] = Unremovable(fault: fault, retryAt_ms: steady_ms + ForeignLogs.removalRetry_ms)
            }
            if let fault = still[path]?.fault { scan.faults.append(fault) }
        }
        unremovable = still
    }

    // MARK: - Looking

    /// Looks at one stream.
    ///
    /// - Returns: whether all of its files were seen and could be read, so that what was not seen is gone.
    private func look(
        at stream: StreamConfiguration, now_ms: Int64, steady_ms: Int64, budget: inout Int, present: inout Set<String>,
        scan: inout Scan
    ) -> Bool {
        var finished: [(path: String, facts: FileFacts)] = []
        var nodes = Set<[UInt64]>()
        let found = Glob.look(stream.paths)
        for fault in found.faults { scan.faults.append("stream \(stream.name): \(fault)") }
        var isWhole = found.faults.isEmpty
        for path in found.paths where !Glob.matches(path, stream.exclude) {
            let folder = DurableFile.folder(of: path)
            let name = RotatedName(String(path.dropFirst(folder == "/" ? 1 : folder.utf8.count + 1)))
            do {
                guard let facts = try FileFacts.of(path) else { continue }
                if facts.isLink, name.isRotated {
                    scan.faults.append(
                        "\(path) is a symbolic link and is not shipped: name the folder where the file lies in paths, "
                            + "or the link in exclude")
                }
                guard facts.isRegular else { continue }
                if let livePath = name.isRotated ? name.live.map({ "\(folder)/\($0)" }) : path {
                    try watch(livePath, scan: &scan)
                    if state.refused.contains(where: { $0.path == livePath }) {
                        isWhole = false
                        continue
                    }
                }
                guard name.isRotated else { continue }
                present.insert(path)
                // A compressor is at work: the plain file is still there.
                if !name.compression.isEmpty, try FileFacts.of("\(folder)/\(name.plain)") != nil { continue }
                guard nodes.insert([facts.device, facts.inode]).inserted, facts.size > 0 else { continue }
                if let known = unreadable[path], known.facts == facts, steady_ms < known.retryAt_ms {
                    scan.faults.append(known.fault)
                    isWhole = false
                    continue
                }
                if isQuiet(path, facts, stream, now_ms: now_ms, steady_ms: steady_ms) {
                    finished.append((path, facts))
                } else {
                    isWhole = false
                }
            } catch {
                scan.faults.append("\(error)")
                isWhole = false
            }
        }
        var contents: [ForeignLedger.Content] = []
        for (path, facts) in finished {
            do {
                guard let content = try content(path, facts, stream, budget: &budget) else {
                    isWhole = false
                    continue
                }
                unreadable[path] = nil
                if content.bytes > 0 { contents.append(content) }
            } catch is ReadingStopped {
                isWhole = false
            } catch {
                let fault = "\(path) cannot be read and is not shipped: \(error)"
                unreadable[path] = Unreadable(
                    facts: facts, fault: fault, retryAt_ms: steady_ms + ForeignLogs.unreadableRetry_ms)
                scan.faults.append(fault)
                isWhole = false
            }
        }
        let isPlanned = plan(
            contents, stream, facts: Dictionary(uniqueKeysWithValues: finished), now_ms: now_ms, scan: &scan)
        return isWhole && isPlanned
    }

    private func isQuiet(
        _ path: String, _ facts: FileFacts, _ stream: StreamConfiguration, now_ms: Int64, steady_ms: Int64
    ) -> Bool {
        if observed[path]?.facts != facts { observed[path] = Observation(facts: facts, since_ms: steady_ms) }
        let changed_ms = max(facts.modified_ns, facts.changed_ns) / 1_000_000
        // A clock that stepped back, or a time in the future, is waited out by watching.
        if now_ms - changed_ms >= stream.quiet_ms { return true }
        return steady_ms - (observed[path]?.since_ms ?? steady_ms) >= stream.quiet_ms
    }

    /// Notes a live file that became shorter in place.
    private func watch(_ path: String, scan: inout Scan) throws {
        guard let facts = try FileFacts.of(path) else {
            live[path] = nil
            return
        }
        if let refused = state.refused.firstIndex(where: { $0.path == path }) {
            if state.refused[refused].inode != facts.inode {
                state.refused.remove(at: refused)
            } else {
                scan.faults.append(
                    "\(path) was cut in place (copytruncate, or a service that empties its log): lines may be lost, so "
                        + "its rotated files are not shipped; rotate by renaming ('create' in logrotate)")
            }
        } else if let before = live[path], before.inode == facts.inode, before.device == facts.device,
            facts.size < before.size
        {
            state.refused.append(.init(path: path, inode: facts.inode))
            scan.faults.append("\(path) became shorter in place: copytruncate is refused")
        }
        live[path] = facts
    }

    /// What is in a file: from memory while its facts are the same, else by reading it.
    ///
    /// Nil when the budget is used up.
    private func content(
        _ path: String, _ facts: FileFacts, _ stream: StreamConfiguration, budget: inout Int
    ) throws -> ForeignLedger.Content? {
        func isSame(_ file: ForeignState.File) -> Bool {
            file.stream == stream.name && file.inode == facts.inode && file.device == facts.device
                && file.size == facts.size && file.modified_ns == facts.modified_ns
        }
        if let file = state.files[path], isSame(file) {
            if file.changed_ns == facts.changed_ns {
                return ForeignLedger.Content(path: path, bytes: file.bytes, sha256: file.sha256)
            }
            // Its mode was changed, or its bytes and then its time: only reading tells.
        } else {
            // A file that was renamed is known by its beginning and end.
            let sample = try ForeignLogs.sample(path, size: facts.size)
            if var file = state.files.values.first(where: { isSame($0) && $0.sample == sample }) {
                file.changed_ns = facts.changed_ns
                state.files[path] = file
                return ForeignLedger.Content(path: path, bytes: file.bytes, sha256: file.sha256)
            }
        }
        guard budget > 0 else { return nil }
        budget -= facts.size
        // A compressed file's plain size is not known: all lengths are asked for.
        let lengths = state.ledger.lengths(stream: stream.name, below: .max)
        return try ForeignReading.content(of: path, lengths: lengths, watch: looking)
    }

    /// SHA-256 of the first and last 4 KiB as they lie on disk.
    private static func sample(_ path: String, size: Int) throws -> String {
        var hash = SHA256()
        try FileReading.pieces(of: path, count: 4_096) { hash.update($0) }
        try FileReading.pieces(of: path, from: max(0, size - 4_096), count: 4_096) { hash.update($0) }
        return hex(hash.finalize())
    }

    /// Plans what is new; false when a file changed meanwhile or could not be read.
    private func plan(
        _ contents: [ForeignLedger.Content], _ stream: StreamConfiguration, facts: [String: FileFacts], now_ms: Int64,
        scan: inout Scan
    ) -> Bool {
        var isWhole = true
        let decisions = state.ledger.place(contents, stream: stream.name, host: host)
        for content in contents {
            guard let decision = decisions[content.path], let facts = facts[content.path] else { continue }
            do {
                var pieces: [ForeignLedger.Piece] = []
                let name: String
                switch decision {
                case .known(let writer): name = writer
                case .longer(let writer, let from):
                    name = writer
                    pieces = try ForeignReading.pieces(
                        of: content.path, from: from, bytes: content.bytes, sealed_ms: facts.modified_ms,
                        watch: looking)
                case .new(let writer):
                    name = writer
                    pieces = try ForeignReading.pieces(
                        of: content.path, from: 0, bytes: content.bytes, sealed_ms: facts.modified_ms, watch: looking)
                }
                guard try FileFacts.of(content.path) == facts else {
                    isWhole = false
                    continue
                }
                state.ledger.plan(decision, content: content, stream: stream, pieces: pieces, now_ms: now_ms)
                paths[name] = content.path
                if !pieces.isEmpty || state.files[content.path]?.changed_ns != facts.changed_ns {
                    state.files[content.path] = ForeignState.File(
                        device: facts.device, inode: facts.inode, size: facts.size, modified_ns: facts.modified_ns,
                        changed_ns: facts.changed_ns,
                        sample: try ForeignLogs.sample(content.path, size: facts.size), bytes: content.bytes,
                        sha256: content.sha256, stream: stream.name)
                }
            } catch is ReadingStopped {
                isWhole = false
            } catch {
                scan.faults.append("\(content.path) cannot be read and is not shipped: \(error)")
                isWhole = false
            }
        }
        return isWhole
    }

    /// Tells what was planned of files that are gone for three whole looks: the rotation deleted them.
    private func tellVanished(of whole: Set<String>, scan: inout Scan) {
        var stillMissing: [String: Int] = [:]
        for writer in state.ledger.writers
        where !writer.pending.isEmpty && paths[writer.name] == nil && writer.isToldGone == nil {
            let count = (missing[writer.name] ?? 0) + (whole.contains(writer.stream) ? 1 : 0)
            guard count >= 3 else {
                stillMissing[writer.name] = count
                continue
            }
            let file = writer.pending.last?.file ?? ""
            let lines = state.ledger.tellGone(writer: writer.name)
            scan.faults.append(
                "\(file) of stream \(writer.stream) vanished before it was shipped: \(lines) lines are lost unless it "
                    + "comes back; keep more rotated files")
        }
        missing = stillMissing
    }

    private func save(_ scan: inout Scan) -> Bool {
        guard state != saved else { return true }
        do {
            try state.save(statePath)
            saved = state
            return true
        } catch {
            scan.faults.append("the state of foreign logs cannot be written, so none is shipped: \(error)")
            return false
        }
    }
}
