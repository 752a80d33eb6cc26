import Compression
import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectStorage
import TestSupport
import Testing

/// The real program with a configuration, spool and store of a test's own.
final class ShipperProgram: Sendable {
    let folder: ScratchFolder
    let prefix: String
    private let credentials: [String]
    private let storeURL: String
    private let endpoint: String?

    /// - Parameters:
    ///   - s3: the store; a folder when nil.
    ///   - endpoint: instead of the store's own.
    ///   - more: further lines of the configuration.
    init(s3: TestServers.S3? = nil, endpoint: String? = nil, more: String = "") throws {
        folder = try ScratchFolder()
        prefix = s3 == nil ? "" : TestServers.randomName("shipper")
        credentials = s3.map { ["AWS_ACCESS_KEY_ID=\($0.accessKey)", "AWS_SECRET_ACCESS_KEY=\($0.secretKey)"] } ?? []
        self.endpoint = endpoint ?? s3?.endpoint
        try DurableFile.makeDirectory(folder["spool"])
        try DurableFile.makeDirectory(folder["state"])
        try DurableFile.makeDirectory(folder["store"])
        storeURL =
            if let s3 {
                "s3://\(s3.bucket)/\(prefix)"
            } else {
                "file://\(folder["store"])"
            }
        let text = """
            host: testhost
            spool: \(folder["spool"])
            state: \(folder["state"])
            store: {url: "\(storeURL)", endpoint: "\(self.endpoint ?? "")", addressing: path}
            bundle: {age: 300ms}
            poll: 50ms
            report_every: 500ms
            retry: {first: 50ms, longest: 500ms}
            stop_within: 5s
            \(more)
            """
        try DurableFile.replace(path: folder["shipper.yaml"], bytes: Array(text.utf8))
    }

    /// Starts a command of the program, as another user if one is named.
    func start(
        _ command: String..., as user: UInt32? = nil, program: String = BuiltPrograms.debug("nadi-shipper"),
        environment: [String] = []
    ) throws -> ChildProcess {
        var verbs = [program] + command + ["--config", folder["shipper.yaml"]]
        if let user {
            // The scratch folder, the configuration and perhaps the checkout are the tests' alone otherwise.
            chmod(folder.path, 0o755)
            chmod(folder["shipper.yaml"], 0o644)
            if access(folder["program"], X_OK) != 0 {
                try #require(try ChildProcess("cp", [program, folder["program"]]).wait() == 0)
                chmod(folder["program"], 0o755)
            }
            verbs[0] = folder["program"]
            verbs = ["setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups"] + verbs
        }
        return try ChildProcess("env", credentials + environment + verbs, output: folder["log"])
    }

    /// What the program wrote.
    var log: String { (try? DurableFile.read(path: folder["log"])).map { String(decoding: $0, as: UTF8.self) } ?? "" }

    /// The store as the tests see it; never through the endpoint that the program was given.
    func store(_ s3: TestServers.S3? = nil) throws -> any ObjectStore {
        guard let s3 else { return try DirectoryStore(folder["store"]) }
        let environment = Environment(["AWS_ACCESS_KEY_ID": s3.accessKey, "AWS_SECRET_ACCESS_KEY": s3.secretKey])
        return try StoreConfiguration(url: storeURL, endpoint: s3.endpoint, addressing: .path)
            .makeStore(environment: environment)
    }

    /// The distinct segments of all objects, each with its lines; the same number with other bytes is a failure.
    func segments(_ store: any ObjectStore) async throws -> [SegmentID2: [String]] {
        var result: [SegmentID2: (hash: String, lines: [String])] = [:]
        var keys: [String] = []
        try await store.forEachObject(prefix: ObjectKey.events(prefix: prefix)) { keys.append($0.key) }
        for path in keys {
            let object = try await store.get(path)
            let manifest = try ObjectTrailer.find(in: object).manifest
            #expect(ObjectKey(parsing: path, prefix: prefix) == ObjectKey(prefix: prefix, manifest: manifest))
            for segment in manifest.segments {
                let frame = Array(object[segment.offset..<(segment.offset + segment.compressedBytes)])
                let raw = try Decoder.decode(frame, limit: 1 << 28)
                #expect(hex(SHA256.hash(raw)) == segment.rawSHA256)
                let id = SegmentID2(writer: segment.writer, seq: segment.seq)
                if let known = result[id] { #expect(known.hash == segment.rawSHA256, "conflict in \(id)") }
                result[id] = (segment.rawSHA256, raw.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) })
            }
        }
        return result.mapValues(\.lines)
    }

    /// The host's report.
    func report(_ store: any ObjectStore) async throws -> HostReport {
        try HostReport(decoding: try await store.get(ObjectKey.hostReport(prefix: prefix, host: "testhost")))
    }

    /// Files in the spool that belong to writers.
    func waiting() throws -> [String] {
        try DurableFile.list(folder["spool"]).map(\.name).filter { !$0.hasPrefix(".") }
    }

    /// A whole dead writer's files: `count` segments of `lines` events.
    @discardableResult
    func writeSegments(_ count: Int, lines: Int = 20, time_ms: Int64 = 1_700_000_000_000) throws -> [String] {
        var generator = SystemRandomNumberGenerator()
        let writer = WriterName(host: "testhost", id: UUIDv7(time_ms: time_ms, using: &generator))
        var ids: [String] = []
        var written = 0
        for seq in 0..<count {
            var text = ""
            for number in 0..<lines {
                let id = "\(writer.text.suffix(8))-\(seq)-\(number)"
                ids.append(id)
                text += "{\"schema\":1,\"type\":\"prediction\",\"id\":\"\(id)\"}\n"
            }
            written += lines + 1
            let isEnd = seq == count - 1
            let line = WriterLine(
                time_ms: time_ms, writer: writer.text, service: "s", segment: seq,
                counts: WriterCounts(appended: written, written: written), end: isEnd)
            let name = SegmentName(writer: writer, seq: seq, sealed_ms: time_ms, lines: lines + 1, isEnd: isEnd)
            try DurableFile.replace(path: folder["spool/\(name.fileName)"], bytes: Array(text.utf8) + line.encoded())
        }
        return ids
    }
}

/// A segment's identity in the bucket.
struct SegmentID2: Hashable {
    var writer: String
    var seq: Int
}

/// The ids of prediction lines.
func eventIDs(_ lines: some Sequence<String>) -> [String] {
    lines.compactMap { line in
        guard line.contains("\"type\":\"prediction\""), let start = line.firstRange(of: "\"id\":\"") else { return nil }
        return String(line[start.upperBound...].prefix { $0 != "\"" })
    }
}

/// Waits until a condition holds, for at most some seconds.
func eventually(within seconds: Double = 20, _ condition: () async throws -> Bool) async throws -> Bool {
    let steps = Int(seconds / 0.05)
    for _ in 0..<steps {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(50))
    }
    return false
}
