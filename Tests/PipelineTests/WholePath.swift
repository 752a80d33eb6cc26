import DurableIO
import TableStorage
import TestSupport

/// A path of a test's own: a spool, a prefix of the bucket, a database, and the built programs between them.
final class WholePath: Sendable {
    let scratch: ScratchFolder
    let host: String
    let prefix: String
    /// The store's endpoint and keys.
    let store: TestServers.S3
    /// The database's URI, as its owner.
    let postgres: String
    private let database: TestDatabase?

    /// Uses the servers of the whole run where none are given; makes and migrates the database.
    ///
    /// Everything is quick, unless the programs' defaults are asked for.
    init(store: TestServers.S3? = nil, postgres: String? = nil, defaults: Bool = false) async throws {
        guard let store = store ?? TestServers.s3 else { throw PathError("there is no S3 server: use Tests/run") }
        self.store = store
        scratch = try ScratchFolder()
        host = TestServers.randomName("host")
        prefix = TestServers.randomName("path")
        if let postgres {
            database = nil
            self.postgres = postgres
        } else {
            let made = try TestDatabase(migrated: false)
            database = made
            self.postgres = made.uri
        }
        for folder in ["spool", "state"] { try DurableFile.makeDirectory(scratch[folder]) }
        try write("shipper.yaml", shipperConfiguration + (defaults ? "" : Self.quickShipper))
        try write("loader.yaml", loaderConfiguration + (defaults ? "" : Self.quickLoader))
        let migrated = try await run("nadi", "migrate")
        guard migrated.status == 0 else { throw PathError("nadi migrate failed: \(migrated.log)") }
    }

    /// The spool's folder.
    var spool: String { scratch["spool"] }

    private var shipperConfiguration: String {
        """
        host: \(host)
        spool: [\(spool)]
        state: \(scratch["state"])
        store:
          url: s3://\(store.bucket)/\(prefix)
          region: us-east-1
          endpoint: \(store.endpoint)
        admin: off

        """
    }

    private static let quickShipper = """
        bundle: {size: 256KiB, age: 300ms}
        poll: 100ms
        dead_after: 2s
        report_every: 1s
        retry: {first: 50ms, longest: 1s}

        """

    private var loaderConfiguration: String {
        """
        database: \(postgres)
        store:
          url: s3://\(store.bucket)/\(prefix)
          region: us-east-1
          endpoint: \(store.endpoint)

        """
    }

    private static let quickLoader = """
        lease: \(leaseSeconds)s

        """

    /// How long a killed loader's claims last in these tests: long enough that a busy machine renews them in time.
    static let leaseSeconds = 10

    private func write(_ name: String, _ text: String) throws {
        try DurableFile.replace(path: scratch[name], bytes: Array(text.utf8))
    }

    // MARK: Programs

    private var environment: [String: String] {
        ["AWS_ACCESS_KEY_ID": store.accessKey, "AWS_SECRET_ACCESS_KEY": store.secretKey]
    }

    /// Starts a program with its configuration; its output goes to `<program>.log` in the scratch folder.
    func start(_ program: String, _ arguments: String...) throws -> ChildProcess {
        try start(program, arguments)
    }

    private func start(_ program: String, _ arguments: [String]) throws -> ChildProcess {
        let configuration = scratch[program == "nadi" ? "loader.yaml" : "shipper.yaml"]
        return try ChildProcess(
            BuiltPrograms.debug(program), arguments + ["--config", configuration], environment: environment,
            output: scratch["\(program).log"])
    }

    /// Runs a program to its end: its exit status and what all runs of it have said so far.
    @discardableResult
    func run(_ program: String, _ arguments: String...) async throws -> (status: Int32, log: String) {
        try await run(program, arguments)
    }

    @discardableResult
    func run(_ program: String, _ arguments: [String]) async throws -> (status: Int32, log: String) {
        let child = try start(program, arguments)
        return (try await child.end(), log(program))
    }

    /// What a program has said so far.
    func log(_ program: String) -> String {
        let bytes = (try? DurableFile.read(path: scratch["\(program).log"], limit: 16 << 20)) ?? []
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: What came of it

    /// Ids of the events in the bucket, as often as they are there: read by botocore and zstd, not by Nadi.
    func idsInBucket(_ type: String = "prediction") async throws -> [String] {
        guard let python = TestServers.python else { throw PathError("NADI_TEST_PYTHON is not set: use Tests/run") }
        let script = DurableFile.folder(of: #filePath) + "/ids_in_bucket.py"
        let output = scratch[TestServers.randomName("ids")]
        let child = try ChildProcess(
            python, [script, store.endpoint, store.bucket, prefix, type], environment: environment, output: output)
        let status = try await child.end()
        let text = String(decoding: try DurableFile.read(path: output, limit: 64 << 20), as: UTF8.self)
        guard status == 0 else { throw PathError("ids_in_bucket.py: \(text)") }
        return text.split(separator: "\n").map(String.init)
    }

    /// One number of the database.
    func number(_ sql: String) throws -> Int64 {
        try Connection(postgres).query(sql).first?.optionalInteger(0) ?? 0
    }

    /// Predictions that the tables count.
    func countedPredictions() throws -> Int64 {
        try number(
            """
            SELECT coalesce(sum(r.predictions), 0)::bigint FROM nadi_store.request_hour r
            JOIN nadi_store.series s USING (series_id) WHERE s.slice_key = 'all'
            """)
    }

    /// Files of writers in the spool.
    func spoolFiles() throws -> [String] { try DurableFile.list(spool).map(\.name).filter { !$0.hasPrefix(".") } }

    /// Waits until the condition holds; false after the time.
    func wait(seconds: Int, until condition: () async throws -> Bool) async throws -> Bool {
        for _ in 0..<(seconds * 10) {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(100))
        }
        return try await condition()
    }
}

/// Why a path could not be made or asked.
struct PathError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
