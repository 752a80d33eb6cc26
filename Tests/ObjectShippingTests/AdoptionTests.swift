import DurableIO
import EventModel
import EventSegments
import Glibc
import TestSupport
import Testing

@testable import ObjectShipping

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
            SpoolReader(directories: [folder.path], deadAfter_ms: deadAfter_ms)
                .scan(now_ms: now_ms() + later_ms, steady_ms: 0)
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
            .scan(now_ms: wreck.now_ms(), steady_ms: 0)
        #expect(scan.candidates.count == 1 && scan.faults.count == 1 && scan.isPartlyReadable)
        #expect(!scan.isReadable && !scan.isKnown && !scan.isEmpty)
    }

    @Test func aDirectoryThatCannotBeReadCountsAsWhatItHeld() throws {
        let wreck = try Wreck()
        let other = try ScratchFolder()
        let reader = SpoolReader(directories: [wreck.folder.path, other.path], deadAfter_ms: 60_000)
        let before = reader.scan(now_ms: wreck.now_ms(), steady_ms: 0)
        #expect(before.isReadable && before.isKnown)
        let away = wreck.folder.path + ".away"
        try DurableFile.rename(from: wreck.folder.path, to: away)
        defer { try? DurableFile.rename(from: away, to: wreck.folder.path) }
        let scan = reader.scan(now_ms: wreck.now_ms() + 3_600_000, steady_ms: 20_000)
        #expect(!scan.isReadable && scan.isPartlyReadable && scan.isKnown && !scan.isEmpty)
        #expect(scan.writers == before.writers && scan.writers.count == 1)
        #expect(scan.oldestOpen_ms == before.oldestOpen_ms && scan.oldestOpen_ms != nil)
        #expect(scan.candidates.map(\.id) == before.candidates.map(\.id))
        #expect(scan.candidates.allSatisfy { !$0.isRetirable })
        var status = ShipperStatus()
        status.scan = scan
        #expect(status.report(now_ms: 1, isStopped: true).state == .running)
        #expect(status.report(now_ms: 1, isStopped: true).writers.count == 1)
        // Nothing waits and nothing was found: still not ended, since it cannot be seen.
        let empty = SpoolReader(directories: [away + "/nothing"], deadAfter_ms: 60_000)
        status.scan = empty.scan(now_ms: 0, steady_ms: 0)
        #expect(status.report(now_ms: 1, isStopped: true).state == .running && !status.scan.isKnown)
        try DurableFile.rename(from: away, to: wreck.folder.path)
        let after = reader.scan(now_ms: wreck.now_ms(), steady_ms: 21_000)
        #expect(after.isReadable && after.oldestOpen_ms == before.oldestOpen_ms && after.writers == before.writers)
        try DurableFile.rename(from: wreck.folder.path, to: away)
    }

    /// The listing is older than what the writer did before it died.
    @Test func whatIsJudgedIsReadWhileTheLockIsHeld() throws {
        let wreck = try Wreck()
        let stale = try Spool(reading: wreck.folder.path)
        try DurableFile.rename(
            from: wreck.folder["\(Self.writer)-4.open"], to: wreck.folder["\(Self.writer)-4-2000-4.jsonl"])
        try wreck.write("\(Self.writer)-5.open", "{}\n{}\n")
        let record = LockRecord(
            writer: Self.writer.text, host: "h", service: "s", pid: 1, started_ms: 1, updated_ms: 3, seq: 5,
            counts: WriterCounts(appended: 119, written: 112, dropped: DropCounts(disk_full: 7)), closed: false)
        try DurableFile.replace(path: wreck.folder[Self.writer.lockFileName], bytes: record.encoded())
        let adoption = Adoption(directory: wreck.folder.path, deadAfter_ms: 60_000)
        let outcome = try adoption.end(
            Self.writer, seen: WriterFiles(of: Self.writer, in: stale), now_ms: wreck.now_ms() + 61_000)
        #expect(outcome == .adopted(lines: 12))
        #expect(try wreck.names().compactMap { SegmentName($0) }.sorted().map(\.seq) == [3, 4, 5, 6])
        let line = try #require(try wreck.endLine())
        #expect(line.counts.dropped.disk_full == 7 && line.counts.written == 113 && line.segment == 6)
    }

    /// It wrote between the listing and its death, so its time begins anew.
    @Test func whoWroteSinceTheListingIsNotDeadYet() throws {
        let wreck = try Wreck()
        let stale = try Spool(reading: wreck.folder.path)
        let now_ms = wreck.now_ms() + 61_000
        let path = wreck.folder["\(Self.writer)-4.open"]
        try setTime(path, now_ms - 1_000)
        let adoption = Adoption(directory: wreck.folder.path, deadAfter_ms: 60_000)
        #expect(try adoption.end(Self.writer, seen: WriterFiles(of: Self.writer, in: stale), now_ms: now_ms) == .alive)
        #expect(try wreck.names().contains("\(Self.writer)-4.open"))
    }

    @Test func aTimeInTheFutureIsWaitedOutByWatching() throws {
        let wreck = try Wreck()
        let now_ms = wreck.now_ms()
        try setTime(wreck.folder["\(Self.writer)-4.open"], now_ms + 365 * 86_400_000)
        let reader = SpoolReader(directories: [wreck.folder.path], deadAfter_ms: 60_000)
        #expect(reader.scan(now_ms: now_ms, steady_ms: 0).adopted.isEmpty)
        #expect(reader.scan(now_ms: now_ms, steady_ms: 59_000).adopted.isEmpty)
        // It is written to after all: the time begins anew.
        try wreck.write("\(Self.writer)-4.open", "{\"a\":1}\n{\"a\":2}\n")
        try setTime(wreck.folder["\(Self.writer)-4.open"], now_ms + 365 * 86_400_000)
        #expect(reader.scan(now_ms: now_ms, steady_ms: 61_000).adopted.isEmpty)
        #expect(reader.scan(now_ms: now_ms, steady_ms: 121_000).adopted == [Self.writer.text])
    }

    /// The clock was set back while it wrote, and then it died: its events are not from the future.
    @Test(arguments: [(3_600_000, true), (10 * 86_400_000, false)])
    func aClockSetBackLeavesEventsBeforeTheirSeal(ahead_ms: Int64, isKept: Bool) throws {
        let wreck = try Wreck()
        let now_ms = wreck.now_ms()
        try setTime(wreck.folder["\(Self.writer)-4.open"], now_ms + ahead_ms)
        let reader = SpoolReader(directories: [wreck.folder.path], deadAfter_ms: 60_000)
        _ = reader.scan(now_ms: now_ms, steady_ms: 0)
        #expect(reader.scan(now_ms: now_ms, steady_ms: 61_000).adopted == [Self.writer.text])
        let sealed = try #require(try wreck.names().compactMap { SegmentName($0) }.first { $0.seq == 4 })
        #expect(sealed.sealed_ms == (isKept ? now_ms + ahead_ms : now_ms))
    }

    private func setTime(_ path: String, _ time_ms: Int64) throws {
        let time = timeval(tv_sec: Int(time_ms / 1_000), tv_usec: Int(time_ms % 1_000) * 1_000)
        try #require(utimes(path, [time, time]) == 0)
    }
}
