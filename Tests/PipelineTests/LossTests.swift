import DurableIO
import EventModel
import EventWriting
import Glibc
import TableStorage
import TestSupport
import Testing

/// What is really lost is named; what only seems lost is counted once.
@Suite(.enabled(if: TestServers.s3 != nil && TestServers.postgres != nil && TestServers.python != nil, "use Tests/run"))
struct LossTests {
    private func makeWriter(_ path: WholePath) throws -> EventWriter {
        var configuration = EventWriter.Configuration(directory: path.spool, service: "loss")
        configuration.host = path.host
        configuration.seal_age_seconds = 0.1
        return try EventWriter(configuration)
    }

    private func write(_ count: Int, _ writer: EventWriter) {
        for _ in 0..<count {
            writer.append(.prediction(model: "loss", version: "1", prediction: .number(1), latency_seconds: 0.001))
        }
    }

    private func sealed(_ path: WholePath) throws -> [SegmentName] {
        try path.spoolFiles().compactMap { SegmentName($0) }.filter { !$0.isOpen }.sorted { $0.seq < $1.seq }
    }

    /// A file is deleted from the spool before the shipper sees it; everything else goes its way.
    @Test(.timeLimit(.minutes(5))) func aSegmentDeletedFromTheSpoolIsNamed() async throws {
        let path = try await WholePath()
        let writer = try makeWriter(path)
        for count in 1...4 {
            write(50, writer)
            #expect(writer.flush())
            #expect(try await path.wait(seconds: 20) { try sealed(path).count >= count })
        }
        writer.close()
        let victim = try #require(try sealed(path).first { $0.seq == 1 })
        let file = try #require(try path.spoolFiles().first { SegmentName($0)?.seq == 1 })
        try DurableFile.remove(path: path.spool + "/" + file)
        let shipper = try await path.run("nadi-shipper", "run", "--once", "--wait", "60s")
        #expect(shipper.status == 0, "\(shipper.log)")
        let load = try await path.run("nadi", "load")
        #expect(load.status == 0, "\(load.log)")
        let audit = try await path.run("nadi", "audit")
        #expect(audit.status == 1)
        #expect(audit.log.contains("gap:\(victim.writer)-1\n"), "\(audit.log)")
        #expect(!audit.log.contains("gap:\(victim.writer)-2"))
        let accepted = try await path.run(
            "nadi", "audit", "--accept-lost", "gap:\(victim.writer)-1", "--reason", "a trial")
        #expect(accepted.status == 0, "\(accepted.log)")
    }

    static let mayMount: Bool = {
        guard let folder = try? ScratchFolder(), mount("tmpfs", folder.path, "tmpfs", 0, "size=64k") == 0 else {
            return false
        }
        umount2(folder.path, 2 /* MNT_DETACH */)
        return true
    }()

    /// What a living writer gave up is known by reason and host before it ends: through its lock file and its host's
    /// report; and after its end through its last line.
    @Test(.timeLimit(.minutes(5)), .enabled(if: mayMount, "needs the right to mount a tmpfs"))
    func everyLossIsNamedByReasonAndHost() async throws {
        let path = try await WholePath()
        let shipper = try path.start("nadi-shipper", "run")
        #expect(try await path.wait(seconds: 20) { try path.number("SELECT 1") == 1 && path.log("nadi-shipper") != "" })
        shipper.send(SIGSTOP)
        #expect(mount("tmpfs", path.spool, "tmpfs", 0, "size=600k") == 0)
        defer { umount2(path.spool, 2) }
        var configuration = EventWriter.Configuration(directory: path.spool, service: "loss")
        configuration.host = path.host
        configuration.seal_age_seconds = 0.5
        configuration.seal_bytes = 100_000
        configuration.buffer_bytes = 64 << 10
        let writer = try EventWriter(configuration)
        let long = String(repeating: "x", count: 5000)
        var accepted = 0
        for _ in 0..<400 where writer.append(.prediction(model: "loss", version: "1", prediction: .text(long))) != nil {
            accepted += 1
        }
        for _ in 0..<1000 where writer.status.counts.dropped.disk_full == 0 {
            if writer.append(.prediction(model: "loss", version: "1", prediction: .text(long))) != nil { accepted += 1 }
            writer.flush()
        }
        for _ in 0..<3 { writer.append(.prediction(model: "", version: "1")) }
        let huge = String(repeating: "x", count: 1 << 20)
        for _ in 0..<2 { writer.append(.prediction(model: "loss", version: "1", prediction: .text(huge))) }
        writer.flush()
        let dropped = writer.status.counts.dropped
        let name = try #require(writer.status.writer)
        #expect(dropped.buffer_full > 0 && dropped.disk_full > 0, "\(dropped)")
        #expect(dropped.too_large == 2 && dropped.invalid == 3)

        shipper.send(SIGCONT)
        // The counts are in the lock file within a second, and in the host's report a second later.
        #expect(
            try await path.wait(seconds: 60) {
                let load = try await path.run("nadi", "load")
                return try load.status == 0 && told(name, path) == dropped
            }, "\(path.log("nadi")) \(path.log("nadi-shipper"))")
        #expect(try path.number("SELECT count(*) FROM nadi_store.writer WHERE end_seq IS NOT NULL") == 0)
        let words =
            "\n  writer \(name) of host \(path.host) dropped \(dropped.total) events: "
            + "\(dropped.buffer_full) buffer_full, \(dropped.disk_full) disk_full, 2 too_large, 3 invalid\n"
        let living = try await path.run("nadi", "audit")
        #expect(living.log.contains(words), "\(living.log)")

        #expect(writer.close())
        #expect(try await path.wait(seconds: 60) { try path.spoolFiles().isEmpty }, "\(path.log("nadi-shipper"))")
        shipper.send(SIGTERM)
        #expect(try await shipper.end() == 0)
        let load = try await path.run("nadi", "load")
        #expect(load.status == 0, "\(load.log)")
        #expect(try told(name, path) == dropped)
        #expect(try path.number("SELECT count(*) FROM nadi_store.writer WHERE end_seq IS NOT NULL") == 1)
        // Each event that was taken is counted, or is among the dropped.
        #expect(try path.countedPredictions() == Int64(accepted - dropped.disk_full))
        let audit = try await path.run("nadi", "audit")
        #expect(audit.status == 0, "a loss that is counted is no finding: \(audit.log)")
        #expect(audit.log.replacing(living.log, with: "").contains(words), "\(audit.log)")
    }

    /// What the view for readers says that a writer of this path's host dropped.
    private func told(_ writer: String, _ path: WholePath) throws -> DropCounts {
        var counts: [String: Int] = [:]
        let rows = try Connection(path.postgres).query(
            "SELECT drop_reason, dropped_line_count FROM nadi.pipeline_drop WHERE writer = $1 AND host = $2",
            [.text(writer), .text(path.host)])
        for row in rows.rows { counts[row.text(0)] = Int(row.integer(1)) }
        return DropCounts(
            buffer_full: counts["buffer_full"] ?? 0, disk_full: counts["disk_full"] ?? 0,
            io_error: counts["io_error"] ?? 0, too_large: counts["too_large"] ?? 0, invalid: counts["invalid"] ?? 0)
    }

    /// The server commits and the connection breaks before it can say so.
    @Test(.timeLimit(.minutes(5))) func aCommitThatHappenedUnheardCountsOnce() async throws {
        let scratch = try ScratchFolder()
        let server = try PrivateServer("postgres", in: scratch["pg"])
        let uri = try #require(server.values["POSTGRES_URI"])
        let path = try await WholePath(postgres: uri)
        let writer = try makeWriter(path)
        write(2000, writer)
        writer.close()
        let shipper = try await path.run("nadi-shipper", "run", "--once", "--wait", "60s")
        #expect(shipper.status == 0, "\(shipper.log)")

        // The first batch's COMMIT waits, after it is written, for a standby that does not exist.
        let connection = try Connection(uri)
        try connection.execute(
            """
            CREATE SEQUENCE waits;
            CREATE FUNCTION wait_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('public.waits') = 1 THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER wait_once AFTER INSERT ON nadi_store.segment EXECUTE FUNCTION wait_once();
            """)
        for setting in ["synchronous_commit = 'local'", "synchronous_standby_names = 'nobody'"] {
            try connection.execute("ALTER SYSTEM SET \(setting)")
        }
        try connection.execute("SELECT pg_reload_conf()")
        try await Task.sleep(for: .milliseconds(500))
        let loader = try path.start("nadi", "load")
        #expect(
            try await path.wait(seconds: 60) {
                try connection.query(
                    """
                    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE wait_event = 'SyncRep' AND application_name = 'nadi-loader'
                    """)[0].integer(0) > 0
            }, "\(path.log("nadi"))")
        #expect(try await loader.end() == 0, "\(path.log("nadi"))")
        #expect(try path.number("SELECT last_value FROM public.waits") >= 1)
        #expect(try path.countedPredictions() == 2000)
        let audit = try await path.run("nadi", "audit")
        #expect(audit.status == 0, "\(audit.log)")
    }
}
