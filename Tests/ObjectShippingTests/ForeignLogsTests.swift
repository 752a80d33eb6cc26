import Compression
import DurableIO
import EventSegments
import Glibc
import TestSupport
import Testing

@testable import ObjectShipping

/// A folder of rotated logs, looked at by the real code with a clock of its own.
final class LogFolder {
    let folder: ScratchFolder
    private(set) var logs: ForeignLogs
    private let stream: StreamConfiguration
    private var steady_ms: Int64 = 0
    /// What was shipped, by writer and number.
    private(set) var shipped: [String: [Int: [UInt8]]] = [:]
    private(set) var faults: [String] = []
    /// Every fault of every look.
    private(set) var told: [String] = []
    /// The manifests' entries of what was shipped.
    private(set) var stored: [Manifest.Segment] = []
    /// How far the wall clock is ahead of the machine's.
    var later_ms: Int64 = 0

    init(deletes: Bool = false) throws {
        folder = try ScratchFolder()
        try DurableFile.makeDirectory(folder["log"])
        try DurableFile.makeDirectory(folder["state"])
        stream = StreamConfiguration(
            name: "app", paths: [folder["log/*"]], format: "app_format", quiet_ms: 10_000, deletesAfterShipping: deletes
        )
        logs = ForeignLogs(streams: [stream], host: "h", stateDirectory: folder["state"])
    }

    /// The shipper starts again.
    func restart(losingState: Bool = false) throws {
        if losingState { try DurableFile.remove(path: folder["state/foreign.json"]) }
        logs = ForeignLogs(streams: [stream], host: "h", stateDirectory: folder["state"])
    }

    func write(_ name: String, _ text: String) throws {
        try DurableFile.replace(path: folder["log/\(name)"], bytes: Array(text.utf8))
    }

    func append(_ name: String, _ text: String) throws {
        let descriptor = open(folder["log/\(name)"], O_WRONLY | O_APPEND)
        _ = Glibc.write(descriptor, Array(text.utf8), text.utf8.count)
        close(descriptor)
    }

    func rename(_ old: String, _ new: String) throws {
        try DurableFile.rename(from: folder["log/\(old)"], to: folder["log/\(new)"])
    }

    func gzip(_ name: String) { _ = system("gzip \(folder["log/\(name)"])") }

    /// Looks after `seconds`, and ships what is found unless told not to.
    @discardableResult
    func look(after seconds: Int64 = 20, ships: Bool = true) throws -> ForeignLogs.Scan {
        steady_ms += seconds * 1_000
        // Two looks: what changed since the last one is first seen and then, unchanged, finished.
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let wall_ms = Int64(time.tv_sec) * 1_000 + later_ms
        told += logs.scan(now_ms: wall_ms, steady_ms: steady_ms).faults
        steady_ms += seconds * 1_000
        let scan = logs.scan(now_ms: wall_ms, steady_ms: steady_ms)
        faults = scan.faults
        told += scan.faults
        guard ships else { return scan }
        for candidate in scan.candidates {
            var builder = BundleBuilder(host: "h")
            #expect(try logs.add(candidate.id, to: &builder))
            let segment = try #require(builder.added.first)
            #expect(segment.format == "app_format" && !segment.end && segment.lines == candidate.lines)
            let raw = try Decoder.decode(builder.finish().object, limit: 1 << 30)
            if let known = shipped[segment.writer]?[segment.seq] { #expect(known == raw) }
            shipped[segment.writer, default: [:]][segment.seq] = raw
            stored.append(segment)
            faults += logs.shipped([candidate.id])
        }
        return scan
    }

    /// Every line of the distinct segments.
    var lines: [String] {
        shipped.values.flatMap { $0.values }.flatMap { $0.split(separator: 0x0A) }
            .map { String(decoding: $0, as: UTF8.self) }.sorted()
    }
}

@Suite struct ForeignLogsTests {
    private func text(_ numbers: Range<Int>) -> String { numbers.map { "{\"n\":\($0)}\n" }.joined() }

    private func lines(_ numbers: Range<Int>) -> [String] { numbers.map { "{\"n\":\($0)}" }.sorted() }

    @Test func theLiveFileIsNotRead() throws {
        let log = try LogFolder()
        try log.write("app.log", text(0..<5))
        try log.look()
        #expect(log.shipped.isEmpty && log.faults.isEmpty)
        try log.rename("app.log", "app.log.1")
        try log.write("app.log", text(5..<7))
        try log.look()
        #expect(log.lines == lines(0..<5))
        let hash = hex(SHA256.hash(Array(text(0..<5).utf8))).prefix(32)
        #expect(Array(log.shipped.keys) == ["h-app-\(hash)"])
    }

    @Test func aFileMustBeQuiet() throws {
        let log = try LogFolder()
        try log.write("app.log.1", text(0..<5))
        #expect(try log.look(after: 4).candidates.isEmpty)
        try log.append("app.log.1", text(5..<6))
        #expect(try log.look(after: 4).candidates.isEmpty)
        try log.look(after: 20)
        #expect(log.lines == lines(0..<6) && log.shipped.count == 1)
    }

    /// Python's RotatingFileHandler: .1 becomes .2 and so on, and the oldest goes.
    @Test func shiftedNumbersShipNothingTwice() throws {
        let log = try LogFolder()
        for turn in 0..<8 {
            try log.write("app.log", text((turn * 10)..<(turn * 10 + 10)))
            for number in stride(from: 3, to: 0, by: -1) where access(log.folder["log/app.log.\(number)"], F_OK) == 0 {
                try log.rename("app.log.\(number)", "app.log.\(number + 1)")
            }
            try log.rename("app.log", "app.log.1")
            try log.look()
            #expect(log.faults.isEmpty)
            if turn == 4 { try log.restart() }
        }
        #expect(log.lines == lines(0..<80))
        #expect(log.shipped.count == 8 && log.shipped.values.allSatisfy { Array($0.keys) == [0] })
    }

    @Test func datedNamesAreFinishedAndALateLineIsANewSegment() throws {
        let log = try LogFolder()
        try log.write("app-2026-11-22.log", text(0..<10))
        try log.write("app.log.20261121", text(10..<20))
        try log.look()
        #expect(log.shipped.count == 2)
        try log.append("app-2026-11-22.log", text(20..<21))
        try log.look()
        try log.append("app-2026-11-22.log", text(21..<23))
        try log.restart()
        try log.look()
        #expect(log.lines == lines(0..<23))
        let grown = try #require(log.shipped.values.first { $0.count > 1 })
        #expect(grown.keys.sorted() == [0, 1, 2])
        #expect(grown[1] == Array(text(20..<21).utf8))
        #expect(log.shipped.count == 2)
    }

    @Test func aCompressedFileIsKnownByItsContent() throws {
        let log = try LogFolder()
        try log.write("app.log.1", text(0..<100))
        try log.look()
        log.gzip("app.log.1")
        try log.look()
        try log.rename("app.log.1.gz", "app.log.2.gz")
        try log.look()
        #expect(log.shipped.count == 1 && log.lines == lines(0..<100) && log.faults.isEmpty)
        // One that was never seen plain.
        try log.write("app.log.9", text(100..<110))
        log.gzip("app.log.9")
        try log.look()
        #expect(log.lines == lines(0..<110))
    }

    @Test func aCompressorAtWorkDoublesNothing() throws {
        let log = try LogFolder()
        try log.write("app.log.1", text(0..<10))
        _ = system("gzip -k \(log.folder["log/app.log.1"])")
        try log.look()
        try DurableFile.remove(path: log.folder["log/app.log.1"])
        try log.look()
        #expect(log.shipped.count == 1 && log.lines == lines(0..<10))
    }

    @Test func aDamagedCompressedFileIsToldAndBlocksNobody() throws {
        let log = try LogFolder()
        try log.write("app.log.2", text(0..<1_000))
        log.gzip("app.log.2")
        let path = log.folder["log/app.log.2.gz"]
        let bytes = try DurableFile.read(path: path)
        try DurableFile.replace(path: path, bytes: Array(bytes.prefix(bytes.count / 2)))
        try log.write("app.log.1", text(5_000..<5_010))
        let scan = try log.look()
        #expect(log.lines == lines(5_000..<5_010))
        #expect(scan.candidates.count == 1)
        // The fault stays until somebody mends the file, and then it is shipped.
        #expect(try log.look().faults.contains { $0.contains("app.log.2.gz cannot be read") })
        try DurableFile.replace(path: path, bytes: bytes)
        try log.look()
        #expect(log.faults.isEmpty)
        #expect(log.lines == (lines(5_000..<5_010) + lines(0..<1_000)).sorted())
    }

    @Test func identicalFilesPresentAtOnceAreTwoWriters() throws {
        let log = try LogFolder()
        try log.write("a.log.1", text(0..<3))
        try log.write("b.log.1", text(0..<3))
        try log.look()
        #expect(log.shipped.count == 2 && log.lines.count == 6)
        #expect(log.shipped.keys.count { $0.hasSuffix(".2") } == 1)
        // Renamed, restarted, one gone: still the same two.
        try log.rename("a.log.1", "a.log.2")
        try log.restart()
        try log.look()
        try DurableFile.remove(path: log.folder["log/b.log.1"])
        try log.look()
        #expect(log.shipped.count == 2)
        // Once more the same content beside the one that is left: the second writer's content, not a third.
        try log.write("c.log.1", text(0..<3))
        try log.look()
        #expect(log.shipped.count == 2)
    }

    @Test func aFileCutInPlaceIsRefused() throws {
        let log = try LogFolder()
        try log.write("app.log", text(0..<100))
        try log.look()
        // logrotate's copytruncate.
        try log.write("app.log.1", text(0..<100))
        truncate(log.folder["log/app.log"], 0)
        let scan = try log.look()
        #expect(scan.refused == [log.folder["log/app.log"]])
        #expect(log.faults.contains { $0.contains("copytruncate") && $0.contains(log.folder["log/app.log"]) })
        #expect(log.shipped.isEmpty)
        try log.restart()
        #expect(try log.look().refused.count == 1)
        // Rotation by renaming from now on: everything is shipped.
        try log.rename("app.log.1", "app.log.2")
        try log.append("app.log", text(100..<105))
        try log.rename("app.log", "app.log.1")
        try log.write("app.log", text(105..<106))
        try log.look()
        #expect(log.lines == lines(0..<105) && log.faults.isEmpty)
    }

    @Test func aLostStateShipsTheSameSegmentsAgain() throws {
        let log = try LogFolder()
        try log.write("app.log.1", text(0..<10))
        try log.look()
        let before = log.shipped
        try log.restart(losingState: true)
        try log.look()
        #expect(log.shipped == before)
    }

    @Test func aLostStateIsFoundAgainByWhatIsStored() throws {
        let log = try LogFolder()
        let now_ms = Int64(time(nil)) * 1_000
        #expect(log.logs.history(now_ms: 0) == nil)
        try log.write("a.log.1", text(0..<3))
        try log.write("b.log.1", text(0..<3))
        try log.write("c.log.1", text(10..<20))
        try log.look()
        for turn in 0..<2 {
            try log.append("c.log.1", text((20 + turn)..<(21 + turn)))
            try log.look()
        }
        #expect(log.stored.count == 5)
        try log.restart()
        #expect(log.logs.history(now_ms: 0) == nil)
        try log.restart(losingState: true)
        let span = try #require(log.logs.history(now_ms: 0))
        #expect(span.lowerBound <= -7 * 86_400_000 && span.upperBound > 1_600_000_000_000)
        #expect(log.logs.recall(log.stored.shuffled(), now_ms: now_ms) == nil)
        #expect(log.logs.history(now_ms: 0) == nil)
        #expect(try log.look().candidates.isEmpty)
        try log.append("c.log.1", text(22..<23))
        try log.append("b.log.1", text(3..<4))
        try log.look()
        #expect(log.shipped.count == 3 && log.lines == (lines(0..<4) + lines(0..<3) + lines(10..<23)).sorted())
        // A part that is no longer there: what follows it proves nothing.
        try log.restart(losingState: true)
        let grown = try #require(log.shipped.first { $0.value.count == 4 }?.key)
        _ = log.logs.recall(log.stored.filter { $0.writer != grown || $0.seq != 0 }, now_ms: now_ms)
        #expect(try log.look(ships: false).candidates.map(\.rawBytes) == [text(10..<23).utf8.count])
    }

    @Test func aLostStateThatCannotBeFoundAgainIsTold() throws {
        let log = try LogFolder()
        try log.write("app.log.1", text(0..<10))
        try log.look()
        try log.restart(losingState: true)
        #expect(try #require(log.logs.recall(nil, now_ms: 0)).contains("whose lines count twice"))
        #expect(log.logs.recall(nil, now_ms: 0) == nil)
        #expect(try log.look().candidates.count == 1)
    }

    @Test func aPlanSurvivesACrashBeforeTheUpload() throws {
        let log = try LogFolder()
        try log.write("app.log.1", text(0..<10))
        let planned = try log.look(ships: false).candidates
        try log.restart()
        // A line that came meanwhile does not change the name of what was planned.
        try log.append("app.log.1", text(10..<11))
        try log.look()
        #expect(log.shipped.keys.map { $0 } == planned.map(\.id.writer))
        #expect(log.lines == lines(0..<11))
    }

    @Test func aDamagedStateIsToldAndNotFatal() throws {
        let log = try LogFolder()
        try DurableFile.replace(path: log.folder["state/foreign.json"], bytes: Array("{\"ledger\":".utf8))
        try log.restart()
        try log.write("app.log.1", text(0..<10))
        try log.look()
        #expect(log.lines == lines(0..<10))
        #expect(access(log.folder["state/foreign.json.damaged"], F_OK) == 0)
    }

    @Test func filesGoOnlyWhenToldTo() throws {
        for deletes in [false, true] {
            let log = try LogFolder(deletes: deletes)
            try log.write("app.log.1", text(0..<10))
            try log.look()
            #expect(log.lines == lines(0..<10))
            #expect((access(log.folder["log/app.log.1"], F_OK) == 0) == !deletes)
        }
    }

    /// A file that could not be removed goes when it can be, also after a restart.
    @Test func aShippedFileThatCouldNotBeRemovedGoesLater() throws {
        let log = try LogFolder(deletes: true)
        try log.write("app.log.1", text(0..<10))
        let scan = try log.look(ships: false)
        for candidate in scan.candidates {
            var builder = BundleBuilder(host: "h")
            _ = try log.logs.add(candidate.id, to: &builder)
        }
        // Out of reach at the moment of the proof.
        try log.rename("app.log.1", "app.log.2")
        _ = log.logs.shipped(scan.candidates.map(\.id))
        #expect(access(log.folder["log/app.log.2"], F_OK) == 0)
        try log.restart()
        #expect(try log.look().candidates.isEmpty)
        #expect(access(log.folder["log/app.log.2"], F_OK) != 0)
    }

    @Test func aStopEndsReadingAndLeavesNoFault() throws {
        let folder = try ScratchFolder()
        try DurableFile.makeDirectory(folder["log"])
        try DurableFile.makeDirectory(folder["state"])
        // A hole of 4 TiB: nobody reads that to its end.
        try DurableFile.replace(path: folder["log/app.log.1"], bytes: [])
        try #require(truncate(folder["log/app.log.1"], 4 << 40) == 0)
        let watch = ReadingWatch()
        let stream = StreamConfiguration(name: "app", paths: [folder["log/*"]], quiet_ms: 100)
        let logs = ForeignLogs(
            streams: [stream], host: "h", stateDirectory: folder["state"], looking: watch)
        watch.stop(within_ms: 100)
        let began = ContinuousClock.now
        let scan = watch.watching { logs.scan(now_ms: .max / 2, steady_ms: 0) }
        #expect(ContinuousClock.now - began < .seconds(20))
        #expect(scan.isPartial && scan.faults.isEmpty && scan.candidates.isEmpty)
        #expect(watch.stalled_ms == 0)
        #expect(throws: ReadingStopped.self) {
            try ForeignReading.pieces(
                of: folder["log/app.log.1"], from: 0, bytes: 4 << 40, sealed_ms: 0, watch: watch)
        }
    }

    @Test func aLookThatHangsIsNotHealthy() {
        var status = ShipperStatus()
        status.scanned_ms = 1_000
        status.scan.isReadable = true
        #expect(status.health(now_ms: 2_000).isGood)
        status.foreignStalled_ms = 61_000
        #expect(!status.health(now_ms: 2_000).isGood && status.isStalled)
        #expect(status.health(now_ms: 2_000).text.contains("foreign"))
        let watch = ReadingWatch()
        let during = watch.watching { () -> Int64 in
            usleep(30_000)
            return watch.stalled_ms
        }
        #expect(during >= 30 && watch.stalled_ms == 0)
    }

    /// Pieces of a compressed log are read one after another: each byte of it is decompressed once.
    @Test(arguments: [".gz", ".zst"]) func compressedPiecesAreDecompressedOnce(ending: String) throws {
        let folder = try ScratchFolder()
        var random = SeededGenerator(seed: 7)
        var whole: [UInt8] = []
        while whole.count < 3 << 20 {
            whole += Array("{\"n\":\(UInt64.random(in: 0 ... .max, using: &random))}\n".utf8)
        }
        try DurableFile.replace(path: folder["f"], bytes: whole)
        try #require(system(ending == ".gz" ? "gzip \(folder["f"])" : "zstd -q \(folder["f"])") == 0)
        let path = folder["f\(ending)"]
        let size = try #require(try FileFacts.of(path)).size
        let reader = ForeignReader()
        func part(_ offset: Int, _ count: Int) throws -> [UInt8] {
            var bytes: [UInt8] = []
            try reader.bytes(of: path, from: offset, count: count, ReadingWatch()) { bytes.append(contentsOf: $0) }
            return bytes
        }
        let step = 50_001
        for offset in stride(from: 0, to: whole.count, by: step) {
            #expect(try part(offset, step) == Array(whole[offset..<min(offset + step, whole.count)]))
        }
        #expect(reader.decodedBytes <= size)
        // Back to an earlier place, over a gap, and beyond the end.
        #expect(try part(1_000, 10) == Array(whole[1_000..<1_010]))
        #expect(try part(2_000_000, 10) == Array(whole[2_000_000..<2_000_010]))
        #expect(try part(whole.count - 5, 100) == Array(whole.suffix(5)))
        try DurableFile.rename(from: path, to: folder["g\(ending)"])
        #expect(throws: SystemError.self) { try part(0, 1) }
    }

    @Test func filesOfWritersThatCannotBeReadAreNamed() throws {
        let writer = "h-0192f0c1a2b37c4d8e9f00112233445a"
        let folder = try ScratchFolder()
        for name in ["\(writer)-0-1-1.jsonl", "\(writer)-1.open", "\(writer).lock", "other"] {
            try DurableFile.replace(path: folder[name], bytes: [])
        }
        let spool = try Spool(reading: folder.path)
        #expect(
            ShipperCheck.unreadable(spool) { _ in false }
                == ["\(writer)-0-1-1.jsonl", "\(writer)-1.open", "\(writer).lock"])
        #expect(ShipperCheck.unreadable(spool) { !$0.hasSuffix(".lock") } == ["\(writer).lock"])
    }

    @Test func aFileThatVanishesBeforeItIsShippedIsTold() throws {
        let log = try LogFolder()
        try log.write("app.log.1", text(0..<10))
        try log.look(ships: false)
        try DurableFile.remove(path: log.folder["log/app.log.1"])
        try log.look()
        try log.look()
        #expect(log.told.count { $0.contains("10 lines are lost unless it comes back") } == 1)
        #expect(try log.look().candidates.isEmpty)
        try log.restart()
        try log.look()
        try log.look()
        #expect(log.told.count == 1)
        // It was only out of sight.
        try log.write("app.log.1", text(0..<10))
        try log.look()
        #expect(log.lines == lines(0..<10))
        #expect(try log.look(ships: false).candidates.isEmpty)
    }

    @Test func aFileThatComesBackLongerIsShippedAsPlannedAndOn() throws {
        let log = try LogFolder()
        try log.write("app.log.1", text(0..<10))
        let planned = try log.look(ships: false).candidates
        try DurableFile.remove(path: log.folder["log/app.log.1"])
        for _ in 0..<3 { try log.look() }
        try log.write("app.log.1", text(0..<12))
        try log.look()
        #expect(log.lines == lines(0..<12))
        #expect(log.shipped.keys.map { $0 } == planned.map(\.id.writer))
    }

    @Test func filesOfARefusedStreamAreNotGone() throws {
        let log = try LogFolder()
        try log.write("app.log.1", text(0..<10))
        try log.look(ships: false)
        try log.write("app.log", text(10..<100))
        try log.look(ships: false)
        truncate(log.folder["log/app.log"], 0)
        for _ in 0..<4 { try log.look() }
        #expect(log.told.contains { $0.contains("copytruncate") })
        #expect(!log.told.contains { $0.contains("vanished") })
    }

    @Test func filesOfAFolderThatCannotBeListedAreNotGone() throws {
        let log = try LogFolder()
        try log.write("app.log.1", text(0..<10))
        try log.look(ships: false)
        try DurableFile.rename(from: log.folder["log"], to: log.folder["away"])
        // A link to itself can be opened by nobody, not even root.
        try #require(symlink("log", log.folder["log"]) == 0)
        for _ in 0..<4 { try log.look() }
        #expect(log.told.contains { $0.contains("log") && $0.contains("open folder") })
        #expect(!log.told.contains { $0.contains("vanished") })
        unlink(log.folder["log"])
        try DurableFile.rename(from: log.folder["away"], to: log.folder["log"])
        try log.look()
        #expect(log.lines == lines(0..<10))
    }

    @Test func theStateIsWrittenOnlyWhenItChanges() throws {
        let log = try LogFolder()
        try log.write("app.log.1", text(0..<10))
        try log.look()
        // Whoever writes it anew gives it a time of today.
        let past = timeval(tv_sec: 1_000_000_000, tv_usec: 0)
        try #require(utimes(log.folder["state/foreign.json"], [past, past]) == 0)
        func isUntouched() throws -> Bool {
            try FileFacts.of(log.folder["state/foreign.json"])?.modified_ms == 1_000_000_000_000
        }
        for _ in 0..<5 {
            log.later_ms += 40_000
            try log.look()
        }
        #expect(try isUntouched())
        log.later_ms += 3_600_000
        try log.look()
        #expect(try !isUntouched())
    }

    @Test func largeFilesAreCutAtLineEnds() throws {
        let folder = try ScratchFolder()
        let whole = text(0..<5_000)
        try DurableFile.replace(path: folder["f"], bytes: Array(whole.utf8))
        for (size, longest) in [(1, 1_000), (100, 1_000), (4_096, 8_000), (1 << 20, 1 << 21)] {
            let pieces = try ForeignReading.pieces(
                of: folder["f"], from: 0, bytes: whole.utf8.count, sealed_ms: 0, watch: ReadingWatch(),
                pieceBytes: size,
                longestPiece: longest)
            #expect(pieces.reduce(0) { $0 + $1.bytes } == whole.utf8.count)
            #expect(pieces.reduce(0) { $0 + $1.lines } == 5_000)
            #expect(pieces.dropLast().allSatisfy { $0.bytes >= size && $0.bytes < size + 20 })
        }
        // Without any line end, pieces end at the longest size.
        try DurableFile.replace(path: folder["g"], bytes: [UInt8](repeating: 0x61, count: 2_500))
        let torn = try ForeignReading.pieces(
            of: folder["g"], from: 0, bytes: 2_500, sealed_ms: 0, watch: ReadingWatch(), pieceBytes: 100,
            longestPiece: 1_000)
        #expect(torn.map(\.bytes) == [1_000, 1_000, 500])
    }

    @Test(
        arguments: [
            ("app.log", false, nil), ("app.log.1", true, "app.log"), ("app.log.12.gz", true, "app.log"),
            ("app.1.log", true, "app.log"), ("app-3.log", true, "app.log"), ("app.log-20261123", true, "app.log"),
            ("app-2026-11-23.log", true, "app.log"), ("app.log.2026-11-23_10", true, "app.log"),
            ("app-2026-11-23T10-15-30.123.log.gz", true, "app.log"), ("app.2026-11-23.0.log.gz", true, "app.log"),
            ("app.log.2026-11-23", true, "app.log"), ("v2.log", false, nil), ("log4j.log", false, nil),
            ("app", false, nil),
            ("app.log.zst", false, nil), ("20261123.log", true, ".log"), ("app.log.20269923", false, nil),
        ] as [(String, Bool, String?)]) func namesTellRotation(name: String, isRotated: Bool, live: String?)
    {
        #expect(RotatedName(name).isRotated == isRotated, "\(name)")
        #expect(RotatedName(name).live == live, "\(name)")
    }

    @Test func networkFileSystemsAreRefused() throws {
        let mounts = """
            22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
            30 22 0:50 / /mnt/share rw shared:9 - nfs4 server:/x rw
            31 30 0:51 / /mnt/share/local rw - xfs /dev/sdb rw
            32 22 0:52 / /mnt/my\\040disk rw - fuse.sshfs host: rw
            """
        #expect(FileSystemKind.type(of: "/var/spool/nadi", mounts: mounts) == "ext4")
        #expect(FileSystemKind.type(of: "/mnt/share/a", mounts: mounts) == "nfs4")
        #expect(FileSystemKind.type(of: "/mnt/shared", mounts: mounts) == "ext4")
        #expect(FileSystemKind.type(of: "/mnt/share/local/b", mounts: mounts) == "xfs")
        #expect(FileSystemKind.type(of: "/mnt/my disk/b", mounts: mounts) == "fuse.sshfs")
        #expect(FileSystemKind(type: "nfs4").refusal != nil)
        #expect(FileSystemKind(type: "fuse.sshfs").refusal != nil)
        #expect(FileSystemKind(type: "ext4").refusal == nil)
        #expect(FileSystemKind(type: "tmpfs").caution != nil)
        let folder = try ScratchFolder()
        #expect(try FileSystemKind(of: folder.path).name != "unknown")
    }
}
