import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectStorage
import RecordBatches
import TableLoading
import TableStorage
import TestSupport
import Testing

/// A bucket in a folder, a database, and segments made on demand.
final class Pipeline: Sendable {
    let folder: ScratchFolder
    let database: TestDatabase
    let store: any ObjectStore
    /// What stands before `events/` in keys.
    let prefix: String
    /// A quarter past an hour, some hours ago: hours are whole and not in the future.
    static let base_ms = LoadClock.hour(LoadClock.now_ms()) - 6 * LoadClock.hour_ms

    init(database: TestDatabase? = nil) throws {
        folder = try ScratchFolder()
        self.database = try database ?? TestDatabase()
        store = try DirectoryStore(folder.path)
        prefix = ""
    }

    /// A bucket of the S3 server, under a prefix of its own.
    init(s3 server: TestServers.S3) throws {
        folder = try ScratchFolder()
        database = try TestDatabase()
        prefix = TestServers.randomName("loading")
        store = try StoreConfiguration(
            url: "s3://\(server.bucket)/\(prefix)", region: "us-east-1", endpoint: server.endpoint
        ).makeStore(
            environment: Environment([
                "AWS_ACCESS_KEY_ID": server.accessKey, "AWS_SECRET_ACCESS_KEY": server.secretKey,
            ]))
    }

    /// The same bucket with another, empty database.
    init(bucketOf other: Pipeline, database: TestDatabase? = nil) throws {
        folder = other.folder
        store = other.store
        prefix = other.prefix
        self.database = try database ?? TestDatabase()
    }

    func settings(owner: String = "test/1/a", objects: Int = 256) -> LoadSettings {
        var settings = LoadSettings()
        settings.sliceTags = ["region"]
        settings.owner = owner
        settings.prefix = prefix
        settings.batch.objects = objects
        settings.parallelism = 2
        settings.join.age_s = 0
        return settings
    }

    func loader(
        store other: (any ObjectStore)? = nil, owner: String = "test/1/a", objects: Int = 256, mappings: [Mapping] = [],
        change: (inout LoadSettings) -> Void = { _ in }
    ) -> Loader {
        var settings = settings(owner: owner, objects: objects)
        change(&settings)
        return Loader(
            store: other ?? store, connectionString: database.uri, settings: settings, mappings: mappings)
    }

    @discardableResult
    func load(
        owner: String = "test/1/a", objects: Int = 256, mappings: [Mapping] = [], joinNow: Bool = false,
        sweepNow: Bool = false
    ) async throws -> LoadReport {
        let loader = loader(owner: owner, objects: objects, mappings: mappings)
        let report = try await loader.load(reach: .all, joinNow: joinNow, sweepNow: sweepNow)
        await loader.close()
        return report
    }

    func audit(_ scope: AuditScope = AuditScope()) async throws -> AuditReport {
        try await withAudit { try await $0.run(scope, now_ms: LoadClock.now_ms()) }
    }

    func withAudit<Result>(_ body: (Audit) async throws -> Result) async throws -> Result {
        let thread = DatabaseThread(database.uri)
        let result = try await body(Audit(store: store, database: thread, settings: settings()))
        await thread.close()
        return result
    }

    /// Puts an object of segments and returns its key.
    @discardableResult
    func put(host: String = "one", _ segments: [TestSegment]) async throws -> String {
        var builder = BundleBuilder(host: host)
        for segment in segments.sorted(by: { ($0.writer, $0.seq) < ($1.writer, $1.seq) }) {
            _ = try builder.add(segment.identity, bytes: segment.bytes)
        }
        let bundle = builder.finish()
        let key = bundle.key(prefix: prefix).path
        _ = try await store.put(key, bundle.object, PutOptions())
        return key
    }

    /// Makes an object in the folder look as if it had been stored some minutes ago.
    func age(_ key: String, minutes: Int) {
        var times = [timespec](repeating: timespec(tv_sec: time(nil) - minutes * 60, tv_nsec: 0), count: 2)
        utimensat(AT_FDCWD, folder[key], &times, 0)
    }

    /// Puts a host's report with its writers' counts.
    func report(
        host: String = "one", ended: Bool = false, writers: [HostReport.Writer] = [], oldest_ms: Int64? = nil,
        minutesAgo: Int64 = 0
    ) async throws {
        var unshipped = HostReport.Unshipped()
        unshipped.oldest_ms = oldest_ms
        let report = HostReport(
            host: host, time_ms: LoadClock.now_ms() - minutesAgo * 60_000, state: ended ? .ended : .running, shipperVersion: "0.1.0",
            started_ms: Self.base_ms, unshipped: unshipped, lastUpload_ms: nil, lastError: nil,
            writers: writers)
        _ = try await store.put(ObjectKey.hostReport(prefix: prefix, host: host), report.encoded(), PutOptions())
    }
}

/// The audit finds nothing; else the findings are shown.
func expectClean(_ report: AuditReport, _ location: SourceLocation = #_sourceLocation) {
    let isClean = report.isClean
    #expect(isClean, "\(report.text)", sourceLocation: location)
}

/// A writer that makes segments in memory, with the counts that a real one would write.
struct TestWriter {
    let name: String
    private(set) var counts = WriterCounts()
    private var seq = 0
    private var lines: [String] = []

    init(_ host: String = "one", _ number: Int = 1) {
        let digits = String(number, radix: 16)
        name = "\(host)-" + String(repeating: "0", count: 32 - digits.count) + digits
    }

    mutating func append(_ line: String) { lines.append(line) }

    /// Ends the segment with its writer line.
    mutating func seal(at sealed_ms: Int64, end: Bool = false) -> TestSegment {
        counts.appended += lines.count + 1
        counts.written += lines.count + 1
        let line = WriterLine(
            time_ms: sealed_ms, writer: name, service: "iris", segment: seq, counts: counts, end: end, adopted: false)
        var bytes: [UInt8] = []
        for one in lines { bytes += Array(one.utf8) + [0x0A] }
        bytes += line.encoded()
        if bytes.last != 0x0A { bytes.append(0x0A) }
        defer {
            seq += 1
            lines = []
        }
        return TestSegment(writer: name, seq: seq, sealed_ms: sealed_ms, end: end, bytes: bytes)
    }
}

struct TestSegment {
    var writer: String
    var seq: Int
    var sealed_ms: Int64
    var end: Bool
    var bytes: [UInt8]
    var format = "native"

    var identity: BundleBuilder.Identity {
        BundleBuilder.Identity(
            writer: writer, seq: seq, sealed_ms: sealed_ms, format: format, file: "\(writer)-\(seq)", end: end,
            adopted: false, replay: false)
    }
}

/// Lines of events.
enum TestEvents {
    static func prediction(
        _ time_ms: Int64, id: String, model: String = "iris", version: String = "1", prediction: String = "\"setosa\"",
        score: Double = 0.9, region: String? = "eu", petal: Double = 1.4, latency: Double = 0.003, ok: Bool = true,
        task: String = "multiclass"
    ) -> String {
        let tags = region.map { ",\"tags\":{\"region\":\"\($0)\"}" } ?? ""
        let result = ok ? ",\"prediction\":\(prediction),\"score\":\(score)" : ",\"error_type\":\"bad\""
        return """
            {"schema":1,"type":"prediction","id":"\(id)","time":"\(Timestamp.format(time_ms))","service":"iris",\
            "model_name":"\(model)","model_version":"\(version)","task":"\(task)"\(result)\(tags),\
            "features":{"petal_length":\(petal),"colour":"red","weekend":false,"none":null},\
            "latency_seconds":\(latency),"status":"\(ok ? "ok" : "error")"}
            """
    }

    static func outcome(
        _ time_ms: Int64, prediction: String, label: String = "\"setosa\"", predictionTime_ms: Int64?,
        revision: Int = 0,
        model: String = "iris"
    ) -> String {
        let time = predictionTime_ms.map { ",\"prediction_time\":\"\(Timestamp.format($0))\"" } ?? ""
        return """
            {"schema":1,"type":"outcome","id":"o-\(prediction)-\(revision)","time":"\(Timestamp.format(time_ms))",\
            "service":"iris","model_name":"\(model)","prediction_id":"\(prediction)","name":"label",\
            "label":\(label),"revision":\(revision)\(time)}
            """
    }

    static func resource(_ time_ms: Int64) -> String {
        """
        {"schema":1,"type":"resource","time":"\(Timestamp.format(time_ms))","service":"iris","instance":"one",\
        "interval_seconds":10,"cpu_utilization_ratio":0.25,"memory_rss_bytes":1000000,\
        "gpus":[{"index":0,"utilization_ratio":0.5}]}
        """
    }

    static func deployment(_ time_ms: Int64) -> String {
        """
        {"schema":1,"type":"deployment","time":"\(Timestamp.format(time_ms))","service":"iris","model_name":"iris",\
        "model_version":"2","previous_version":"1"}
        """
    }

    /// Many segments of several writers: predictions over six hours, rejects, resources, labels.
    static func corpus(seed: UInt64, writers: Int = 3, segments: Int = 6, lines: Int = 40) -> [TestSegment] {
        var generator = SeededGenerator(seed: seed)
        var out: [TestSegment] = []
        let base = Pipeline.base_ms
        let classes = ["\"setosa\"", "\"virginica\"", "\"versicolor\""]
        for number in 1...writers {
            var writer = TestWriter("one", number)
            for segment in 0..<segments {
                let start = base + Int64(segment) * 50 * 60_000
                for line in 0..<lines {
                    let time = start + Int64.random(in: 0..<(70 * 60_000), using: &generator)
                    let id = "p\(number)-\(segment)-\(line)"
                    writer.append(
                        prediction(
                            time, id: id, model: line % 7 == 0 ? "fraud" : "iris", version: line % 3 == 0 ? "2" : "1",
                            prediction: classes[Int.random(in: 0..<3, using: &generator)],
                            score: Double.random(in: 0.01...0.99, using: &generator),
                            region: line % 5 == 0 ? nil : ["eu", "us"][line % 2],
                            petal: 1e9 + Double.random(in: 0...1, using: &generator),
                            latency: Double.random(in: 0.001...2, using: &generator), ok: line % 11 != 0))
                    if line % 2 == 0 {
                        writer.append(
                            outcome(
                                time + 600_000, prediction: id,
                                label: classes[Int.random(in: 0..<3, using: &generator)],
                                predictionTime_ms: line % 4 == 0 ? time : nil,
                                model: line % 7 == 0 ? "fraud" : "iris"))
                    }
                }
                writer.append("{ not json")
                writer.append(resource(start))
                writer.append(deployment(start))
                out.append(writer.seal(at: start + 75 * 60_000, end: segment == segments - 1))
            }
        }
        return out
    }
}
