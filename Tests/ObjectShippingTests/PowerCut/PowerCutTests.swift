import DurableIO
import EventModel
import Glibc
import TestSupport
import Testing

/// The power goes at any moment: what the real programs did to the disk is recorded, and replayed on a disk that forgets
/// what was not synchronised, up to each of their system calls.
@Suite(.timeLimit(.minutes(5))) struct PowerCutTests {
    /// What is left after a cut that is not checked by chance alone.
    static let cuts: [DiskModel.Cut] = [.forgetful, .lucky, .random(1), .random(2), .random(3)]

    /// Swift's writer: once it begins the next segment, or has said that it is closed, no line of those before is lost.
    @Test func theSwiftWriter() async throws {
        let world = try PowerCutWorld()
        try await world.record(
            BuiltPrograms.debug("event-writer-probe"),
            [world["spool"], "60", "0", "seal_bytes=2000", "flush=7", "payload=40"])
        try await world.checkWriter(segments: 4, events: 60)
    }

    /// Python's writer makes the same promise.
    @Test(.enabled(if: TestServers.python != nil, "set NADI_TEST_PYTHON, or use Tests/run"))
    func thePythonWriter() async throws {
        let world = try PowerCutWorld()
        let text = """
            import os, sys
            sys.path.insert(0, "\(BuiltPrograms.root)/clients/python")
            import nadi
            log = nadi.EventWriter(sys.argv[1], service="test", seal_bytes=4096)
            for number in range(120):
                log.prediction("m", "1", prediction="yes", features={"number": number})
                if number % 7 == 6: log.flush()
            log.close()
            if not any(name.endswith(".lock") for name in os.listdir(sys.argv[1])): os.write(1, b"counts\\n")
            """
        try DurableFile.replace(path: world.folder["writer.py"], bytes: Array(text.utf8))
        try await world.record(try #require(TestServers.python), [world.folder["writer.py"], world["spool"]])
        try await world.checkWriter(segments: 4, events: 120)
    }

    /// The shipper, with a writer that ended well and one that died: no line leaves the spool before it is in the store.
    @Test func theShipper() async throws {
        let world = try await PowerCutWorld.withSpool()
        try await world.ship()
        let finds = try await world.checkShipper()
        #expect(finds > 40, "the recorder saw too little: \(finds) records")
        #expect(try world.image().spooled.isEmpty)
    }

    /// A shipper dies, another one goes on with what it finds, and the power goes then: what the first had not yet
    /// synchronised is still not on the disk.
    @Test func theShipperThatFollowsOneThatDied() async throws {
        let whole = try await PowerCutWorld.withSpool()
        try await whole.ship()
        let count = try FileRecord.read(whole.log).count
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, place) in stride(from: 1, through: count, by: max(1, count / 16)).enumerated() {
                if number >= 3 { try await group.next() }
                group.addTask {
                    let world = try await PowerCutWorld.withSpool()
                    try await world.ship(dieAfter: place)
                    let before = try FileRecord.read(world.log).count
                    try await world.ship()
                    _ = try await world.checkShipper(from: before, cuts: [.forgetful, .random(UInt64(place))])
                }
            }
            try await group.waitForAll()
        }
    }

    /// What a cut leaves is adopted, shipped and complete, and no number of a segment stands for two contents.
    @Test func afterACutTheShipperGoesOn() async throws {
        let world = try await PowerCutWorld.withSpool()
        try await world.ship()
        let records = try FileRecord.read(world.log)
        let promised = try world.begun.events(open: true)
        var disk = try world.disk()
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            for (index, record) in records.enumerated() {
                disk.apply(record)
                guard index % 3 == 0 else { continue }
                let cut = Self.cuts[index / 3 % Self.cuts.count]
                let image = DiskImage(files: disk.after(cut))
                if running >= 3 { try await group.next() }
                running += 1
                group.addTask {
                    let next = try PowerCutWorld()
                    try image.write(from: world.root, to: next.root)
                    try await next.ship()
                    let after = try next.image()
                    let stored = try after.stored()
                    let lines = Set(stored.values.flatMap { $0.flatMap(DiskImage.lines) })
                    #expect(promised.isSubset(of: lines), "record \(index), \(cut): lines are lost")
                    for (place, copies) in stored {
                        #expect(Set(copies).count == 1, "record \(index), \(cut): \(place) has two contents")
                    }
                    #expect(after.spooled.isEmpty, "record \(index), \(cut): something stays in the spool")
                }
            }
            try await group.waitForAll()
        }
    }
}
