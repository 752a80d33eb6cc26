import DurableIO
import EventModel
import EventSegments
import ServiceSupport
import Synchronization

/// Where segments are read from: the spool's files and the foreign logs.
final class BundleSource: Sendable {
    /// An object that was made.
    struct Made: Sendable {
        var bundle: Bundle
        var proof: UploadProof
        var key: String
    }

    /// What came of making an object.
    struct Outcome: Sendable {
        var made: Made?
        var included: [SegmentID] = []
        /// What could not be read, and why; it stays in the spool.
        var failed: [SegmentID: String] = [:]
        /// One sentence for each segment that is not what its name says and was put aside.
        var damaged: [String] = []
    }

    /// How much may be added to an object that is full, bytes.
    private static let smallBytes = 1 << 20

    private let host: String
    private let prefix: String
    private let foreign: Mutex<ForeignLogs?>

    private let looking = ReadingWatch()
    private let shipping = ReadingWatch()

    /// - Parameters:
    ///   - streams: the foreign logs; empty for none.
    ///   - stateDirectory: where their state is kept.
    init(host: String, prefix: String, streams: [StreamConfiguration], stateDirectory: String) {
        self.host = host
        self.prefix = prefix
        foreign = Mutex(
            streams.isEmpty
                ? nil
                : ForeignLogs(
                    streams: streams, host: host, stateDirectory: stateDirectory, looking: looking, shipping: shipping))
    }

    /// For how long a look at the foreign logs has made no progress, milliseconds.
    var stalled_ms: Int64 { looking.stalled_ms }

    /// Ends looks at foreign logs after a while: what is large and not planned yet is left for the next start.
    func stopLooking(within_ms: Int64) { looking.stop(within_ms: within_ms) }

    /// Ends all reading of foreign logs.
    func abandon() {
        looking.stop(within_ms: 0)
        shipping.stop(within_ms: 0)
    }

    /// Looks through the foreign logs; nil when none are configured.
    ///
    /// Blocks for as long as files are read.
    func scanForeign() -> ForeignLogs.Scan? {
        foreign.withLock { logs in
            looking.watching {
                logs?.scan(now_ms: SystemTime.now_ms(), steady_ms: SystemTime.monotonic_ns() / 1_000_000)
            }
        }
    }

    /// The time that the bucket must be asked for before the first look; nil when nothing is to be asked.
    func history() -> ClosedRange<Int64>? {
        foreign.withLock { $0?.history(now_ms: SystemTime.now_ms()) }
    }

    /// Takes over what the bucket knows of foreign logs; nil when it may not be asked.
    ///
    /// Blocks for as long as files are read.
    ///
    /// - Returns: a fault, one sentence.
    func recall(_ stored: [Manifest.Segment]?) -> String? {
        foreign.withLock { logs in
            looking.watching { logs?.recall(stored, now_ms: SystemTime.now_ms()) }
        }
    }

    /// Notes that foreign segments are proven.
    ///
    /// - Returns: faults, one sentence each.
    func shippedForeign(_ ids: [SegmentID]) -> [String] {
        foreign.withLock { logs in logs?.shipped(ids) ?? [] }
    }

    /// Takes other streams over from now on; what is remembered of the old ones stays where they are the same.
    func configure(streams: [StreamConfiguration], stateDirectory: String) {
        foreign.withLock { logs in
            logs =
                streams.isEmpty
                ? nil
                : ForeignLogs(
                    streams: streams, host: host, stateDirectory: stateDirectory, looking: looking, shipping: shipping)
        }
    }

    /// Makes an object of segments; those that cannot be read are left out, and so is what would make it too large.
    ///
    /// Blocks for reading and compression: about 3 ms for each MiB. Memory: the object, which has at most one and a half
    /// times the limit unless its first segment alone comes to more.
    ///
    /// - Parameters:
    ///   - segments: which, in the order of the object, with their sizes.
    ///   - limit: no further segment is added once the object has this size, in bytes.
    func make(_ segments: [(id: SegmentID, rawBytes: Int)], limit: Int) -> Outcome {
        var outcome = Outcome()
        let cap = limit + limit / 2
        // Memory that is never written to is never used. The first segment may go beyond the cap.
        var builder = BundleBuilder(
            host: host, expectedBytes: max(cap, ForeignReading.longestPiece) + BundleSource.smallBytes)
        var raw = 0
        var small = BundleSource.smallBytes
        for (id, rawBytes) in segments {
            var room = cap
            if builder.count > 0 {
                // What would not fit, as far as this object's own ratio tells, is not begun; what is small goes along, so
                // that it never waits for others that come before it only by their writer's name.
                let expected = Double(rawBytes) * Double(builder.compressedBytes) / Double(max(1, raw))
                let isFull = builder.compressedBytes >= limit || builder.compressedBytes + Int(expected) > cap
                let isSmall = rawBytes + rawBytes / 16 <= small
                if isFull, !isSmall { continue }
                if isFull {
                    small -= rawBytes + rawBytes / 16
                    room = .max
                }
            }
            do {
                let before = builder.count
                if ForeignLogs.owns(id) {
                    try foreign.withLock { logs in _ = try logs?.add(id, cap: room, to: &builder) }
                } else {
                    try addNative(id, rawBytes: rawBytes, cap: room, to: &builder)
                }
                if builder.count == before { continue }
                raw += rawBytes
                outcome.included.append(id)
            } catch let error as SystemError where error.isNotFound {
                // Retired by an earlier object, or removed by somebody: the next scan will tell.
                outcome.failed[id] = "its file is gone"
            } catch is ReadingStopped {
                outcome.failed[id] = "the program ends"
            } catch let error as ObjectFormatError where error.code == .damagedSegment && !ForeignLogs.owns(id) {
                putAside(id, because: error, &outcome)
            } catch {
                outcome.failed[id] = "it cannot be read and stays in the spool: \(error)"
            }
        }
        guard builder.count > 0 else { return outcome }
        let bundle = builder.finish()
        let key = bundle.key(prefix: prefix).path
        let proof = UploadProof(
            key: key, size: bundle.object.count, sha256: bundle.sha256, md5: hex(MD5.hash(bundle.object)))
        outcome.made = Made(bundle: bundle, proof: proof, key: key)
        return outcome
    }

    /// Renames a damaged segment, so that it is never shipped and never removed; the others go on.
    private func putAside(_ id: SegmentID, because error: ObjectFormatError, _ outcome: inout Outcome) {
        let path = id.path + Spool.damagedSuffix
        do {
            try DurableFile.rename(from: id.path, to: path)
            outcome.failed[id] = "it was damaged and is put aside"
            outcome.damaged.append("\(error); it is put aside as \(path)")
        } catch {
            outcome.failed[id] = "it was damaged after it was sealed, and cannot be put aside: \(error)"
        }
    }

    /// Adds a segment of our own writers, unless the object would become too large.
    private func addNative(_ id: SegmentID, rawBytes: Int, cap: Int, to builder: inout BundleBuilder) throws {
        let folder = DurableFile.folder(of: id.path)
        let file = String(id.path.dropFirst(folder.utf8.count + 1))
        guard let name = SegmentName(file) else {
            throw ObjectFormatError(.changedSegment, "\(id.path) is not the name of a segment")
        }
        let line = try SegmentTail.readWriterLine(path: id.path, size: rawBytes)
        if let line, line.writer != id.writer || line.segment != id.seq {
            throw ObjectFormatError(
                .damagedSegment,
                "\(file) ends with the line of segment \(line.segment) of \(line.writer): it was damaged or renamed "
                    + "after it was sealed")
        }
        // A segment sealed for a dead writer has no line of its own: its writer's adopted end tells what it was.
        let replay = line?.replay ?? BundleSource.adoptedEnd(of: name, in: folder)?.replay ?? false
        let identity = BundleBuilder.Identity(
            writer: id.writer, seq: id.seq, sealed_ms: name.sealed_ms, file: file, end: name.isEnd,
            adopted: line?.adopted ?? true, replay: replay)
        try builder.add(identity, rawBytes: rawBytes, lines: name.lines, cap: cap) { sink in
            try FileReading.pieces(of: id.path, count: rawBytes + 1, sink)
        }
    }

    /// The `writer` line of the end that was made for a dead writer, where it lies beside the segment.
    private static func adoptedEnd(of name: SegmentName, in folder: String) -> WriterLine? {
        let end = SegmentName(writer: name.writer, seq: name.seq + 1, sealed_ms: name.sealed_ms, lines: 1, isEnd: true)
        guard let bytes = try? DurableFile.read(path: "\(folder)/\(end.fileName)", limit: SegmentTail.bytes) else {
            return nil
        }
        return SegmentTail.writerLine(tail: bytes)
    }
}
