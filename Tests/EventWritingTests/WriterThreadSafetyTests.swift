import EventModel
import EventWriting
import Glibc
import Synchronization
import Testing

/// Everything at once, from many threads: for the thread sanitizer (`swift test --sanitize=thread --filter ThreadSafety`),
/// and exact without it too.
@Suite(.timeLimit(.minutes(5)))
struct WriterThreadSafetyTests {
    private static func prediction(_ number: Int, bytes: Int = 100) -> Prediction {
        .prediction(
            model: "m", version: "1", prediction: .text(String(repeating: "x", count: bytes)), score: 0.5,
            features: ["number": .integer(number)], tags: ["region": "eu"])
    }

    /// Threads append, flush, ask and seal, and one closes while the others still log.
    @Test(arguments: [EventWriter.Configuration.Pressure.drop, .block])
    func threadsLogFlushAndClose(_ pressure: EventWriter.Configuration.Pressure) throws {
        let spool = try Spool()
        var configuration = EventWriter.Configuration(directory: spool.path, service: "s")
        configuration.pressure = pressure
        configuration.buffer_bytes = 64 << 10
        configuration.seal_bytes = 20_000
        configuration.seal_age_seconds = 0.05
        let log = try EventWriter(configuration)
        let accepted = Atomic(0)
        let refused = Atomic(0)
        inThreads(8) { thread in
            for number in 0..<600 {
                if log.append(Self.prediction(number)) { $0.extra { $0.add("thread", thread) } } != nil {
                    accepted.add(1, ordering: .relaxed)
                } else {
                    refused.add(1, ordering: .relaxed)
                }
                if number % 50 == thread { _ = log.flush() }
                if number % 70 == thread { _ = log.status.counts.appended }
                if thread == 7, number == 500 { #expect(log.close()) }
            }
        }
        #expect(log.close())
        let dropped = log.status.counts.dropped
        #expect(try spool.ids().count == accepted.load(ordering: .relaxed))
        #expect(dropped.total == refused.load(ordering: .relaxed) && dropped.invalid > 0)
        // What came after the close is in the writer's own counts only; all else is in its last line.
        let told = try spool.check(try spool.onlyWriter()).counts
        #expect(told.dropped.buffer_full == dropped.buffer_full && told.dropped.invalid <= dropped.invalid)
    }

    /// Writers come and go in many threads, each with a thread of its own; half of them are only let go.
    @Test func writersComeAndGo() throws {
        let spool = try Spool()
        let path = spool.path
        let accepted = Atomic(0)
        inThreads(6) { thread in
            for round in 0..<15 {
                guard let log = try? EventWriter(directory: path, service: "s\(thread)") else { continue }
                for number in 0..<20 where log.append(Self.prediction(number)) != nil {
                    accepted.add(1, ordering: .relaxed)
                }
                if round % 2 == 0 { log.close() }
            }
        }
        #expect(accepted.load(ordering: .relaxed) == 6 * 15 * 20)
        #expect(eventually(20) { spool.lockFiles.isEmpty })
        #expect(try spool.ids().count == 6 * 15 * 20)
    }

    /// Lines that cannot be made are counted from all threads.
    @Test func dropsAreCountedFromAllThreads() throws {
        let spool = try Spool()
        let log = try EventWriter(directory: spool.path, service: "s")
        inThreads(6) { _ in
            for _ in 0..<200 { log.append(.prediction(model: "", version: "1")) }
            log.append(Self.prediction(1, bytes: 1 << 20))
        }
        #expect(log.close())
        #expect(try spool.check(try spool.onlyWriter()).counts.dropped == DropCounts(too_large: 6, invalid: 1200))
    }

    /// The thread sanitizer does not support threads in a child that was forked among threads.
    static var mayFork: Bool { dlsym(nil, "__tsan_init") == nil }

    /// Forks among threads that log: each child is a writer of its own and loses nothing.
    @Test(.enabled(if: mayFork, "not under the thread sanitizer")) func forksAmongThreads() throws {
        let spool = try Spool()
        let probe = try Probe(spool, "300", "0", "threads=6", "flush=20", "seal_bytes=10000", "forks=8")
        #expect(probe.wait() == 0)
        let output = try probe.output().filter { !$0.hasPrefix("counts") }
        let ids = output.map { $0.hasPrefix("child ") ? String($0.dropFirst(6)) : $0 }
        #expect(ids.count == 6 * 300 + 8 * 50 && Set(ids).count == ids.count)
        #expect(try Set(spool.ids()) == Set(ids))
        let writers = Set(spool.segments.map(\.writer))
        #expect(writers.count == 9 && spool.lockFiles.isEmpty)
        for writer in writers { try spool.check(writer) }
    }
}
