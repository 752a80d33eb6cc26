import DurableIO
import EventModel
import Glibc
import TestSupport
import Testing

/// A folder with a spool and a store, and a record of what programs did to it.
final class PowerCutWorld: Sendable {
    let program: ShipperProgram
    /// What lay there when recording began.
    private let start: ScratchFolder

    var folder: ScratchFolder { program.folder }
    /// The folder that is recorded: spool, store and state are in it.
    var root: String { folder.path }
    /// The record, which is not in the folder.
    var log: String { start["record"] }
    subscript(_ name: String) -> String { folder[name] }

    init() throws {
        program = try ShipperProgram(more: "dead_after: 100ms")
        start = try ScratchFolder()
        try DurableFile.makeDirectory(start["begun"])
    }

    /// A spool with the segments of a writer that ended and of one that was killed with an open segment.
    static func withSpool() async throws -> PowerCutWorld {
        let world = try PowerCutWorld()
        for (end, seal) in [("close", 1500), ("exit", 900)] {
            let writer = try ChildProcess(
                BuiltPrograms.debug("event-writer-probe"),
                [world["spool"], "20", "0", "seal_bytes=\(seal)", "flush=5", "end=\(end)"])
            #expect(try await writer.end() == 0)
        }
        let image = try world.image()
        try image.write(from: world.root, to: world.start["begun"])
        try image.write(from: world.root, to: world.root)
        return world
    }

    /// Runs a program to its end and records what it does in the folder.
    func record(_ path: String, _ arguments: [String]) async throws {
        let running = try ChildProcess(
            path, arguments, environment: try FileRecorder.environment(root: root, log: log), output: start["output"])
        #expect(try await running.end() == 0, "see \(start["output"])")
    }

    /// Runs the shipper once through and records what it does in the folder.
    func ship(dieAfter: Int? = nil) async throws {
        let running = try ChildProcess(
            BuiltPrograms.debug("nadi-shipper"), ["run", "--once", "--config", folder["shipper.yaml"]],
            environment: try FileRecorder.environment(root: root, log: log, dieAfter: dieAfter),
            output: start["output"])
        let status = try await running.end()
        #expect(status == 0 || dieAfter != nil, "the shipper ended with \(status)")
    }

    /// The files as they are now.
    func image() throws -> DiskImage { DiskImage(files: try DiskModel(reading: root).live) }

    /// The files as they were when recording began.
    var begun: DiskImage {
        get throws { DiskImage(files: try DiskModel(reading: start["begun"]).live) }
    }

    /// A disk with what lay there when recording began, under the names that the programs use.
    func disk() throws -> DiskModel { try DiskModel(reading: start["begun"], as: root) }

    /// Cuts the power after each record of a writer, and looks for what it had promised.
    func checkWriter(segments: Int, events: Int) async throws {
        let records = try FileRecord.read(log)
        #expect(records.count > 50, "the recorder saw too little: \(records.count) records")
        var disk = try disk()
        var promised: Set<[UInt8]> = []
        var begun: Set<SegmentPlace> = []
        for (index, record) in records.enumerated() {
            disk.apply(record)
            if record.kind == .open, let name = SegmentName(DiskImage.base(record.path)), name.isOpen {
                // It goes on to the next: those before are sealed.
                begun.insert(SegmentPlace(writer: name.writer.text, seq: name.seq))
                promised.formUnion(
                    DiskImage(files: disk.live).events(open: false, upTo: name.seq - 1, of: name.writer.text))
            }
            if record.kind == .say, record.data.starts(with: Array("counts".utf8)) {
                promised.formUnion(DiskImage(files: disk.live).events(open: false))
            }
            if promised.isEmpty { continue }
            try expect(promised, index, record, disk, PowerCutTests.cuts)
        }
        #expect(begun.count >= segments, "only \(begun.count) segments")
        #expect(promised.count == events)
    }

    /// Cuts the power after each record of a shipper; returns how many records there were.
    func checkShipper(from first: Int = 0, cuts: [DiskModel.Cut] = PowerCutTests.cuts) async throws -> Int {
        let records = try FileRecord.read(log)
        let promised = try begun.events(open: true)
        #expect(promised.count == 40)
        var disk = try disk()
        for (index, record) in records.enumerated() {
            disk.apply(record)
            if index >= first { try expect(promised, index, record, disk, cuts) }
        }
        return records.count
    }

    private func expect(
        _ promised: Set<[UInt8]>, _ index: Int, _ record: FileRecord, _ disk: DiskModel, _ cuts: [DiskModel.Cut]
    ) throws {
        // What only reads or closes leaves the disk as it was.
        if record.kind == .close { return }
        for cut in cuts {
            let lost = promised.subtracting(try DiskImage(files: disk.after(cut)).lines())
            let isWhole = lost.isEmpty
            #expect(isWhole, "after record \(index) (\(record.kind) \(record.path)), \(cut): \(lost.count) lines are lost")
        }
    }
}
