import Compression
import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// The release program under 512 MiB: one object that expands to gigabytes, a backlog, a backfill of labels, absurd names.
@Suite(
    .enabled(
        if: TestServers.postgres != nil && ReleaseProgram.path != nil && MemoryGroup.isPossible,
        "needs NADI_TEST_POSTGRES, NADI_TEST_RELEASE_BINARIES (Tests/run sets them), and root for a control group"),
    .serialized)
struct MemoryTests {
    private static let limit = 512 << 20
    /// Set for the sizes that are promised: 8 GiB instead of 2 from an object of 64 MiB, millions instead of hundreds of
    /// thousands.
    private static let isFull = TestServers.variable("NADI_TEST_FULL_SIZES") != nil

    private func load(_ pipeline: Pipeline, _ arguments: [String] = []) async throws -> String {
        let path = pipeline.folder["loader.yaml"]
        let text = """
            database: \(pipeline.database.uri)
            store:
              url: file://\(pipeline.folder.path)
            slices: [region]
            join:
              hours_per_run: 0
            """
        try DurableFile.replace(path: path, bytes: Array(text.utf8))
        let group = try MemoryGroup(limit: Self.limit)
        let output = pipeline.folder["output"]
        let began = LoadClock.monotonic_s()
        let child = try ChildProcess(
            "sh", group.command(try #require(ReleaseProgram.path), ["load", "--all", "--config", path] + arguments),
            output: output)
        let peak = PeakMemory(child.processID)
        let status = try await child.end()
        let told = String(decoding: (try? DurableFile.read(path: output)) ?? [], as: UTF8.self)
        #expect(status == 0, "exit \(status): \(told.suffix(2000))")
        #expect(group.kills == 0)
        let seconds = LoadClock.monotonic_s() - began
        print("peak \(await peak.value >> 20) MiB resident, \((seconds * 10).rounded() / 10) s")
        return told
    }

    @Test func anObjectThatExpandsToGigabytes() async throws {
        let pipeline = try Pipeline()
        // A MiB of events, within the compressor's window, of which some digits are new each time it comes.
        var block: [UInt8] = []
        var places: [Int] = []
        var lines = 0
        while block.count < 1 << 20 {
            let line = Array(
                TestEvents.prediction(
                    Pipeline.base_ms + Int64(lines) * 500, id: "0123456789abcdef", latency: 0.12345678
                ).utf8)
            let digits = try #require(line.firstRange(of: Array("12345678,".utf8)))
            places.append(block.count + digits.lowerBound)
            block += line
            block.append(0x0A)
            lines += 1
        }
        let repeats = (Self.isFull ? 8 << 30 : 2 << 30) / block.count
        let size = repeats * block.count
        // Enough new digits that the object has 54 MiB, or 64 at full size.
        let changed = min(places.count, Self.isFull ? 1000 : 3200)
        let encoder = try ZstdEncoder(level: 3, contentSize: size)
        var hash = SHA256()
        var object: [UInt8] = []
        object.reserveCapacity(80 << 20)
        var random = SeededGenerator(seed: 5)
        for _ in 0..<repeats {
            block.withUnsafeMutableBytes { bytes in
                for place in places[..<changed] {
                    var digits = random.next()
                    for offset in 0..<8 {
                        bytes[place + offset] = UInt8(48 + digits % 10)
                        digits /= 10
                    }
                }
            }
            try block.withUnsafeBytes {
                hash.update($0)
                try encoder.append($0, into: &object)
            }
        }
        try encoder.finish(into: &object)
        let body = SegmentBody(frame: object, lines: repeats * lines, bytes: size, sha256: hash.finalize())
        object = []
        print("an object of \(body.frame.count >> 20) MiB that expands to \(size >> 20) MiB, \(body.lines) lines")
        try pipeline.write(body, number: 1)
        _ = try await load(pipeline)
        let counted = try pipeline.database.connect().query(
            "SELECT sum(loaded_lines), sum(rejected_lines) FROM nadi_store.segment WHERE state = 'loaded'")[0]
        #expect(counted.integer(0) == Int64(body.lines) && counted.integer(1) == 0)
    }

    @Test func twentyThousandWaitingObjects() async throws {
        let pipeline = try Pipeline()
        var random = SeededGenerator(seed: 9)
        // Bodies are few, so that they are made quickly; models and hours differ, so that rows do not all coincide.
        let bodies = try (0..<64).map { number in
            var bytes: [UInt8] = []
            for line in 0..<20 {
                let time = Pipeline.base_ms + Int64(random.next() % 3_000_000)
                bytes += Array(
                    TestEvents.prediction(
                        time, id: "p\(number)-\(line)", model: "m\(number % 8)", region: "r\(line % 3)",
                        petal: Double(random.next() % 100_000) / 7
                    ).utf8)
                bytes.append(0x0A)
            }
            return try SegmentBody(bytes, lines: 20)
        }
        for number in 0..<20_000 {
            try pipeline.write(
                bodies[number % bodies.count], number: number / 100 + 1, seq: number % 100,
                later_ms: Int64(number % 7200) * 1000)
        }
        _ = try await load(pipeline)
        let connection = try pipeline.database.connect()
        #expect(
            try connection.query("SELECT count(*) FROM nadi_store.object WHERE state = 'loaded'")[0].integer(0)
                == 20_000)
        let counted = try connection.query(
            """
            SELECT sum(predictions) FROM nadi_store.request_hour JOIN nadi_store.series USING (series_id)
            WHERE slice_key = 'all'
            """)[0]
        #expect(counted.integer(0) == 400_000)
    }

    /// One segment of lines in memory as an object of its own.
    private func put(_ pipeline: Pipeline, number: Int, _ lines: Int, _ line: (Int) -> String) throws {
        var bytes: [UInt8] = []
        for index in 0..<lines {
            bytes += Array(line(index).utf8)
            bytes.append(0x0A)
        }
        try pipeline.write(SegmentBody(bytes, lines: lines), number: number)
    }

    @Test func aBackfillOfLabels() async throws {
        let pipeline = try Pipeline()
        let count = Self.isFull ? 3_000_000 : 400_000
        let time = Timestamp.format(Pipeline.base_ms)
        // Version 7, so the first 48 bits are when the prediction was made: labels of a year ago would age out at once.
        let hex = String(Pipeline.base_ms, radix: 16)
        let made = String(repeating: "0", count: 12 - hex.count) + hex
        try put(pipeline, number: 1, count) { index in
            "{\"schema\":1,\"type\":\"outcome\",\"time\":\"\(time)\",\"model_name\":\"m\",\"prediction_id\":"
                + "\"\(made.prefix(8))-\(made.suffix(4))-7c3a-8f1d-\(100_000_000_000 + index)\",\"label\":true}"
        }
        _ = try await load(pipeline)
        let connection = try pipeline.database.connect()
        #expect(try connection.query("SELECT count(*) FROM nadi_store.outcome")[0].integer(0) == Int64(count))
        let arrived = try connection.query("SELECT sum(lines) - sum(superseded) FROM nadi_store.outcome_arrival")[0]
        #expect(arrived.integer(0) == Int64(count))
    }

    /// One segment of predictions or labels, from number `first` on, over a span of time; even labels are true, and all
    /// predictions.
    private func put(
        _ pipeline: Pipeline, number: Int, labels: Bool, _ range: Range<Int>, from begin_ms: Int64, step_us: Int
    ) throws {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count * 230)
        for start in stride(from: range.lowerBound, to: range.upperBound, by: 1000) {
            // A thousand lines share their time; ids of version 7 begin with it.
            let time_ms = begin_ms + Int64(start * step_us / 1000)
            let hex = String(time_ms, radix: 16)
            let made = String(repeating: "0", count: 12 - hex.count) + hex
            let id = "\(made.prefix(8))-\(made.suffix(4))-7c3a-8f1d-"
            let time = Timestamp.format(time_ms + (labels ? 60_000 : 0))
            let head =
                labels
                ? "{\"schema\":1,\"type\":\"outcome\",\"time\":\"\(time)\",\"model_name\":\"m\",\"prediction_id\":\"\(id)"
                : "{\"schema\":1,\"type\":\"prediction\",\"time\":\"\(time)\",\"model_name\":\"m\",\"model_version\":\"1\","
                    + "\"score\":0.75,\"prediction\":true,\"tags\":{\"region\":\"eu\"},\"id\":\"\(id)"
            let prefix = Array(head.utf8)
            let ends = labels ? ["\",\"label\":true}\n", "\",\"label\":false}\n"] : ["\"}\n", "\"}\n"]
            let tails = ends.map { Array($0.utf8) }
            for index in start..<min(start + 1000, range.upperBound) {
                bytes.append(contentsOf: prefix)
                var rest = 100_000_000_000 + index
                var divisor = 100_000_000_000
                while divisor > 0 {
                    bytes.append(UInt8(48 + rest / divisor))
                    rest %= divisor
                    divisor /= 10
                }
                bytes.append(contentsOf: tails[index % 2])
            }
        }
        try pipeline.write(SegmentBody(bytes, lines: range.count), number: number)
    }

    /// As many labels as predictions, of a day or all of one hour, which takes several parts.
    @Test(arguments: [false, true]) func aLabelForEveryPrediction(inOneHour: Bool) async throws {
        let pipeline = try Pipeline()
        let count = Self.isFull ? 10_000_000 : inOneHour ? 1_000_000 : 200_000
        let span_us = (inOneHour ? 3_590 : 86_390) * 1_000_000
        let begin_ms = Pipeline.base_ms - (inOneHour ? 0 : LoadClock.day_ms)
        for (number, first) in stride(from: 0, to: count, by: 250_000).enumerated() {
            let range = first..<min(count, first + 250_000)
            try put(
                pipeline, number: 2 * number + 1, labels: false, range, from: begin_ms, step_us: span_us / count)
            try put(
                pipeline, number: 2 * number + 2, labels: true, range, from: begin_ms, step_us: span_us / count)
        }
        _ = try await load(pipeline)
        let connection = try pipeline.database.connect()
        #expect(try connection.query("SELECT count(*) FROM nadi_store.outcome_hour")[0].integer(0) == 0)
        _ = try await load(pipeline, ["--join-now"])
        let row = try connection.query(
            """
            SELECT sum(labelled)::bigint, sum(correct)::bigint, sum(binary_count)::bigint, count(*),
                   (SELECT sum(count)::bigint FROM nadi_store.named_outcome_hour JOIN nadi_store.series USING (series_id)
                    WHERE slice_key = 'all' AND name = 'label')
            FROM nadi_store.outcome_hour JOIN nadi_store.series USING (series_id) WHERE slice_key = 'all'
            """)[0]
        #expect(row.integer(0) == Int64(count) && row.integer(1) == Int64(count / 2))
        #expect(row.integer(2) == Int64(count) && row.integer(4) == Int64(count))
        #expect(row.integer(3) == (inOneHour ? 1 : 24) || !inOneHour && row.integer(3) == 25)
        let joined = try connection.query("SELECT sum(outcomes)::bigint, sum(repeated_ids)::bigint FROM nadi_store.join_hour")
        #expect(joined[0].integer(0) == Int64(count) && joined[0].integer(1) == 0)
    }

    @Test func aMillionNamesOfEachKind() async throws {
        let pipeline = try Pipeline()
        let count = Self.isFull ? 1_000_000 : 100_000
        let time = Timestamp.format(Pipeline.base_ms)
        func line(_ rest: String) -> String { "{\"schema\":1,\"time\":\"\(time)\",\(rest)}" }
        let pad = String(repeating: "x", count: 200)
        try put(pipeline, number: 1, count) {
            line("\"type\":\"prediction\",\"model_name\":\"m\",\"model_version\":\"\($0)\(pad)\"")
        }
        try put(pipeline, number: 2, count) {
            line(
                "\"type\":\"prediction\",\"model_name\":\"m\",\"model_version\":\"1\",\"features\":{\"\($0)\(pad)\":1}")
        }
        try put(pipeline, number: 3, count) {
            line(
                "\"type\":\"prediction\",\"model_name\":\"n\",\"model_version\":\"1\",\"features\":{\"f\":\"\($0)\(pad)\"}"
            )
        }
        try put(pipeline, number: 4, count) {
            line(
                "\"type\":\"prediction\",\"model_name\":\"m\",\"model_version\":\"1\",\"tags\":{\"region\":\"\($0)\(pad)\"}"
            )
        }
        try put(pipeline, number: 5, count) {
            line("\"type\":\"resource\",\"service\":\"\($0)\(pad)\",\"interval_seconds\":10,\"threads\":4")
        }
        // Models come last: beside a million others, the two that carry the other names could be beyond the cap themselves.
        var told = try await load(pipeline)
        try put(pipeline, number: 6, count) {
            line("\"type\":\"prediction\",\"model_name\":\"\($0)\(pad)\",\"model_version\":\"1\"")
        }
        told += try await load(pipeline)
        for kind in ["models", "features", "categories", "slice values", "resources"] {
            #expect(told.contains(" \(kind) are beyond the cap"), "\(kind): \(told)")
        }
        let connection = try pipeline.database.connect()
        let counted = try connection.query(
            """
            SELECT sum(predictions) FROM nadi_store.request_hour JOIN nadi_store.series USING (series_id)
            WHERE slice_key = 'all'
            """)[0]
        #expect(counted.integer(0) == Int64(5 * count))
        let samples = try connection.query(
            "SELECT sum(count) FROM nadi_store.resource_hour WHERE measure = 'samples'")[0]
        #expect(samples.integer(0) == Int64(count))
        #expect(try connection.query("SELECT count(*) FROM nadi_store.resource")[0].integer(0) <= 50_001)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.model")[0].integer(0) <= 201)
    }
}

/// The release build of `nadi`: sizes and speeds are those of what is installed.
enum ReleaseProgram {
    static let path: String? = BuiltPrograms.areReleased ? BuiltPrograms.release("nadi") : nil
}

/// A segment's frame, and what a manifest says of it.
struct SegmentBody {
    let frame: [UInt8]
    let lines: Int
    let bytes: Int
    let sha256: [UInt8]

    init(frame: [UInt8], lines: Int, bytes: Int, sha256: [UInt8]) {
        self.frame = frame
        self.lines = lines
        self.bytes = bytes
        self.sha256 = sha256
    }

    init(_ raw: [UInt8], lines: Int) throws {
        self.init(frame: try Zstd.frame(raw), lines: lines, bytes: raw.count, sha256: SHA256.hash(raw))
    }
}

extension Pipeline {
    /// Writes an object of one segment into the bucket's folder, without waiting for the disk.
    func write(_ body: SegmentBody, number: Int, seq: Int = 0, later_ms: Int64 = 0) throws {
        let segment = Manifest.Segment(
            writer: TestWriter("one", number).name, seq: seq, sealed_ms: Self.base_ms + 3_600_000 + later_ms,
            lines: body.lines, rawBytes: body.bytes, rawSHA256: hex(body.sha256), offset: 0,
            compressedBytes: body.frame.count, file: "f")
        let manifest = Manifest(host: "one", segments: [segment])
        var object = body.frame
        ObjectTrailer.append(manifest, to: &object)
        let path = folder[ObjectKey(prefix: "", manifest: manifest).path]
        try DurableFile.makeDirectory(DurableFile.folder(of: path))
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw SystemError.current("open", path) }
        defer { close(descriptor) }
        var written = 0
        while written < object.count {
            let count = object.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + written }, object.count - written)
            }
            guard count > 0 else { throw SystemError.current("write", path) }
            written += count
        }
    }
}

/// The most memory that a process had, read from /proc until it ends.
private struct PeakMemory {
    private let task: Task<Int, Never>

    init(_ process: Int32) {
        task = Task.detached {
            var peak = 0
            // A process that has ended has no such line any more.
            while let bytes = try? DurableFile.read(path: "/proc/\(process)/status"),
                let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first(where: {
                    $0.hasPrefix("VmHWM:")
                })
            {
                peak = max(peak, (line.split(separator: " ").dropLast().last.flatMap { Int($0) } ?? 0) << 10)
                try? await Task.sleep(for: .milliseconds(50))
            }
            return peak
        }
    }

    var value: Int { get async { await task.value } }
}
