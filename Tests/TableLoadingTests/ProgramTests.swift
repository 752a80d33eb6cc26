import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// The program itself, killed and started again.
@Suite(.enabled(if: TestServers.postgres != nil && Program.path != nil, "set NADI_TEST_POSTGRES and build nadi"))
struct ProgramTests {
    private func configuration(_ pipeline: Pipeline, extra: String = "") throws -> String {
        try pipeline.configuration(extra: extra)
    }

    @Test func killedAnywhereAndStartedAgainItCountsOnce() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 21, writers: 5, segments: 8, lines: 30)
        for segment in segments { try await pipeline.put([segment]) }
        try await pipeline.report(ended: true)
        let path = try configuration(pipeline, extra: "batch:\n  objects: 1")
        var generator = SystemRandomNumberGenerator()
        var kills = 0
        for _ in 0..<12 {
            let run = try Program.start(["load", "--all", "--config", path])
            usleep(UInt32.random(in: 60_000...400_000, using: &generator))
            kill(run, SIGKILL)
            if Program.wait(run) != 0 { kills += 1 }
        }
        #expect(kills > 0)
        #expect(try Program.run(["load", "--all", "--join-now", "--sweep-now", "--config", path]) == 0)
        #expect(try Program.run(["audit", "--config", path]) == 0)
        let counted = try pipeline.database.connect().query(
            "SELECT count(*) FROM nadi_store.segment WHERE state = 'loaded'")[0].integer(0)
        #expect(counted == Int64(segments.count))
        let fresh = try Pipeline(bucketOf: pipeline)
        _ = try await fresh.load(joinNow: true, sweepNow: true)
        let left = try TableDump(pipeline.database.connect())
        let right = try TableDump(fresh.database.connect())
        #expect(left.differences(right).isEmpty, "\(left.differences(right))")
        let metrics = String(decoding: try DurableFile.read(path: pipeline.folder["nadi.prom"]), as: UTF8.self)
        #expect(metrics.contains("\nnadi_load_last_exit_code 0\n"))
    }

    @Test func rebuildingASeparateDatabaseGivesTheSameRows() async throws {
        let pipeline = try Pipeline()
        for segment in TestEvents.corpus(seed: 23, writers: 2, segments: 6, lines: 20) {
            try await pipeline.put([segment])
        }
        let first = try configuration(pipeline)
        #expect(try Program.run(["load", "--all", "--join-now", "--sweep-now", "--config", first]) == 0)
        let separate = try Pipeline(bucketOf: pipeline)
        let second = try configuration(separate)
        #expect(try Program.run(["load", "--all", "--config", second]) == 0)
        // What stands there is wrong, so that only the rebuild can make it equal.
        let connection = try separate.database.connect()
        for table in ["request_hour", "feature_hour", "score_hour", "resource_hour", "request_day", "hour_edge_set"] {
            try connection.query("DELETE FROM nadi_store.\(table)")
        }
        let from = Timestamp.format(Pipeline.base_ms - LoadClock.day_ms)
        let to = Timestamp.format(Pipeline.base_ms + 2 * LoadClock.day_ms)
        #expect(try Program.run(["rebuild", "--from", from, "--to", to, "--config", second]) == 0)
        #expect(try Program.run(["load", "--join-now", "--sweep-now", "--config", second]) == 0)
        let left = try TableDump(pipeline.database.connect())
        let right = try TableDump(connection)
        #expect(left.exact.count > 500)
        #expect(left.differences(right).isEmpty, "\(left.differences(right))")
    }

    @Test func commandsTellTheirOutcomeByTheirStatus() async throws {
        let pipeline = try Pipeline(database: TestDatabase(migrated: false))
        let path = try configuration(pipeline)
        #expect(try Program.run(["load", "--config", path]) == 1)
        #expect(try Program.run(["check", "--config", path]) == 1)
        #expect(try Program.run(["migrate", "--config", path]) == 0)
        #expect(try Program.run(["check", "--config", path]) == 0)
        let segments = TestEvents.corpus(seed: 22, writers: 1, segments: 2, lines: 10)
        let key = try await pipeline.put(segments)
        try await pipeline.report(ended: true)
        #expect(try Program.run(["load", "--dry-run", key, "--config", path]) == 0)
        #expect(try Program.run(["load", "--config", path]) == 0)
        #expect(try Program.run(["status", "--config", path]) == 0)
        #expect(try Program.run(["audit", "--json", "--config", path]) == 0)
        try await pipeline.store.delete(key)
        #expect(try Program.run(["audit", "--config", path]) == 1)
        #expect(try Program.run(["rebuild", "--config", path]) == 64)
        #expect(try Program.run(["load", "--config", "/nowhere.yaml"]) == 64)
    }

    /// A server that stops and comes back is the pipeline tests' `theDatabaseGoesAway`.
    @Test func aClosedPortFailsTheRunAndChangesNothing() async throws {
        let pipeline = try Pipeline()
        let path = pipeline.folder["loader.yaml"]
        let text = "database: postgresql://127.0.0.1:9/none\nstore:\n  url: file://\(pipeline.folder.path)\n"
        try DurableFile.replace(path: path, bytes: Array(text.utf8))
        #expect(try Program.run(["load", "--config", path]) == 1)
        #expect(try Program.run(["check", "--config", path]) == 1)
    }
}

extension Pipeline {
    /// Writes a `loader.yaml` of this bucket and database, and returns its path.
    func configuration(extra: String = "") throws -> String {
        let path = folder["loader.yaml"]
        let text = """
            database: \(database.uri)
            store:
              url: file://\(folder.path)
            slices: [region]
            join:
              age: 0s
            metrics_file: \(folder.path)/nadi.prom
            \(extra)
            """
        try DurableFile.replace(path: path, bytes: Array(text.utf8))
        return path
    }
}

/// The built program.
enum Program {
    /// Its path beside the tests, if it was built.
    static let path: String? = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let executable = String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // swift test runs a bundle beside the program, or a helper of the toolchain with the bundle as argument.
        let candidates = [executable] + CommandLine.arguments
        for candidate in candidates {
            guard let slash = candidate.lastIndex(of: "/") else { continue }
            let program = candidate[..<slash] + "/nadi"
            if access(String(program), X_OK) == 0 { return String(program) }
        }
        return nil
    }()

    /// Starts it with its output thrown away.
    static func start(_ arguments: [String]) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        let all = [path ?? ""] + arguments
        var pointers: [UnsafeMutablePointer<CChar>?] = all.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path ?? "", &actions, nil, pointers, environ)
        guard code == 0 else { throw SystemError(operation: "spawn", path: path ?? "", code: code) }
        return pid
    }

    /// Its exit status, or 128 and the signal that ended it.
    static func wait(_ pid: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }

    static func run(_ arguments: [String]) throws -> Int32 { wait(try start(arguments)) }
}
