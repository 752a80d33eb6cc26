import EventModel
import TableLoading
import TableStorage
import TestSupport
import Testing

/// The loader's user is a mere member of nadi_loader: it owns nothing and is no superuser.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct MemberTests {
    @Test func aMemberLoadsJoinsRebuildsAndAudits() async throws {
        let pipeline = try Pipeline()
        let admin = try pipeline.database.connect()
        let role = TestServers.randomName("nadi_member").replacing("-", with: "_")
        try admin.execute("CREATE ROLE \(role) LOGIN PASSWORD 'test' IN ROLE nadi_loader")
        do {
            try await useAs(role, pipeline)
        } catch {
            Issue.record("\(error)")
        }
        try admin.execute("DROP OWNED BY \(role); DROP ROLE \(role)")
    }

    private func useAs(_ role: String, _ pipeline: Pipeline) async throws {
        let uri = pipeline.database.uri
        let member = uri + (uri.contains("?") ? "&" : "?") + "user=\(role)&password=test"
        do {
            let row = try Connection(member).query("SELECT current_user, current_setting('is_superuser')")[0]
            #expect(row.text(0) == role)
            #expect(row.text(1) == "off")
        }
        let segments = TestEvents.corpus(seed: 31, writers: 2, segments: 4, lines: 15)
        try await pipeline.put(Array(segments[..<5]))
        try await pipeline.report(ended: true)
        var settings = pipeline.settings()
        settings.retention.minuteDays = 2
        let loader = Loader(store: pipeline.store, connectionString: member, settings: settings)
        let migrations = try Migrations(directory: TestDatabase.sqlDirectory)
        var check = Check()
        check.database(member, migrations: migrations, now_ms: LoadClock.now_ms())
        #expect(check.isClean, "\(check.text)")
        // Partitions are dropped as well.
        try pipeline.database.connect().execute("SELECT nadi_store.ensure_partition('reject_line', '2020-01-01')")
        #expect(try await loader.load(reach: .all, joinNow: true, sweepNow: true).segments == 5)
        try await pipeline.put(Array(segments[5...]))
        let second = try await loader.load(reach: .all, joinNow: true, sweepNow: true)
        #expect(second.segments == 3)
        #expect(second.joinedHours > 0)
        let rebuilt = try await Rebuild(loader).run(
            .hours(from_ms: Pipeline.base_ms, to_ms: Pipeline.base_ms + 12 * LoadClock.hour_ms))
        #expect(rebuilt.hours > 0)
        #expect(rebuilt.closed.isEmpty)
        _ = try await loader.load(reach: .all, joinNow: true)
        await loader.close()
        let thread = DatabaseThread(member)
        let audit = try await Audit(store: pipeline.store, database: thread, settings: settings).run(
            now_ms: LoadClock.now_ms())
        expectClean(audit)
        #expect(try StatusReport(Connection(member), now_ms: LoadClock.now_ms()).lastSuccess_ms != nil)
        await thread.close()
    }
}
