import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectShipping
import TestSupport
import Testing

@Suite struct AdoptionTests {
    private static let writer = WriterName(
        host: "h", id: UUIDv7(high: 0x0192_F0C1_A2B3_7C4D, low: 0x8E9F_0011_2233_445A))

    /// A spool as a process left it that was killed: 100 lines shipped before, 5 lines sealed, 3 whole lines and a torn
    /// one open, and a lock record that knows of two of the open ones.
    private struct Wreck {
        let folder: ScratchFolder
        var sealedName: String { "\(AdoptionTests.writer)-3-1000-6.jsonl" }

        init(seq: Int = 4, open: String? = "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n{\"torn", replay: Bool = false) throws {
            folder = try ScratchFolder()
            let counts = WriterCounts(appended: 106, written: 106)
            let line = WriterLine(
                time_ms: 1_000, writer: AdoptionTests.writer.text, service: "s", segment: 3, counts: counts, end: false,
                replay: replay)
            try write(sealedName, String(repeating: "{}\n", count: 5) + String(decoding: line.encoded(), as: UTF8.self))
            if let open { try write("\(AdoptionTests.writer)-\(seq).open", open) }
            let record = LockRecord(
                writer: AdoptionTests.writer.text, host: "h", service: "s", pid: 1, started_ms: 1, updated_ms: 2,
                seq: seq,
                counts: WriterCounts(appended: 110, written: 108, dropped: DropCounts(disk_full: 2)), closed: false)
            try DurableFile.replace(path: folder[AdoptionTests.writer.lockFileName], bytes: record.encoded())
        }

        func write(_ name: String, _ text: String) throws {
            try DurableFile.replace(path: folder[name], bytes: Array(text.utf8))
        }

        func scan(deadAfter_ms: Int64 = 60_000, later_ms: Int64 = 61_000) -> SpoolScan {
            SpoolReader(directories: [folder.path], deadAfter_ms: deadAfter_ms).scan(now_ms: now_ms() + later_ms)
        }

        func now_ms() -> Int64 {
            var time = timespec()
            clock_gettime(CLOCK_REALTIME, &time)
            return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
        }

        func names() throws -> [String] { try DurableFile.list(folder.path).map(\.name) }

        func endLine() throws -> WriterLine? {
            guard let name = try names().first(where: { $0.contains("-end.") }) else { return nil }
            return WriterLine(try DurableFile.read(path: folder[name]))
        }
    }

    @Test func aDeadWriterIsSealedAsItIsAndEnded() throws {
        let wreck = try Wreck()
        let scan = wreck.scan()
        #expect(scan.adopted == [Self.writer.text])
        let names = try wreck.names().compactMap { SegmentName($0) }.sorted()
        #expect(names.map(\.seq) == [3, 4, 5])
        #expect(names.map(\.lines) == [6, 4, 1])
        #expect(names.map(\.isEnd) == [false, false, true])
        #expect(try !wreck.names().contains(Self.writer.lockFileName))
        let line = try #require(try wreck.endLine())
        #expect(line.adopted && line.end && line.segment == 5)
        // 100 lines of segments that are gone, 6 + 4 found, and this line; two dropped.
        #expect(line.counts.written == 111)
        #expect(line.counts.appended == 113)
        #expect(line.counts.dropped.disk_full == 2)
        #expect(line.found == 10)
        #expect(scan.candidates.count == 3 && scan.candidates.allSatisfy(\.isRetirable))
        #expect(scan.writers.map(\.state) == [.ended])
    }

    @Test func nobodyIsDeadBeforeTheTime() throws {
        let wreck = try Wreck()
        #expect(wreck.scan(later_ms: 59_000).adopted.isEmpty)
        #expect(try wreck.names().contains("\(Self.writer)-4.open"))
    }

    @Test func nobodyIsDeadWhoHoldsTheLock() throws {
        let wreck = try Wreck()
        let lock = try FileLock.hold(path: wreck.folder[Self.writer.lockFileName], create: false)
        #expect(wreck.scan(later_ms: 1_000_000).adopted.isEmpty)
        withExtendedLifetime(lock) {}
    }

    @Test func aTornLockRecordMeansCountsFromTheFiles() throws {
        let wreck = try Wreck()
        try wreck.write(Self.writer.lockFileName, "{\"version\":1,\"wri")
        #expect(wreck.scan().adopted.count == 1)
        let line = try #require(try wreck.endLine())
        #expect(line.counts.written == 111 && line.counts.appended == 111 && line.segment == 5)
    }

    @Test func aReplayingWriterEndsAsOne() throws {
        let wreck = try Wreck(replay: true)
        _ = wreck.scan()
        #expect(try wreck.endLine()?.replay == true)
    }

    @Test func nothingOpenStillMakesAnEnd() throws {
        let wreck = try Wreck(seq: 4, open: nil)
        _ = wreck.scan()
        #expect(try wreck.endLine()?.segment == 4)
    }

    /// The number of the open segment is in the record while the sealed file of that number is there already.
    @Test func aRecordBehindTheFilesGivesNoNumberTwice() throws {
        let wreck = try Wreck(seq: 3, open: nil)
        _ = wreck.scan()
        #expect(try wreck.endLine()?.segment == 4)
    }

    /// A crash after each step of the adoption: the next scan goes on and ends with the same files.
    @Test(arguments: 0..<4) func anAdoptionCutOffIsFinished(steps: Int) throws {
        let wreck = try Wreck()
        let lock = try DurableFile.read(path: wreck.folder[Self.writer.lockFileName])
        if steps >= 1 {
            try DurableFile.rename(
                from: wreck.folder["\(Self.writer)-4.open"], to: wreck.folder["\(Self.writer)-4-2000-4.jsonl"])
        }
        if steps >= 2 {
            _ = wreck.scan()
            try DurableFile.replace(path: wreck.folder[Self.writer.lockFileName], bytes: lock)
        }
        if steps >= 3 {
            // Shipped and removed meanwhile; the end stays while the lock file is there.
            try DurableFile.remove(path: wreck.folder[wreck.sealedName])
        }
        let scan = wreck.scan()
        let names = try wreck.names().compactMap { SegmentName($0) }.sorted()
        #expect(names.map(\.seq) == (steps >= 3 ? [4, 5] : [3, 4, 5]))
        #expect(names.filter(\.isEnd).count == 1)
        #expect(try !wreck.names().contains(Self.writer.lockFileName))
        #expect(scan.faults.isEmpty)
    }

    @Test func theNewestSegmentStaysUntilTheWriterIsKnownToHaveGoneOn() throws {
        let before = try Wreck(seq: 3, open: nil).scan(later_ms: 0)
        #expect(before.candidates.map(\.isRetirable) == [false])
        let after = try Wreck(seq: 4, open: nil).scan(later_ms: 0)
        #expect(after.candidates.map(\.isRetirable) == [true])
    }

    @Test func aLivingWriterIsReportedWithItsCounts() throws {
        let scan = try Wreck().scan(later_ms: 0)
        let writer = try #require(scan.writers.first)
        #expect(writer.state == .open && writer.counts.written == 108 && writer.nextSeq == 5)
        #expect(writer.spoolSegments == [3, 4])
        #expect(scan.openSegments == 1 && !scan.isEmpty)
        #expect(scan.oldestOpen_ms != nil)
    }

    @Test func oneDirectoryThatCannotBeReadDoesNotHideAnother() throws {
        let wreck = try Wreck()
        let scan = SpoolReader(directories: ["/nonexistent", wreck.folder.path], deadAfter_ms: 60_000)
            .scan(now_ms: wreck.now_ms())
        #expect(scan.candidates.count == 1 && scan.faults.count == 1 && scan.isReadable)
    }
}
