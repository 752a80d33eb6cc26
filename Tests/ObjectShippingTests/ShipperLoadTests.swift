import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectStorage
import TestSupport
import Testing

/// Much of everything against the real store: memory stays in its bound, and nobody waits behind a backlog.
///
/// With programs of release kind (NADI_TEST_RELEASE_BINARIES) memory must stay under 64 MiB; those of debug kind need
/// more by themselves and are held to 80 MiB.
@Suite(
    .serialized, .enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"),
    .timeLimit(.minutes(5)))
struct ShipperLoadTests {
    /// The most memory that a process ever had, MiB; from `/proc/PID/status`.
    private func peak_MiB(_ process: Int32) throws -> Double {
        let text = String(decoding: try DurableFile.read(path: "/proc/\(process)/status"), as: UTF8.self)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return (Double(line.split(separator: " ").dropFirst().first ?? "") ?? .infinity) / 1_024
    }

    private func bound(_ isRelease: Bool) -> Double { isRelease ? 64 : 80 }

    private func name(_ number: Int, seq: Int, lines: Int, sealed_ms: Int64 = 1_700_000_000_000) -> SegmentName {
        SegmentName(
            writer: WriterName(
                host: "testhost", id: UUIDv7(high: 0x0192_F0C1_A2B3_7C4D, low: 0x8E9F_0000_0000_0000 | UInt64(number))),
            seq: seq, sealed_ms: sealed_ms, lines: lines, isEnd: false)
    }

    /// Six segments of 16 MiB that no compressor makes smaller, of three writers, waiting at once.
    @Test func largeSegmentsThatDoNotCompress() async throws {
        let s3 = try #require(TestServers.s3)
        let program = try ShipperProgram(s3: s3, more: "admin: off")
        var bytes = try DurableFile.read(path: "/dev/urandom", limit: 16 << 20)
        bytes[bytes.count - 1] = 10
        let lines = bytes.withUnsafeBytes { buffer in
            var count = 0
            var rest = buffer[...]
            while let base = UnsafeRawBufferPointer(rebasing: rest).baseAddress,
                let found = memchr(base, 10, rest.count)
            {
                count += 1
                rest = rest.dropFirst(UnsafeRawPointer(found) - base + 1)
            }
            return count
        }
        for writer in 0..<3 {
            for seq in 0..<2 {
                let path = program.folder["spool/\(name(writer, seq: seq, lines: lines).fileName)"]
                try DurableFile.replace(path: path, bytes: bytes)
            }
        }
        bytes = []
        let (path, isRelease) = (BuiltPrograms.release("nadi-shipper"), BuiltPrograms.areReleased)
        let shipper = try program.start("run", program: path)
        var peak = 0.0
        #expect(
            try await eventually(within: 100) {
                peak = try peak_MiB(shipper.processID)
                return try program.waiting().isEmpty
            }, "\(program.log)")
        peak = max(peak, try peak_MiB(shipper.processID))
        shipper.send(SIGTERM)
        #expect(shipper.wait() == 0)
        print("6 segments of 16 MiB that do not compress: \(peak) MiB at most, \(isRelease ? "release" : "debug")")
        #expect(peak < bound(isRelease))
        var keys = 0
        try await program.store(s3).forEachObject(prefix: ObjectKey.events(prefix: program.prefix)) { _ in keys += 1 }
        #expect(keys == 6)
    }

    /// Ten thousand waiting segments of one writer, a thousand writers that live, and another's newest segment.
    @Test func tenThousandSegmentsAndAThousandWriters() async throws {
        let s3 = try #require(TestServers.s3)
        let program = try ShipperProgram(s3: s3, more: "admin: off\ndead_after: 1h\nlog_level: info")
        let line = Array("{\"schema\":1,\"type\":\"prediction\",\"n\":1}\n".utf8)
        func put(_ path: String, _ bytes: [UInt8]) throws {
            let descriptor = open(path, O_WRONLY | O_CREAT, 0o640)
            defer { close(descriptor) }
            try #require(write(descriptor, bytes, bytes.count) == bytes.count)
        }
        let body = [UInt8]((0..<50).flatMap { _ in line })
        for seq in 0..<10_000 {
            try put(program.folder["spool/\(name(1, seq: seq, lines: 50).fileName)"], body)
        }
        for number in 0..<1_000 {
            let writer = name(1_000 + number, seq: 0, lines: 0).writer
            let record = LockRecord(
                writer: writer.text, host: "testhost", service: "s", pid: 1, started_ms: 1, updated_ms: 2, seq: 0,
                counts: WriterCounts(appended: 5, written: 5), closed: false)
            try put(program.folder["spool/\(writer.lockFileName)"], record.encoded())
        }
        let newest = name(2, seq: 0, lines: 1, sealed_ms: 1_800_000_000_000)
        try put(program.folder["spool/\(newest.fileName)"], line)
        let (path, isRelease) = (BuiltPrograms.release("nadi-shipper"), BuiltPrograms.areReleased)
        let began = ContinuousClock.now
        let shipper = try program.start("run", program: path)
        var newestAfter: Duration?
        #expect(
            try await eventually(within: 100) {
                if newestAfter == nil, access(program.folder["spool/\(newest.fileName)"], F_OK) != 0 {
                    newestAfter = ContinuousClock.now - began
                }
                return try program.waiting().count == 1_000
            }, "\(program.log.suffix(2_000))")
        let drained = ContinuousClock.now - began
        let peak = try peak_MiB(shipper.processID)
        shipper.send(SIGTERM)
        #expect(shipper.wait() == 0)
        print(
            "10,000 segments waiting, 1,000 writers: the newest of another stored after "
                + "\(newestAfter.map { "\($0)" } ?? "never"), all after \(drained), \(peak) MiB at most, "
                + (isRelease ? "release" : "debug"))
        #expect(peak < bound(isRelease))
        // By order, which a busy machine hardly changes: it is in one of the first objects that were made, three of which are
        // on their way at once, so in one of the first five that were proven, of eleven or more.
        let store = try program.store(s3)
        let stored = program.log.split(separator: "\n").filter { $0.contains("stored and proven") }.compactMap { line in
            line.split(separator: " ").first { $0.hasPrefix("key=") }.map {
                String($0.dropFirst(4)).replacing("\"", with: "")
            }
        }
        #expect(stored.count > 10)
        var isEarly = false
        for key in stored.prefix(5) where !isEarly {
            let manifest = try ObjectTrailer.find(in: try await store.get(key)).manifest
            isEarly = manifest.segments.contains { $0.writer == newest.writer.text }
        }
        #expect(isEarly, "of \(stored.count) objects")
        // All writers that live are in the report.
        #expect(try await program.report(store).writers.count == 1_000)
    }
}
