import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectStorage
import TestSupport
import Testing

@testable import ObjectShipping

/// A file is what it holds: not its inode, not how it begins, not how large it is, not what points to it.
@Suite struct FileIdentityTests {
    /// The same inode, size and time of modification with other bytes, which is what a file system may hand out again.
    @Test func anInodeUsedAgainIsAnotherFile() throws {
        let log = try LogFolder()
        try log.write("app.log.1", "{\"n\":1}\n{\"n\":2}\n")
        try log.look()
        let path = log.folder["log/app.log.1"]
        var before = stat()
        #expect(stat(path, &before) == 0)
        let file = open(path, O_WRONLY)
        _ = write(file, "{\"n\":7}\n{\"n\":8}\n", 16)
        close(file)
        var times = [before.st_atim, before.st_mtim]
        utimensat(AT_FDCWD, path, &times, 0)
        var after = stat()
        #expect(stat(path, &after) == 0)
        #expect(after.st_ino == before.st_ino && after.st_size == before.st_size)
        try log.look()
        try log.restart()
        try log.look()
        #expect(log.lines == [1, 2, 7, 8].map { "{\"n\":\($0)}" })
        #expect(log.shipped.count == 2)
    }

    /// A hard link to what was shipped, and a new file in the place of one that was removed.
    @Test func aNameGivenAgainIsAnotherFile() throws {
        let log = try LogFolder()
        for number in 0..<6 {
            try log.write("app.log.1", "{\"n\":\(number)}\n")
            try log.look()
            unlink(log.folder["log/app.log.1"])
            if number == 3 { try log.restart() }
        }
        #expect(log.lines == (0..<6).map { "{\"n\":\($0)}" })
        #expect(log.shipped.count == 6)
    }

    /// Files of a byte, of one equal line, and of a kilobyte of equal lines.
    @Test func shortFilesAndEqualBeginningsAreAllShipped() throws {
        let log = try LogFolder()
        let line = "{\"n\":1}\n"
        try log.write("app.log.1", "1")
        try log.write("app.log.2", line)
        try log.write("app.log.3", line + "{\"n\":3}\n")
        try log.write("app.log.4", String(repeating: line, count: 200) + "{\"n\":4}\n")
        try log.write("app.log.5", String(repeating: line, count: 200) + "{\"n\":5}\n")
        try log.write("app.log.6", "")
        try log.look()
        let distinct = Set(log.lines)
        #expect(distinct == ["1", "{\"n\":1}", "{\"n\":3}", "{\"n\":4}", "{\"n\":5}"])
        #expect(log.lines.count == 1 + 1 + 2 + 201 + 201)
        #expect(log.faults.isEmpty)
    }

    /// Links are not followed, and whoever put one there is told so.
    @Test func aLinkIsToldAndNotFollowed() throws {
        let log = try LogFolder()
        try DurableFile.makeDirectory(log.folder["elsewhere"])
        try DurableFile.replace(path: log.folder["elsewhere/real"], bytes: Array("{\"n\":1}\n".utf8))
        symlink(log.folder["elsewhere/real"], log.folder["log/app.log.1"])
        symlink("app-2026-11-22.log", log.folder["log/app.log"])
        try log.write("app-2026-11-22.log", "{\"n\":2}\n")
        try log.look()
        #expect(log.lines == ["{\"n\":2}"])
        #expect(log.faults.count == 1)
        #expect(log.faults.allSatisfy { $0.contains("app.log.1 is a symbolic link") })
    }

    /// A segment's name that is a link, a folder or a pipe is none of a writer's files, and holds nobody up.
    @Test func aSpoolHoldsRegularFilesOnly() throws {
        let folder = try ScratchFolder()
        let writers = (1...4).map { WriterName(host: "h", id: UUIDv7(high: 0x0192_F0C1_A2B3_7C4D, low: 0x8E9F << 48 | $0)) }
        func name(_ writer: Int) -> String { "\(writers[writer])-0-1000-1-end.jsonl" }
        try DurableFile.makeDirectory(folder["elsewhere"])
        try DurableFile.replace(path: folder["elsewhere/secret"], bytes: Array("{}\n".utf8))
        symlink(folder["elsewhere/secret"], folder[name(0)])
        try DurableFile.makeDirectory(folder[name(1)])
        mkfifo(folder[name(2)], 0o600)
        try DurableFile.replace(path: folder[name(3)], bytes: Array("{}\n".utf8))
        let scan = SpoolReader(directories: [folder.path], deadAfter_ms: 1000).scan(now_ms: 1_800_000_000_000, steady_ms: 0)
        #expect(scan.candidates.map(\.id.writer) == [writers[3].text])
    }

    /// What was removed is not held open: its space is free at once.
    @Test(.timeLimit(.minutes(5))) func nothingRemovedStaysOpen() async throws {
        let program = try ShipperProgram()
        let writer = try ChildProcess(
            BuiltPrograms.debug("event-writer-probe"),
            [program.folder["spool"], "100", "0", "seal_bytes=3000", "end=wait"])
        let shipper = try program.start("run")
        var shipped = 0
        while shipped < 5 {
            try await Task.sleep(for: .milliseconds(50))
            shipped = (try? DiskImage(files: DiskModel(reading: program.folder["store"]).live).stored().count) ?? 0
        }
        while try DurableFile.list(program.folder["spool"]).contains(where: { SegmentName($0.name)?.seq ?? .max < 4 }) {
            try await Task.sleep(for: .milliseconds(50))
        }
        for process in [writer.processID, shipper.processID] {
            let open = try DurableFile.list("/proc/\(process)/fd").compactMap { file -> String? in
                var target = [CChar](repeating: 0, count: 4096)
                guard readlink("/proc/\(process)/fd/\(file.name)", &target, 4095) > 0 else { return nil }
                return String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
            #expect(open.count > 3)
            #expect(open.filter { $0.hasPrefix(program.folder.path) && $0.hasSuffix(" (deleted)") } == [])
        }
        shipper.send(SIGTERM)
        #expect(try await shipper.end() == 0)
    }
}
