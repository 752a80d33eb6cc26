import DurableIO
import EventModel
import Glibc
import ObjectStorage
import TestSupport
import Testing

@testable import ObjectShipping

/// Disks that refuse, quotas, limits and clocks, under real writers with the real shipper beside them.
@Suite(.timeLimit(.minutes(5)))
struct WriterDiskTests {
    /// One client, and one thing that goes wrong.
    struct Case: Sendable, CustomTestStringConvertible {
        let client: WriterDriver.Client
        let call: String
        let kind: String
        let code: Int32

        var testDescription: String { "\(client) \(call) \(kind) \(code)" }

        static func all(_ faults: [(String, String, Int32)]) -> [Case] {
            WriterDriver.Client.available.flatMap { client in
                faults.map { Case(client: client, call: $0.0, kind: $0.1, code: $0.2) }
            }
        }
    }

    /// The kernel says once that bytes may be gone: everything since the last seal is written again.
    @Test(arguments: Case.all([("fsync", "fail", EDQUOT), ("fsync", "fail", ENOSPC), ("fsync", "fail", EIO)]))
    func aFailingSyncLosesNothing(_ fault: Case) async throws {
        let stage = try WriterStage()
        let disk = try FaultyDisk(in: stage.program.folder.path)
        let writer = try stage.writer(fault.client, "seal_age=0.3", environment: disk.environment)
        try await writer.log(30)
        let old = try await writer.name()
        try disk.fail(fault.call, fault.kind, fault.code)
        try await writer.run("append 30 10")
        #expect(try await eventually { try await writer.name() != old })
        try disk.heal()
        _ = try await writer.logUntilPromised()
        try await writer.log(30)
        #expect(try await writer.counts().dropFirst(2).allSatisfy { $0 == 0 })
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer], repeats: true)
        #expect(ends[old]?.adopted == true || ends[old]?.end == true)
        #expect(ends.values.filter { !$0.adopted }.count == 1)
    }

    /// A quota may stand in the way of the new name: the seal waits, and nothing is written twice.
    @Test(arguments: Case.all([("rename", "fail", EDQUOT), ("rename", "fail", EIO)]))
    func aFailingRenameOnlyDelaysTheSeal(_ fault: Case) async throws {
        let stage = try WriterStage()
        let disk = try FaultyDisk(in: stage.program.folder.path)
        let writer = try stage.writer(fault.client, "seal_age=0.3", environment: disk.environment)
        try disk.fail(fault.call, fault.kind, fault.code)
        try await writer.log(30)
        // The `writer` line stands, the name does not change; events wait in memory.
        let open = "\(stage.spool)/\(try await writer.name())-0.open"
        #expect(
            try await eventually {
                String(decoding: try DurableFile.read(path: open), as: UTF8.self).contains("\"type\":\"writer\"")
            })
        #expect(try await writer.run("append 30 10").contains("accepted 30"))
        #expect(try await writer.run("flush").contains("not flushed"))
        #expect(access(open, F_OK) == 0)
        try disk.heal()
        #expect(try await eventually { try await writer.run("flush").contains("flushed") })
        _ = try await writer.logUntilPromised()
        #expect(try await writer.counts().dropFirst(2).allSatisfy { $0 == 0 })
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer])
        #expect(ends.count == 1 && ends.values.allSatisfy { !$0.adopted })
    }

    /// A disk that takes nothing, or half a line: what it refuses is dropped and counted, where a crash cannot lose it.
    @Test(
        arguments: Case.all([
            ("write", "torn", ENOSPC), ("write", "fail", EDQUOT), ("write", "fail", EROFS), ("write", "fail", EIO),
        ]))
    func whatTheDiskRefusesIsCounted(_ fault: Case) async throws {
        let stage = try WriterStage()
        let disk = try FaultyDisk(in: stage.program.folder.path)
        let writer = try stage.writer(fault.client, "seal_age=60", environment: disk.environment)
        try await writer.log(30)
        let name = try await writer.name()
        try disk.fail(fault.call, fault.kind, fault.code)
        for _ in 0..<5 { try await writer.run("log 20") }
        // Dropped by the writing thread before anybody flushes: no flush may vouch for it.
        try await writer.run("append 1 10")
        try await Task.sleep(for: .milliseconds(300))
        #expect(try await writer.run("flush").contains("not flushed"))
        let counts = try await writer.counts()
        let isFull = fault.code == ENOSPC || fault.code == EDQUOT
        let dropped = isFull ? counts[3] : counts[4]
        #expect(dropped > 0 && counts[2...].reduce(0, +) == dropped)
        let lock = "\(stage.spool)/\(name).lock"
        #expect(try await eventually { LockRecord.read(lock)?.counts.dropped.total == dropped })
        try disk.heal()
        try await writer.log(30)
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer])
        let end = try #require(ends[name])
        #expect(!end.adopted && end.counts.dropped.total == dropped)
        #expect((isFull ? end.counts.dropped.disk_full : end.counts.dropped.io_error) == dropped)
        // Each event is there or counted; a line that was cut is there besides.
        let events = try await storedEvents(stage)
        #expect(events == writer.promised.count + 101 - dropped)
        let fragments = end.counts.written - events - 1
        #expect(fault.kind == "torn" ? fragments > 0 : fragments == 0)
    }

    private func storedEvents(_ stage: WriterStage) async throws -> Int {
        let segments = try await stage.program.segments(try stage.program.store())
        return segments.values.joined().count {
            JSONValue.parse(prefixOf: Array($0.utf8))?["type"]?.string == "prediction"
        }
    }

    /// A killed writer's losses are known from its lock file.
    @Test(arguments: WriterDriver.Client.available)
    func theLossesOfAKilledWriterAreKnown(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let disk = try FaultyDisk(in: stage.program.folder.path)
        let writer = try stage.writer(client, "seal_age=60", environment: disk.environment)
        try await writer.log(30)
        let name = try await writer.name()
        try disk.fail("write", "fail", ENOSPC)
        try await writer.run("log 20")
        try await writer.run("wrong 3")
        try await writer.run("huge 2")
        let lock = "\(stage.spool)/\(name).lock"
        let wanted = DropCounts(disk_full: 20, too_large: 2, invalid: 3)
        #expect(try await eventually { LockRecord.read(lock)?.counts.dropped == wanted })
        try await writer.kill()
        let ends = try await stage.judge([writer])
        #expect(ends[name]?.adopted == true && ends[name]?.counts.dropped == wanted)
    }

    /// Writes that take a part, or are interrupted, are gone on with: no line is cut.
    @Test(arguments: Case.all([("write", "short", 0), ("write", "interrupted", 0)]))
    func writesThatTakeAPartAreGoneOnWith(_ fault: Case) async throws {
        let stage = try WriterStage()
        let disk = try FaultyDisk(in: stage.program.folder.path)
        let writer = try stage.writer(fault.client, "seal_age=0.3", environment: disk.environment)
        try disk.fail(fault.call, fault.kind, fault.code)
        for _ in 0..<5 { try await writer.log(40) }
        let name = try await writer.name()
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer])
        #expect(ends.count == 1 && ends[name]?.counts.dropped.total == 0)
        #expect(try await storedEvents(stage) == 200)
    }

    /// No descriptors left for a while.
    @Test(arguments: WriterDriver.Client.available)
    func withoutDescriptorsItGoesOnLater(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let disk = try FaultyDisk(in: stage.program.folder.path)
        let writer = try stage.writer(client, "seal_age=0.3", environment: disk.environment)
        try await writer.log(30)
        #expect(try await eventually { try !stage.files().contains { $0.hasSuffix(".open") } })
        try disk.fail("open", "fail", EMFILE)
        try await writer.run("log 20")
        try disk.heal()
        let tries = try await writer.logUntilPromised()
        let dropped = try await writer.counts()[4]
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer])
        #expect(ends.count == 1)
        #expect(try await storedEvents(stage) == 50 + tries - dropped)
    }

    /// A service that asked for it waits for the disk, and loses nothing.
    @Test(arguments: WriterDriver.Client.available)
    func aWriterThatBlocksWaitsForTheDisk(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let disk = try FaultyDisk(in: stage.program.folder.path)
        let writer = try stage.writer(
            client, "seal_age=60", "block=1", "buffer=65536", environment: disk.environment)
        try await writer.log(10)
        try disk.fail("write", "torn", ENOSPC)
        try writer.write("append 200 1000")
        try await Task.sleep(for: .seconds(1))
        #expect(!writer.log.contains("accepted"), "200 kB found room in a buffer of 64 KiB")
        try disk.heal()
        #expect(try await writer.answer(to: "append").contains("accepted 200"))
        try await writer.log(10)
        #expect(try await writer.counts().dropFirst(2).allSatisfy { $0 == 0 })
        try await writer.closeAndEnd()
        _ = try await stage.judge([writer])
        #expect(try await storedEvents(stage) == 220)
    }

    /// The kernel's own limit on a file's size cuts a line in two.
    @Test(arguments: WriterDriver.Client.available)
    func aLimitOnFilesCutsALineAndIsCounted(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(client, "seal_age=60", wrapper: ["prlimit", "--fsize=20000:unlimited"])
        for _ in 0..<12 { try await writer.run("log 10") }
        let dropped = try await writer.counts()[3]
        #expect(dropped > 0 && writer.promised.count < 120)
        let prlimit = try ChildProcess("prlimit", ["--pid", "\(writer.processID)", "--fsize=unlimited"])
        #expect(try await prlimit.end() == 0)
        try await writer.log(10)
        let name = try await writer.name()
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer])
        let end = try #require(ends[name])
        #expect(!end.adopted && end.counts.dropped == DropCounts(disk_full: dropped))
        let events = try await storedEvents(stage)
        #expect(events == 130 - dropped && end.counts.written == events + 2, "one line was cut")
    }

    /// A line is cut just before its newline: the event is in the file, is not written again and not counted as dropped.
    @Test(arguments: WriterDriver.Client.available, [false, true])
    func anEventThatLacksOnlyItsNewlineIsThereOnce(_ client: WriterDriver.Client, blocks: Bool) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(
            client, "seal_age=60", blocks ? "block=1" : "block=0", wrapper: ["prlimit", "--fsize=1000000:unlimited"])
        try await writer.log(20)
        let name = try await writer.name()
        let open = try DurableFile.read(path: "\(stage.spool)/\(name)-0.open")
        let length = open.count - (open.dropLast().lastIndex(of: 0x0A) ?? 0) - 1
        func limit(_ bytes: String) async throws {
            let prlimit = try ChildProcess("prlimit", ["--pid", "\(writer.processID)", "--fsize=\(bytes):unlimited"])
            #expect(try await prlimit.end() == 0)
        }
        try await limit("\(open.count + 3 * length - 1)")
        try await writer.run("append 10 0")
        #expect(try await writer.run("flush").contains("not flushed"))
        let counts = try await writer.counts()
        try await limit("unlimited")
        #expect(try await eventually { try await writer.run("flush").contains("flushed") })
        try await writer.log(10)
        try await writer.closeAndEnd()
        let end = try #require(try await stage.judge([writer])[name])
        // All written at once, or the first of them in a round before the others.
        #expect(end.counts.dropped.disk_full == counts[3] && (blocks ? counts[3] == 0 : counts[3] == 7))
        #expect(try await storedEvents(stage) == 40 - counts[3])
        #expect(end.counts.written == 40 - counts[3] + 1, "no line was cut")
    }

    /// The spool's disk fills up while nobody ships; then the shipper drains it, and it goes on by itself.
    @Test(
        .enabled(if: SmallDisk.mayMount, "needs the right to mount a tmpfs"),
        arguments: WriterDriver.Client.available)
    func aFullDiskIsDrainedAndGoesOn(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let disk = try SmallDisk(over: stage.spool, "size=512k")
        stage.shipper.send(SIGSTOP)
        let writer = try stage.writer(client, "seal_age=1", "seal_bytes=100000")
        var accepted = 0
        for _ in 0..<8 {
            try await writer.run("append 40 3000")
            accepted += 40
            try await writer.run("flush")
        }
        let dropped = try await writer.counts()[3]
        #expect(dropped > 0)
        let name = try await writer.name()
        #expect(
            try await eventually { LockRecord.read("\(stage.spool)/\(name).lock")?.counts.dropped.disk_full == dropped }
        )
        stage.shipper.send(SIGCONT)
        #expect(
            try await eventually {
                let before = writer.promised.count
                try await writer.run("log 1")
                accepted += 1
                return writer.promised.count > before
            }, "\(stage.program.log)")
        let counts = try await writer.counts()
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer])
        #expect(ends[name]?.adopted == false && ends[name]?.counts.dropped == DropCounts(disk_full: counts[3]))
        #expect(try await storedEvents(stage) == accepted - counts[3])
        withExtendedLifetime(disk) {}
    }

    /// The clock is set back by two hours while a segment is open: no event lies in the future of its seal.
    @Test(arguments: WriterDriver.Client.available)
    func aClockSetBackLeavesEveryEventInTime(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let disk = try FaultyDisk(in: stage.program.folder.path)
        let writer = try stage.writer(client, "seal_age=1", environment: disk.environment)
        try await writer.log(20)
        try disk.fail("clock", "jump", -7200)
        try await writer.log(20)
        #expect(try await eventually { try !stage.files().contains { $0.hasSuffix("-0.open") } })
        try await writer.log(20)
        try await writer.closeAndEnd()
        _ = try await stage.judge([writer])
        let segments = try await stage.program.segments(try stage.program.store())
        for lines in segments.values {
            let times = lines.compactMap { JSONValue.parse(prefixOf: Array($0.utf8))?["time"]?.string }
                .compactMap { Timestamp.parse($0) }
            let sealed = try #require(times.last)
            #expect(times.allSatisfy { $0 <= sealed + 600_000 })
        }
        // Later segments are of the new clock.
        let seals = segments.values.compactMap { WriterLine(Array(($0.last ?? "").utf8))?.time_ms }
        #expect((seals.max() ?? 0) - (seals.min() ?? 0) > 7_000_000)
    }
}
