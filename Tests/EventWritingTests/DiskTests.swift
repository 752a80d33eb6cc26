import EventModel
import EventWriting
import Glibc
import Testing

/// Disks that are full and spools that are taken away.
@Suite(.timeLimit(.minutes(5)), .serialized)
struct DiskTests {
    /// A spool on a file system of its own with room for `kilobytes`; nil where this user may not mount.
    static func smallSpool(_ kilobytes: Int) throws -> (spool: Spool, remove: () -> Void)? {
        let spool = try Spool()
        guard mount("tmpfs", spool.path, "tmpfs", 0, "size=\(kilobytes)k") == 0 else { return nil }
        return (
            spool,
            {
                umount2(spool.path, Int32(bitPattern: 2 /* MNT_DETACH */))
            }
        )
    }

    static var canMount: Bool {
        guard let made = try? smallSpool(64) else { return false }
        made.remove()
        return true
    }

    @Test(.enabled(if: canMount, "needs the right to mount a tmpfs"))
    func aFullDiskIsCountedExactly() throws {
        let (spool, remove) = try #require(try Self.smallSpool(512))
        defer { remove() }
        var configuration = EventWriter.Configuration(directory: spool.path, service: "iris")
        configuration.seal_bytes = 100_000
        let log = try EventWriter(configuration)
        let long = String(repeating: "x", count: 3000)
        var accepted = 0
        for _ in 0..<400 {
            if log.append(.prediction(model: "m", version: "1", prediction: .text(long))) != nil { accepted += 1 }
            if accepted % 7 == 0 { log.flush() }
        }
        #expect(!log.flush())
        let full = log.status
        #expect(full.counts.dropped.disk_full > 0 && full.failure?.contains("No space left") == true)
        #expect(full.waiting == 0)

        // Room again: the oldest segments are shipped away, as the shipper would.
        let gone = spool.segments.filter { !$0.isOpen }.prefix(2)
        #expect(gone.count == 2)
        let goneLines = gone.reduce(0) { $0 + $1.lines }
        let goneEvents = goneLines - gone.count
        for name in gone { unlink(spool.path + "/" + name.fileName) }
        let id = try #require(log.append(.prediction(model: "m", version: "1")))
        #expect(log.flush())
        #expect(try spool.ids().contains(id.description))
        #expect(log.close())

        // Every line is accounted for: sealed names add up to what the last writer line says.
        let last = try #require(spool.segments.last)
        #expect(last.isEnd && spool.lockFiles.isEmpty)
        let text = try spool.lines(last.fileName).last ?? ""
        let line = try #require(WriterLine(Array(text.utf8)))
        var lines = goneLines
        for segment in spool.segments {
            let found = try spool.lines(segment.fileName).count
            #expect(found == segment.lines)
            lines += found
        }
        #expect(line.counts.written == lines)
        #expect(line.counts.appended == line.counts.written + line.counts.dropped.total)
        let events = try spool.ids().count + goneEvents
        #expect(accepted + 1 == events + line.counts.dropped.disk_full)
    }

    @Test(.enabled(if: canMount, "needs the right to mount a tmpfs"))
    func aWriterThatBlocksLosesNothingOnAFullDisk() throws {
        let (spool, remove) = try #require(try Self.smallSpool(256))
        defer { remove() }
        var configuration = EventWriter.Configuration(directory: spool.path, service: "iris")
        configuration.pressure = .block
        configuration.buffer_bytes = 64 << 10
        configuration.seal_bytes = 50_000
        let log = try EventWriter(configuration)
        let long = String(repeating: "x", count: 3000)
        let events = 300
        // The shipper's part: takes sealed segments away.
        let shipped = Counter()
        let path = spool.path
        inThreads(2) { number in
            if number == 0 {
                for _ in 0..<events { log.append(.prediction(model: "m", version: "1", prediction: .text(long))) }
                log.close()
                shipped.finish()
            } else {
                usleep(300_000)
                while !shipped.isFinished {
                    usleep(20_000)
                    guard let listing = opendir(path) else { continue }
                    while let entry = readdir(listing) {
                        let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                            tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                        }
                        guard let segment = SegmentName(name), !segment.isOpen, !segment.isEnd else { continue }
                        shipped.add((try? readFile(path + "/" + name)) ?? [])
                        unlink(path + "/" + name)
                    }
                    closedir(listing)
                }
            }
        }
        for segment in spool.segments { shipped.add(try spool.bytes(segment.fileName)) }
        #expect(log.status.counts.dropped.total == 0)
        #expect(shipped.wholeEvents == events)
    }

    @Test func aWipedSpoolMakesANewWriterThatWritesAgain() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "iris")
        var ids: [String] = []
        for _ in 0..<10 { if let id = log.append(.prediction(model: "m", version: "1")) { ids.append("\(id)") } }
        #expect(log.flush())
        let old = try spool.onlyWriter()
        for name in spool.files { unlink(spool.path + "/" + name) }
        if let id = log.append(.prediction(model: "m", version: "1")) { ids.append("\(id)") }
        #expect(log.flush())
        #expect(log.close())
        let writer = try spool.onlyWriter()
        #expect(writer != old)
        #expect(try spool.check(writer).counts == WriterCounts(appended: 12, written: 12))
        #expect(try spool.ids() == ids)
        #expect(log.status.failure?.contains("goes on as a new writer") == true)
    }

    @Test func aFrozenWriterWhoseSegmentWasAdoptedLosesNothing() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "iris")
        for _ in 0..<5 { log.append(.prediction(model: "m", version: "1")) }
        #expect(log.flush())
        // What the shipper does with a writer that it takes for dead, and then ships.
        let old = try spool.onlyWriter()
        let open = try #require(spool.segments.first)
        let adopted = SegmentName(writer: old, seq: 0, sealed_ms: 1, lines: 5, isEnd: false)
        #expect(rename(spool.path + "/" + open.fileName, spool.path + "/" + adopted.fileName) == 0)
        unlink(spool.path + "/" + old.lockFileName)

        let last = try #require(log.append(.prediction(model: "m", version: "1")))
        #expect(log.close())
        let writers = Set(spool.segments.map(\.writer))
        let new = try #require(writers.subtracting([old]).first)
        #expect(writers.count == 2)
        #expect(try spool.check(new).counts.written == 7)
        let ids = try spool.ids()
        #expect(ids.count == 11 && Set(ids).count == 6 && ids.contains(last.description))
        #expect(spool.segments.contains(adopted))
    }

    @Test func aTakenNumberMakesANewWriter() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "iris")
        let old = try #require(spool.lockFiles.first.flatMap { WriterName(lockFileName: $0) })
        let taken = SegmentName(writer: old, seq: 0, sealed_ms: 1, lines: 1, isEnd: true)
        close(open(spool.path + "/" + taken.fileName, O_CREAT | O_WRONLY, 0o600))
        log.append(.prediction(model: "m", version: "1"))
        #expect(log.close())
        let new = try #require(Set(spool.segments.map(\.writer)).subtracting([old]).first)
        #expect(try spool.check(new).counts.written == 2)
    }

    @Test func withoutASpoolTheBufferFillsAndDropsAreCounted() throws {
        let spool = try Spool()
        var configuration = EventWriter.Configuration(directory: spool.path + "/inner", service: "iris")
        configuration.buffer_bytes = 64 << 10
        mkdir(configuration.directory, 0o700)
        let log = try EventWriter(configuration)
        #expect(rename(configuration.directory, spool.path + "/away") == 0)
        // Something else in its place: what is not there at all, it would make again.
        close(open(configuration.directory, O_CREAT | O_WRONLY, 0o600))
        let long = String(repeating: "x", count: 5000)
        var accepted = 0
        let start = clock()
        for _ in 0..<200 {
            if log.append(.prediction(model: "m", version: "1", prediction: .text(long))) != nil { accepted += 1 }
        }
        #expect(Double(clock() - start) / Double(CLOCKS_PER_SEC) < 1)
        #expect(!log.flush())
        #expect(accepted < 200 && accepted >= 12)
        #expect(log.status.counts.dropped.buffer_full == 200 - accepted)
        // The spool comes back: what waits is written, by a new writer.
        unlink(configuration.directory)
        #expect(rename(spool.path + "/away", configuration.directory) == 0)
        #expect(eventually(5) { log.flush() })
        #expect(log.close())
        let inner = Spool(existing: configuration.directory)
        #expect(try inner.ids().count == accepted)
    }

    /// Collects shipped bytes across threads.
    final class Counter: @unchecked Sendable {
        private var mutex = pthread_mutex_t()
        private var bytes: [UInt8] = []
        private var finished = false

        init() { pthread_mutex_init(&mutex, nil) }

        func add(_ more: [UInt8]) { locked { bytes += more + [0x0A] } }
        func finish() { locked { finished = true } }
        var isFinished: Bool { locked { finished } }

        /// Whole prediction lines.
        ///
        /// A fragment of a line that was written again is none.
        var wholeEvents: Int {
            locked {
                bytes.split(separator: 0x0A).filter {
                    JSONValue.parse(prefixOf: $0)?["type"]?.string == "prediction"
                }.count
            }
        }

        private func locked<T>(_ body: () -> T) -> T {
            pthread_mutex_lock(&mutex)
            defer { pthread_mutex_unlock(&mutex) }
            return body()
        }
    }
}
