import DurableIO
import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Real programs, any number and order: the same rows by natural keys. The same from a restored dump.
@Suite(.enabled(if: TestServers.postgres != nil && Program.path != nil, "set NADI_TEST_POSTGRES and build nadi"))
struct IdenticalTests {
    /// Objects of random bundles, some of them with segments of others: keys and bytes, and host reports.
    private func bucket(_ seed: UInt64) async throws -> (Pipeline, [String]) {
        let pipeline = try Pipeline()
        var generator = SeededGenerator(seed: seed)
        var rest = TestEvents.corpus(seed: seed, writers: 4, segments: 7, lines: 20).shuffled(using: &generator)
        var keys: Set<String> = []
        var before: [TestSegment] = []
        while !rest.isEmpty {
            let count = min(rest.count, Int.random(in: 1...3, using: &generator))
            var some = Array(rest.prefix(count))
            rest.removeFirst(count)
            // A bundle composed anew after a crash.
            if let again = before.randomElement(using: &generator), keys.count % 4 == 0 { some.append(again) }
            keys.insert(try await pipeline.put(some))
            before += some
        }
        try await pipeline.report(ended: true)
        return (pipeline, keys.sorted())
    }

    @Test(arguments: [UInt64(101)]) func threeEmptyDatabasesGetTheSameRows(seed: UInt64) async throws {
        let (source, keys) = try await bucket(seed)
        let report = try await source.store.get(ObjectKey.hostReport(prefix: "", host: "one"))
        var dumps: [TableDump] = []
        for database in 0..<3 {
            var generator = SeededGenerator(seed: seed + UInt64(database))
            let pipeline = try Pipeline()
            let path = try pipeline.configuration(extra: "batch:\n  objects: \(1 + database * 3)")
            _ = try await pipeline.store.put(ObjectKey.hostReport(prefix: "", host: "one"), report, PutOptions())
            var rest = keys.shuffled(using: &generator)
            while !rest.isEmpty {
                // In three portions at most.
                let count = max((keys.count + 2) / 3, Int.random(in: 1...rest.count, using: &generator))
                for key in rest.prefix(count) {
                    _ = try await pipeline.store.put(key, try await source.store.get(key), PutOptions())
                }
                rest.removeFirst(min(rest.count, count))
                let loaders = try (0...database).map { _ in
                    try ChildProcess(Program.path ?? "", ["load", "--all", "--config", path])
                }
                for loader in loaders { #expect(try await loader.end() == 0) }
            }
            #expect(try Program.run(["load", "--all", "--join-now", "--sweep-now", "--config", path]) == 0)
            #expect(try Program.run(["audit", "--config", path]) == 0)
            let connection = try pipeline.database.connect()
            #expect(try connection.query("SELECT count(*) FROM nadi_store.dirty_hour")[0].integer(0) == 0)
            dumps.append(try TableDump(connection))
        }
        #expect(dumps[0].exact.count > 500)
        for table in [
            "request_minute", "feature_day", "score_hour", "resource_minute", "segment", "reject_line", "outcome_day",
        ] {
            #expect(dumps[0].exact.keys.contains { $0.hasPrefix(table + ":") }, "\(table)")
        }
        for dump in dumps.dropFirst() {
            // Which of two equal segments is the duplicate depends on the order, how many there are does not.
            #expect(dumps[0].differences(dump).isEmpty, "\(dumps[0].differences(dump)), seed \(seed)")
        }
    }

    /// Dumped while a loader works and labels wait, loaded on, restored, loaded again: the rows of an undisturbed database.
    @Test func aRestoredDumpCatchesUp() async throws {
        let (source, keys) = try await bucket(7)
        let disturbed = try Pipeline()
        func copy(_ some: some Sequence<String>, to pipeline: Pipeline) async throws {
            for key in some { _ = try await pipeline.store.put(key, try await source.store.get(key), PutOptions()) }
        }
        let half = keys.count / 2
        try await copy(keys.prefix(half), to: disturbed)
        try await disturbed.report(ended: true)
        let dump = disturbed.folder["dump"]
        let uri = disturbed.database.uri
        let dumps = Counter()
        let loader = Loader(
            store: HookedStore(disturbed.store) { _, _ in
                // Once some are loaded and this one is not.
                let loaded = try Connection(uri).query("SELECT count(*) FROM nadi_store.object WHERE state = 'loaded'")
                guard dumps.value == 0, loaded[0].integer(0) > 0 else { return }
                dumps.add()
                try Self.tool("pg_dump", "-Fc", "-f", dump, "-d", uri)
            }, connectionString: uri,
            settings: {
                var settings = disturbed.settings(objects: 2)
                settings.join.hoursPerRun = 2
                settings.parallelism = 1
                return settings
            }())
        _ = try await loader.load(reach: .all)
        await loader.close()
        try await copy(keys.dropFirst(half), to: disturbed)
        _ = try await disturbed.load(joinNow: true, sweepNow: true)

        let restored = try Pipeline(bucketOf: disturbed, database: TestDatabase(migrated: false))
        try Self.tool("pg_restore", "--no-owner", "--exit-on-error", "-d", restored.database.uri, dump)
        let connection = try restored.database.connect()
        // The dump was taken in the midst of things.
        let states = try connection.query(
            "SELECT count(*) FILTER (WHERE state = 'claimed'), count(*) FILTER (WHERE state = 'loaded') FROM nadi_store.object"
        )[0]
        #expect(states.integer(0) > 0 && states.integer(1) > 0)
        try Migrations(directory: TestDatabase.sqlDirectory).requireCurrent(connection)
        // Leases of the dumped loader run out.
        try connection.query("UPDATE nadi_store.object SET lease_until = now() - interval '1 s'")
        _ = try await restored.load(joinNow: true, sweepNow: true)
        _ = try await restored.load(joinNow: true, sweepNow: true)

        let undisturbed = try Pipeline(bucketOf: disturbed)
        _ = try await undisturbed.load(joinNow: true, sweepNow: true)
        let expected = try TableDump(undisturbed.database.connect())
        #expect(expected.exact.count > 500)
        for pipeline in [disturbed, restored] {
            let differences = expected.differences(try TableDump(pipeline.database.connect()))
            #expect(differences.isEmpty, "\(differences)")
            #expect(
                try pipeline.database.connect().query("SELECT count(*) FROM nadi_store.dirty_hour")[0].integer(0) == 0)
            expectClean(try await pipeline.audit())
        }
    }

    /// Runs one of PostgreSQL's programs.
    private static func tool(_ name: String, _ arguments: String...) throws {
        let script = "exec \"$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)/$0\" \"$@\""
        let folder = try ScratchFolder()
        let child = try ChildProcess("bash", ["-c", script, name] + arguments, output: folder["log"])
        let status = child.wait()
        try #require(
            status == 0,
            "\(name): \(String(decoding: (try? DurableFile.read(path: folder["log"])) ?? [], as: UTF8.self))")
    }

    /// The schema is migrated while a loader is under way: it ends in order; the next start of the old program is refused.
    @Test func aMigrationWhileLoadingIsNoticed() async throws {
        let (source, keys) = try await bucket(8)
        let scratch = try ScratchFolder()
        for entry in try DurableFile.list(TestDatabase.sqlDirectory) where entry.name.hasSuffix(".sql") {
            let bytes = try DurableFile.read(path: TestDatabase.sqlDirectory + "/" + entry.name)
            try DurableFile.replace(path: scratch[entry.name], bytes: bytes)
        }
        let text = "ALTER TABLE nadi_store.segment ADD COLUMN later int; CREATE TABLE nadi_store.later (n int);"
        try DurableFile.replace(path: scratch["9000_add_later.sql"], bytes: Array(text.utf8))
        let uri = source.database.uri
        let newer = scratch.path
        let loader = Loader(
            store: HookedStore(source.store) { before, _ in
                if before == 5 { _ = try Migrations(directory: newer).apply(Connection(uri)) }
            }, connectionString: uri, settings: source.settings(objects: 1))
        let report = try await loader.load(reach: .all)
        await loader.close()
        #expect(report.objects == keys.count && report.failed.isEmpty && report.poisoned.isEmpty)
        expectClean(try await source.audit())
        let path = try source.configuration()
        #expect(try Program.run(["load", "--config", path]) == 1)
        #expect(try Program.run(["rebuild", "--mapping", "web", "--config", path]) == 1)
        #expect(try Program.run(["load", "--config", path, "--sql-directory", newer]) == 0)
        // A schema that is behind the program.
        let behind = try Pipeline()
        #expect(try Program.run(["load", "--config", behind.configuration(), "--sql-directory", newer]) == 1)
    }
}
