import EventModel
import Glibc
import Synchronization
import Testing

@testable import EventWriting

/// A disk whose `fsync` fails, one that hangs while the service forks, and a process with a strict mask.
@Suite(.timeLimit(.minutes(5)))
struct FaultTests {
    /// `fsync` that fails so many times; as in Linux, each failure is told once.
    final class FailingSync: Sendable {
        private let left: Atomic<Int>

        init(times: Int) { left = Atomic(times) }

        var remaining: Int { left.load(ordering: .acquiring) }

        func callAsFunction(_ file: Int32) -> Int32 {
            if left.load(ordering: .acquiring) > 0 {
                left.subtract(1, ordering: .acquiringAndReleasing)
                errno = EIO
                return -1
            }
            return fsync(file)
        }
    }

    @Test(arguments: [1, 2]) func afterAFailedSyncANewWriterWritesAgainWhatItHolds(times: Int) throws {
        let spool = try Spool()
        let sync = FailingSync(times: times)
        var configuration = EventWriter.Configuration(directory: spool.path, service: "iris")
        configuration.testing.synchronise = { sync($0) }
        configuration.seal_age_seconds = 0.3
        let log = try EventWriter(configuration)
        var ids: [String] = []
        for _ in 0..<10 { if let id = log.append(.prediction(model: "m", version: "1")) { ids.append("\(id)") } }
        #expect(log.flush())
        let old = try spool.onlyWriter()
        #expect(eventually { sync.remaining == 0 })
        if let id = log.append(.prediction(model: "m", version: "1")) { ids.append("\(id)") }
        #expect(eventually { log.flush() })
        #expect(log.status.failure?.contains("writes again") == true)
        #expect(log.close())

        let left = spool.segments.filter { $0.writer == old }
        #expect(left.map(\.isOpen) == [true], "the segment in doubt stays for the shipper")
        #expect(spool.lockFiles.contains(old.lockFileName))
        let ended = try #require(spool.segments.last { $0.isEnd }).writer
        #expect(ended != old && Set(spool.segments.map(\.writer)).count == times + 1)
        try spool.check(ended)
        let again = try spool.segments.filter { $0.writer == ended }.flatMap { try spool.lines($0.fileName) }
        let found = again.compactMap { JSONValue.parse(prefixOf: Array($0.utf8)) }
            .filter { $0["type"]?.string == "prediction" }.compactMap { $0["id"]?.string }
        #expect(found == ids, "none is missing, in order")
        #expect(log.status.counts.dropped.total == 0)
    }

    @Test func aFailedSyncAtCloseLosesNothing() throws {
        let spool = try Spool()
        let sync = FailingSync(times: 1)
        var configuration = EventWriter.Configuration(directory: spool.path, service: "iris")
        configuration.testing.synchronise = { sync($0) }
        let log = try EventWriter(configuration)
        let id = try #require(log.append(.prediction(model: "m", version: "1")))
        #expect(log.close())
        let end = try #require(spool.segments.first { $0.isEnd })
        #expect(try spool.lines(end.fileName).first?.contains(id.description) == true)
        #expect(spool.segments.filter(\.isOpen).count == 1)
    }

    /// What the threads of a test tell each other.
    final class Stall: Sendable {
        let isOpening = Atomic(false)
        let mayOpen = Atomic(false)
        let waited_ms = Atomic<Int64>(0)
    }

    @Test func aForkDoesNotWaitForADiskThatHangs() throws {
        let descriptors = Descriptors()
        let stall = Stall()
        let clock = WriterClock(fixed: nil)
        inThreads(3) { number in
            switch number {
            case 0:
                _ = descriptors.openSegment {
                    stall.isOpening.store(true, ordering: .releasing)
                    while !stall.mayOpen.load(ordering: .acquiring) { usleep(1000) }
                    return open("/dev/null", O_WRONLY | O_CLOEXEC)
                }
            case 1:
                while !stall.isOpening.load(ordering: .acquiring) { usleep(1000) }
                let start = clock.steady_ms
                descriptors.beforeFork()
                descriptors.afterForkInParent()
                stall.waited_ms.store(clock.steady_ms - start, ordering: .releasing)
                stall.mayOpen.store(true, ordering: .releasing)
            default:
                // The disk answers at last, so that the test ends where a fork waits for it.
                let end = clock.steady_ms + 5000
                while clock.steady_ms < end, !stall.mayOpen.load(ordering: .acquiring) { usleep(1000) }
                stall.mayOpen.store(true, ordering: .releasing)
            }
        }
        #expect(stall.waited_ms.load(ordering: .acquiring) < 4000)
        // The lock is whole: the next fork takes it and frees it.
        let start = clock.steady_ms
        descriptors.beforeFork()
        descriptors.afterForkInParent()
        descriptors.beforeFork()
        descriptors.afterForkInParent()
        #expect(clock.steady_ms - start < 500)
        #expect(descriptors.segment.number >= 0)
        descriptors.closeSegment()
        #expect(descriptors.segment.number == -1)
    }

    @Test func modesDoNotDependOnTheMask() throws {
        let spool = try Spool()
        // The mask is the whole process's: other tests only make files that they own, for so short a time.
        let before = umask(0o077)
        defer { umask(before) }
        let log = try EventWriter(directory: spool.path, service: "iris")
        log.append(.prediction(model: "m", version: "1"))
        #expect(log.flush())
        for name in spool.files {
            var status = stat()
            #expect(stat(spool.path + "/" + name, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o640, "\(name)")
        }
        #expect(spool.files.count == 2)
        #expect(log.close())
    }
}
