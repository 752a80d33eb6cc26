import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectStorage
import TestSupport
import Testing

/// The shipper at work on a spool, and what it has stored.
struct WriterStage {
    let program: ShipperProgram
    let shipper: ChildProcess
    static let deadAfter = 2.0

    init() throws {
        program = try ShipperProgram(more: "dead_after: \(Int(Self.deadAfter))s")
        shipper = try program.start("run")
    }

    var spool: String { program.folder["spool"] }

    func writer(
        _ client: WriterDriver.Client, _ options: String..., wrapper: [String] = [],
        environment: [String: String] = [:]
    ) throws -> WriterDriver {
        try WriterDriver(
            client, spool: spool, in: program.folder.path, options: options, wrapper: wrapper,
            environment: environment)
    }

    func files() throws -> [String] { try program.waiting() }

    /// What a failing test should show.
    var story: String { "\((try? files()) ?? []) \(program.log)" }

    /// Longer than a writer may be quiet and free before it is taken for dead.
    func waitBeyondDeath() async throws { try await Task.sleep(for: .seconds(WriterStage.deadAfter + 1.5)) }

    /// Waits until the spool is empty, stops the shipper, and judges the store: the promised ids are there, once
    /// unless repeats are allowed; every writer is whole. Returns each writer's end line.
    func judge(
        _ writers: [WriterDriver], repeats: Bool = false, _ place: SourceLocation = #_sourceLocation
    ) async throws -> [String: WriterLine] {
        #expect(
            try await eventually(within: 40) { try files().isEmpty }, "\(story)",
            sourceLocation: place)
        shipper.send(SIGTERM)
        #expect(try await shipper.end() == 0, "\(program.log)", sourceLocation: place)
        let segments = try await program.segments(try program.store())
        // A line that was cut off begins like an event, and is none.
        let whole = segments.values.joined().filter { JSONValue.parse(prefixOf: Array($0.utf8)) != nil }
        let ids = eventIDs(whole)
        let promised = Set(writers.flatMap(\.promised))
        #expect(
            promised.isSubset(of: Set(ids)), "missing: \(promised.subtracting(ids).count)", sourceLocation: place)
        if !repeats { #expect(ids.count == Set(ids).count, sourceLocation: place) }
        return try ends(segments, place)
    }

    /// Each writer's segments: numbers without a gap, an end, and counts that add up to the lines.
    private func ends(
        _ segments: [SegmentID2: [String]], _ place: SourceLocation
    ) throws -> [String: WriterLine] {
        var ends: [String: WriterLine] = [:]
        for (writer, all) in Dictionary(grouping: segments, by: \.key.writer) {
            let sorted = all.sorted { $0.key.seq < $1.key.seq }
            #expect(sorted.map(\.key.seq) == Array(0..<sorted.count), "\(writer)", sourceLocation: place)
            let last = try #require(sorted.last?.value.last, sourceLocation: place)
            let line = try #require(WriterLine(Array(last.utf8)), "\(last)", sourceLocation: place)
            #expect(line.end, "\(writer) has no end", sourceLocation: place)
            let lines = sorted.reduce(0) { $0 + $1.value.count }
            #expect(line.counts.written == lines, "\(writer)", sourceLocation: place)
            #expect(
                line.counts.appended == line.counts.written + line.counts.dropped.total, "\(writer)",
                sourceLocation: place)
            ends[writer] = line
        }
        return ends
    }
}

/// A file system of a test's own that soon is full.
final class SmallDisk: Sendable {
    private let place: String

    /// Mounts a tmpfs over a folder.
    ///
    /// - Parameter options: as mount(8) takes them, such as `size=256k`.
    init(over place: String, _ options: String, flags: UInt = 0) throws {
        try #require(mount("tmpfs", place, "tmpfs", flags, options) == 0, "\(String(cString: strerror(errno)))")
        self.place = place
    }

    deinit { umount2(place, 2 /* MNT_DETACH */) }

    /// Whether this user may mount such a file system.
    static func mayMount(_ options: String) -> Bool {
        guard let folder = try? ScratchFolder(), mount("tmpfs", folder.path, "tmpfs", 0, options) == 0 else {
            return false
        }
        umount2(folder.path, 2)
        return true
    }

    static let mayMount = mayMount("size=64k")
}
