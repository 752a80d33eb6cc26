import EventModel
import EventWriting
import Glibc
import Testing

/// Whole writers on real files.
@Suite(.timeLimit(.minutes(5)))
struct EventWriterTests {
    let event = Prediction.prediction(
        model: "iris", version: "1", prediction: "setosa", features: ["petal_length": 1.4])

    @Test func threeLinesMakeAnEndedWriter() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "iris")
        log.append(event)
        #expect(log.close())
        #expect(log.close())

        let segment = try #require(spool.segments.first)
        #expect(spool.files == [segment.fileName])
        #expect(segment.seq == 0 && segment.lines == 2 && segment.isEnd)
        #expect(segment.writer.isOn(host: HostName.current()))
        let line = try spool.check(segment.writer)
        #expect(line.counts == WriterCounts(appended: 2, written: 2))
        #expect(log.status.counts == line.counts && log.status.waiting == 0 && log.status.failure == nil)
    }

    @Test func aWriterWithoutEventsEndsToo() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "iris")
        #expect(log.close())
        #expect(spool.files.count == 1)
        let writer = try spool.onlyWriter()
        #expect(try spool.check(writer).counts == WriterCounts(appended: 1, written: 1))
    }

    @Test func theLockFileIsHeldAndCounts() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "iris")
        let name = try #require(spool.lockFiles.first)
        #expect(spool.files == [name])
        let other = open(spool.path + "/" + name, O_RDWR)
        #expect(flock(other, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        close(other)
        let first = try #require(LockRecord(try spool.bytes(name)))
        #expect(first.pid == Int(getpid()) && first.service == "iris" && first.counts == WriterCounts())
        #expect(WriterName(lockFileName: name)?.text == first.writer)

        log.append(event)
        #expect(try eventually { try LockRecord(spool.bytes(name))?.counts.written == 1 })
        let block = try spool.bytes(name)
        #expect(block.count == 4096)
        var status = stat()
        #expect(stat(spool.path + "/" + name, &status) == 0 && status.st_blocks * 512 >= 4096)
        #expect(status.st_mode & 0o7777 == 0o640)
        #expect(log.close())
    }

    @Test func anEventIsInTheFileSoonAndAfterFlushAtOnce() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "iris")
        for _ in 0..<20 {
            let id = try #require(log.append(event))
            #expect(log.flush())
            #expect(try spool.ids().contains(id.description))
        }
        let id = try #require(log.append(event))
        usleep(250_000)
        #expect(try spool.ids().contains(id.description))
        #expect(spool.segments.allSatisfy { $0.isOpen })
        #expect(log.close())
    }

    @Test func aSleepingWriterWakesForOneEvent() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "iris")
        usleep(5_600_000)
        let id = try #require(log.append(event))
        #expect(try eventually(0.5) { try spool.ids().contains(id.description) })

        // A drop wakes it too: the lock file tells of it.
        usleep(5_600_000)
        #expect(log.append(.prediction(model: "", version: "1")) == nil)
        let lock = try #require(spool.lockFiles.first)
        #expect(try eventually(3) { try LockRecord(spool.bytes(lock))?.counts.dropped.invalid == 1 })
        #expect(log.close())
    }

    @Test func rotatesBySize() throws {
        let spool = try Spool()
        var configuration = EventWriter.Configuration(directory: spool.path, service: "iris")
        configuration.seal_bytes = 4096
        let log = try EventWriter(configuration)
        for _ in 0..<200 { log.append(event) }
        #expect(log.close())
        let writer = try spool.onlyWriter()
        let line = try spool.check(writer)
        let sealed = spool.segments
        #expect(sealed.count > 8)
        #expect(line.counts == WriterCounts(appended: 200 + sealed.count, written: 200 + sealed.count))
        for segment in sealed.dropLast() {
            let lines = try spool.lines(segment.fileName)
            let events = lines.dropLast().reduce(0) { $0 + $1.utf8.count + 1 }
            #expect(events >= 4096 && events < 4096 + 400)
        }
    }

    @Test func rotatesByAgeOnlyWhenItHoldsAnEvent() throws {
        let spool = try Spool()
        var configuration = EventWriter.Configuration(directory: spool.path, service: "iris")
        configuration.seal_age_seconds = 0.3
        let log = try EventWriter(configuration)
        usleep(700_000)
        #expect(spool.segments.isEmpty)
        log.append(event)
        #expect(eventually(3) { spool.segments.contains { !$0.isOpen } })
        #expect(spool.segments.count == 1 && spool.segments.allSatisfy { !$0.isEnd && $0.lines == 2 })
        let lock = try #require(spool.lockFiles.first)
        let recorded = try eventually {
            let record = LockRecord(try spool.bytes(lock))
            return record?.seq == 1 && record?.counts.written == 2
        }
        #expect(recorded)
        usleep(700_000)
        #expect(spool.segments.count == 1)
        #expect(log.close())
        let writer = try spool.onlyWriter()
        #expect(try spool.check(writer).counts.written == 3)
    }

    @Test func threadsShareAWriter() throws {
        let spool = try Spool()
        var configuration = EventWriter.Configuration(directory: spool.path, service: "iris")
        configuration.seal_bytes = 100_000
        configuration.pressure = .block
        configuration.buffer_bytes = 64 << 10
        let log = try EventWriter(configuration)
        let threads = 4
        let each = 3000
        inThreads(threads) { _ in
            for _ in 0..<each { log.append(.prediction(model: "iris", version: "1", features: ["x": 1.25])) }
            log.flush()
        }
        #expect(log.close())
        let ids = try spool.ids()
        #expect(ids.count == threads * each)
        #expect(Set(ids).count == threads * each)
        let line = try spool.check(try spool.onlyWriter())
        #expect(line.counts.written == threads * each + spool.segments.count && line.counts.dropped.total == 0)
    }

    @Test func replayIsMarkedInEveryWriterLine() throws {
        let spool = try Spool()
        var configuration = EventWriter.Configuration(directory: spool.path, service: "iris")
        configuration.replay = true
        configuration.seal_bytes = 1
        let log = try EventWriter(configuration)
        log.append(.prediction(model: "iris", version: "1", time_ms: 0))
        #expect(log.flush())
        #expect(log.close())
        #expect(spool.segments.count == 2)
        for segment in spool.segments {
            #expect(try spool.lines(segment.fileName).last?.hasSuffix(#","replay":true}"#) == true)
        }
    }

    @Test func afterCloseEventsAreInvalid() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "iris")
        #expect(log.close())
        #expect(log.append(event) == nil)
        #expect(log.flush())
        #expect(log.status.counts.dropped.invalid == 1)
        #expect(spool.files.count == 1)
    }

    @Test func deinitCloses() throws {
        let spool = try Spool()
        do {
            let log = try EventWriter(directory: spool.path, service: "iris")
            log.append(event)
        }
        let writer = try spool.onlyWriter()
        #expect(try spool.check(writer).counts.written == 2)
    }

    @Test func refusesWhatCannotBeASpool() throws {
        let spool = try Spool()
        #expect(throws: EventWriterError.self) { try EventWriter(directory: spool.path + "/absent", service: "iris") }
        #expect(throws: EventWriterError.self) { try EventWriter(directory: "/dev/null", service: "iris") }
        #expect(throws: EventWriterError.self) { try EventWriter(directory: spool.path, service: "") }
        do {
            _ = try EventWriter(directory: spool.path + "/absent", service: "iris")
        } catch {
            #expect(error.code == .directory)
            #expect(error.description.hasSuffix("No such file or directory; create it, or let this user write to it"))
        }
        #expect(spool.files.isEmpty)
    }

    @Test func theGoldenSegment() throws {
        let spool = try Spool()
        var configuration = EventWriter.Configuration(directory: spool.path, service: "iris-api", environment: "prod")
        configuration.host = "web1"
        configuration.testing.wall_ms = { 1_795_428_930_123 }
        configuration.testing.identity = UUIDv7("019ab0c6-5e9b-7c3a-8f1d-2e3f4a5b6c7d")
        configuration.testing.pid = 4242
        let log = try EventWriter(configuration)
        var first = Prediction.prediction(
            model: "iris", version: "1.2.0", prediction: "setosa", score: 0.98,
            features: ["petal_length": 1.4, "petal_width": 0.2, "garden": "Zürich \"A\"", "age": nil],
            tags: ["region": "eu"], latency_seconds: 0.0031)
        first.context.id = "019ab0c6-5e9b-7000-8000-000000000001"
        log.append(first)
        var second = Outcome.outcome(
            prediction_id: "019ab0c6-5e9b-7000-8000-000000000001", model: "iris", label: "setosa",
            prediction_time_ms: 1_795_428_930_123)
        second.context.id = "019ab0c6-5e9b-7000-8000-000000000002"
        log.append(second)
        #expect(log.close())

        let name = "web1-019ab0c65e9b7c3a8f1d2e3f4a5b6c7d-0-1795428930123-3-end.jsonl"
        #expect(spool.files == [name])
        let here = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let golden = try readFile("/\(here)/Fixtures/segments/\(name)")
        let written = try spool.bytes(name)
        #expect(String(decoding: written, as: UTF8.self) == String(decoding: golden, as: UTF8.self))
    }
}

/// Runs `body` in threads of its own and waits for them: `append` and `flush` may block.
func inThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    final class Task: Sendable {
        let number: Int
        let body: @Sendable (Int) -> Void
        init(_ number: Int, _ body: @escaping @Sendable (Int) -> Void) {
            self.number = number
            self.body = body
        }
    }
    var handles: [pthread_t] = []
    for number in 0..<count {
        var handle = pthread_t()
        pthread_create(
            &handle, nil,
            { argument in
                guard let argument else { return nil }
                let task = Unmanaged<Task>.fromOpaque(argument).takeRetainedValue()
                task.body(task.number)
                return nil
            }, Unmanaged.passRetained(Task(number, body)).toOpaque())
        handles.append(handle)
    }
    for handle in handles { pthread_join(handle, nil) }
}
