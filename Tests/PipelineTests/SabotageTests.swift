import DurableIO
import EventModel
import EventSegments
import EventWriting
import Glibc
import ObjectStorage
import TableStorage
import TestSupport
import Testing

/// Ten ways of losing or forging something, each alone, on the real programs: the audit exits 1 and names it, and 0
/// after the mend or the acceptance.
@Suite(.enabled(if: TestServers.s3 != nil && TestServers.postgres != nil && TestServers.python != nil, "use Tests/run"))
struct SabotageTests {
    /// A path whose audit is clean, and what was written on it.
    private struct World {
        let path: WholePath
        let store: any ObjectStore
        let keys: [String]
        var connection: Connection { get throws { try Connection(path.postgres) } }

        /// Runs the audit: its exit status and what it alone said.
        func audit(_ arguments: String...) async throws -> (status: Int32, text: String) {
            let before = path.log("nadi").utf8.count
            let status = try await path.run("nadi", ["audit"] + arguments).status
            return (status, String(decoding: path.log("nadi").utf8.dropFirst(before), as: UTF8.self))
        }

        func expectClean(_ when: String) async throws {
            let audit = try await audit()
            #expect(audit.status == 0 && audit.text.hasPrefix("CLEAN"), "\(when): \(audit.text)")
        }

        /// The audit fails, says so in its first line, and names the finding.
        func expectNamed(_ finding: String, _ words: String...) async throws {
            let audit = try await audit()
            #expect(audit.status == 1)
            #expect(audit.text.hasPrefix("FAILED: "), "\(audit.text)")
            #expect(audit.text.contains("FAILED    " + finding), "\(finding) not in\n\(audit.text)")
            for word in words { #expect(audit.text.contains(word), "'\(word)' not in\n\(audit.text)") }
            let json = try await self.audit("--json")
            #expect(json.status == 1 && json.text.contains("\"clean\":false"))
            #expect(json.text.contains("\"id\":\"" + finding.prefix { $0 != "\n" }))
        }

        /// Accepts every failure that the audit names.
        func acceptAll() async throws {
            let found = try connection.query(
                "SELECT finding FROM nadi.audit_finding WHERE is_failure AND finding_kind <> 'balance'"
            ).rows.flatMap { ["--accept-lost", $0.text(0)] }
            let accepted = try await path.run("nadi", ["audit", "--reason", "a trial"] + found)
            #expect(accepted.status == 0, "\(accepted.log)")
            try await expectClean("after the acceptance")
            let listed = try await audit("--accepted")
            #expect(listed.status == 0 && listed.text.contains("a trial"))
        }

        func ship() async throws {
            let shipper = try await path.run("nadi-shipper", "run", "--once", "--wait", "60s")
            #expect(shipper.status == 0, "\(shipper.log)")
        }

        func load() async throws {
            let load = try await path.run("nadi", "load", "--all")
            #expect(load.status == 0, "\(load.log)")
        }

        func rebuild() async throws {
            let hour: Int64 = 3_600_000
            let now = Int64(time(nil)) * 1000
            let rebuilt = try await path.run(
                "nadi", "rebuild", "--from", Timestamp.format(now - 3 * hour), "--to", Timestamp.format(now + hour))
            #expect(rebuilt.status == 0, "\(rebuilt.log)")
        }

        /// The same world with what the bucket lists now.
        func listed() async throws -> World {
            var keys: [String] = []
            try await store.forEachObject(prefix: ObjectKey.events(prefix: path.prefix)) { keys.append($0.key) }
            #expect(!keys.isEmpty)
            return World(path: path, store: store, keys: keys)
        }
    }

    private func world() async throws -> World {
        let path = try await WholePath()
        let store = try StoreConfiguration(
            url: "s3://\(path.store.bucket)/\(path.prefix)", region: "us-east-1", endpoint: path.store.endpoint
        ).makeStore(
            environment: Environment([
                "AWS_ACCESS_KEY_ID": path.store.accessKey, "AWS_SECRET_ACCESS_KEY": path.store.secretKey,
            ]))
        return World(path: path, store: store, keys: [])
    }

    /// Three segments of a writer that closes, and one with a line that is refused; returns the writer's name.
    @discardableResult
    private func write(_ path: WholePath) async throws -> String {
        var configuration = EventWriter.Configuration(directory: path.spool, service: "sabotage")
        configuration.host = path.host
        configuration.seal_age_seconds = 0.1
        let writer = try EventWriter(configuration)
        let name = try #require(writer.status.writer)
        // A running shipper removes all of a living writer's sealed segments but the newest.
        func newest() throws -> Int {
            try path.spoolFiles().compactMap { SegmentName($0) }.filter { !$0.isOpen }.map(\.seq).max() ?? -1
        }
        for number in 0..<3 {
            for _ in 0..<20 {
                writer.append(
                    .prediction(
                        model: "m", version: "1", prediction: .text("a"), features: ["x": .number(2)],
                        latency_seconds: 0.001))
            }
            #expect(writer.flush())
            #expect(try await path.wait(seconds: 20) { try newest() >= number })
        }
        writer.close()
        try badSegment(path)
        return name
    }

    /// A segment as a broken service could have written it.
    private func badSegment(_ path: WholePath) throws {
        let now = Int64(time(nil)) * 1000
        var generator = SystemRandomNumberGenerator()
        let id = UUIDv7(time_ms: now, using: &generator).description.filter { $0 != "-" }
        let writer = "\(path.host)-\(id)"
        let counts = WriterCounts(appended: 2, written: 2)
        let end = WriterLine(
            time_ms: now, writer: writer, service: "sabotage", segment: 0, counts: counts, end: true, adopted: false)
        let bytes = Array("{ this is not JSON\n".utf8) + end.encoded()
        try DurableFile.replace(path: "\(path.spool)/\(writer)-0-\(now)-2-end.jsonl", bytes: bytes)
    }

    /// A world whose events are loaded.
    private func loaded() async throws -> World {
        let world = try await world()
        try await write(world.path)
        try await world.ship()
        try await world.load()
        try await world.expectClean("before")
        return try await world.listed()
    }

    @Test(.timeLimit(.minutes(5))) func anObjectDeleted() async throws {
        let world = try await loaded()
        let bytes = try await world.store.get(world.keys[0])
        try await world.store.delete(world.keys[0])
        try await world.expectNamed("lost:\(world.keys[0])", "not in the bucket", "host \(world.path.host)")
        _ = try await world.store.put(world.keys[0], bytes, PutOptions())
        try await world.expectClean("restored")
    }

    @Test(.timeLimit(.minutes(5))) func aByteFlipped() async throws {
        let world = try await loaded()
        let bytes = try await world.store.get(world.keys[0])
        var flipped = bytes
        flipped[bytes.count / 3] ^= 0x10
        _ = try await world.store.put(world.keys[0], flipped, PutOptions())
        try await world.expectNamed("changed:\(world.keys[0])", "with other bytes")
        _ = try await world.store.put(world.keys[0], bytes, PutOptions())
        try await world.expectClean("restored")
    }

    @Test(.timeLimit(.minutes(5))) func anObjectCopiedUnderAnotherHour() async throws {
        let world = try await loaded()
        let key = world.keys[0]
        let hour = try #require(key.firstRange(of: "/hr="))
        let digits = key.index(hour.upperBound, offsetBy: 2)
        let other = key[hour.upperBound..<digits] == "07" ? "08" : "07"
        let copy = String(key[..<hour.upperBound]) + other + String(key[digits...])
        _ = try await world.store.put(copy, try await world.store.get(key), PutOptions())
        try await world.expectNamed("stray:\(copy)", "copied or renamed")
        // It is not counted either.
        try await world.load()
        #expect(try world.path.countedPredictions() == 60)
        try await world.store.delete(copy)
        try await world.expectClean("the copy deleted")
    }

    @Test(
        .timeLimit(.minutes(5)),
        arguments: [
            "request_hour SET predictions = predictions + 1", "feature_day SET m2 = m2 + 1",
            "request_minute SET latency_counts[1] = latency_counts[1] + 1",
        ])
    func oneMoreInAnAggregateRow(change: String) async throws {
        let world = try await loaded()
        let table = String(change.prefix { $0 != " " })
        let changed = try world.connection.query(
            "UPDATE nadi_store.\(change) WHERE (tableoid, ctid) = (SELECT tableoid, ctid FROM nadi_store.\(table) LIMIT 1)"
        ).changedRows
        #expect(changed == 1)
        try await world.expectNamed("row:\(table) ", "the row was altered", "nadi rebuild")
        try await world.rebuild()
        try await world.expectClean("rebuilt")
    }

    @Test(.timeLimit(.minutes(5))) func anAlteredLedgerRow() async throws {
        let world = try await loaded()
        func add(_ bytes: Int) throws {
            try world.connection.execute(
                """
                UPDATE nadi_store.segment SET raw_bytes = raw_bytes + \(bytes)
                WHERE segment_id = (SELECT min(segment_id) FROM nadi_store.segment)
                """)
        }
        try add(1)
        try await world.expectNamed("ledger:\(world.path.host)-", "was altered")
        try add(-1)
        try await world.expectClean("set right")
    }

    @Test(.timeLimit(.minutes(5))) func aDeletedReject() async throws {
        let world = try await loaded()
        let shown = try await world.path.run("nadi", "rejects", "--reason", "invalid_json")
        #expect(shown.status == 0 && shown.log.contains("{ this is not JSON"))
        #expect(try world.connection.query("DELETE FROM nadi_store.reject_line").changedRows == 1)
        try await world.expectNamed(
            "reject:\(world.path.host)-", "1 rejected lines of reason invalid_json were kept, 0 are there")
        try await world.rebuild()
        try await world.expectClean("rebuilt")
    }

    @Test(.timeLimit(.minutes(5))) func aMissingMiddleSegment() async throws {
        let world = try await world()
        let writer = try await write(world.path)
        let file = try #require(try world.path.spoolFiles().first { $0.hasPrefix("\(writer)-1-") })
        try DurableFile.remove(path: "\(world.path.spool)/\(file)")
        try await world.ship()
        try await world.load()
        try await world.expectNamed(
            "gap:\(writer)-1\n", "neither stored nor in the spool", "Look for \(writer)-1-*.jsonl", "21 lines")
        try await world.acceptAll()
        // Taken back, it is a failure again.
        let back = try await world.audit("--withdraw", "gap:\(writer)-1")
        #expect(back.status == 0)
        try await world.expectNamed("gap:\(writer)-1\n")
    }

    /// Starts a writer that waits with a sealed segment and an open one.
    private func waitingWriter(_ path: WholePath) async throws -> ChildProcess {
        let python = try #require(TestServers.python)
        let output = path.scratch["writer-ready"]
        let writer = try ChildProcess(
            python, [DurableFile.folder(of: #filePath) + "/writer_to_stop.py", path.spool, path.host, "waiting"],
            output: output)
        #expect(
            try await path.wait(seconds: 40) {
                String(decoding: (try? DurableFile.read(path: output)) ?? [], as: UTF8.self).contains("ready")
            })
        return writer
    }

    @Test(.timeLimit(.minutes(5))) func aMissingLastSegmentOfAKilledWriter() async throws {
        let world = try await world()
        let writer = try await waitingWriter(world.path)
        writer.send(SIGKILL)
        _ = try await writer.end()
        let open = try #require(try world.path.spoolFiles().first { $0.hasSuffix(".open") })
        let name = try #require(SegmentName(open)).writer.text
        try DurableFile.remove(path: "\(world.path.spool)/\(open)")
        // Two seconds after its last write it is adopted.
        try await Task.sleep(for: .seconds(2))
        try await world.ship()
        try await world.load()
        try await world.expectNamed("lines:\(name)\n", "was killed after it had written", "what it wrote last is lost")
        try await world.acceptAll()
    }

    @Test(.timeLimit(.minutes(5))) func aWipedSpool() async throws {
        let world = try await world()
        let shipper = try world.path.start("nadi-shipper", "run")
        let writer = try await waitingWriter(world.path)
        #expect(
            try await world.path.wait(seconds: 20) {
                try await world.load()
                return try world.path.number("SELECT count(*) FROM nadi_store.writer WHERE reported_at IS NOT NULL") > 0
                    && world.path.number("SELECT count(*) FROM nadi_store.segment") > 0
            })
        try await world.expectClean("while all run")
        for process in [shipper, writer] {
            process.send(SIGKILL)
            _ = try await process.end()
        }
        let lock = try #require(try world.path.spoolFiles().first { $0.hasSuffix(".lock") })
        for file in try DurableFile.list(world.path.spool) {
            try DurableFile.remove(path: "\(world.path.spool)/\(file.name)")
        }
        try await world.ship()
        try await world.load()
        let name = lock.dropLast(".lock".count)
        try await world.expectNamed("vanished:\(name)\n", "without a proven end", "host \(world.path.host)")
        try await world.acceptAll()
    }

    @Test(.timeLimit(.minutes(5))) func aHostStopped() async throws {
        let world = try await world()
        let shipper = try world.path.start("nadi-shipper", "run")
        try await write(world.path)
        #expect(try await world.path.wait(seconds: 30) { try world.path.spoolFiles().isEmpty })
        try await world.load()
        try await world.expectClean("while it runs")
        shipper.send(SIGKILL)
        _ = try await shipper.end()
        // Sixteen minutes pass: what it said last is that old.
        let key = ObjectKey.hostReport(prefix: world.path.prefix, host: world.path.host)
        var report = try HostReport(decoding: try await world.store.get(key))
        report.time_ms -= 16 * 60_000
        _ = try await world.store.put(key, report.encoded(), PutOptions())
        try world.connection.execute("UPDATE nadi_store.host SET reported_at = NULL, covered_at = NULL")
        try await world.expectNamed("silent:\(world.path.host)\n", "is silent since", "systemctl status nadi-shipper")
        // It comes back.
        try await world.ship()
        try await world.load()
        try await world.expectClean("it reports again")
    }

    /// Whatever is killed, and whenever somebody looks: as long as nothing is lost, the audit is clean.
    @Test(.timeLimit(.minutes(5)), arguments: [UInt64(3)])
    func theAuditRaisesNoFalseAlarm(seed: UInt64) async throws {
        let world = try await world()
        let path = world.path
        var random = SeededGenerator(seed: seed)
        let python = try #require(TestServers.python)
        var shipper = try path.start("nadi-shipper", "run")
        var writer = try ChildProcess(
            python, [DurableFile.folder(of: #filePath) + "/writer_to_stop.py", path.spool, path.host, "busy"])
        for round in 0..<14 {
            try await Task.sleep(for: .milliseconds(Int.random(in: 100...700, using: &random)))
            switch Int.random(in: 0..<5, using: &random) {
            case 0:
                shipper.send(SIGKILL)
                _ = try await shipper.end()
                shipper = try path.start("nadi-shipper", "run")
            case 1:
                writer.send(SIGKILL)
                _ = try await writer.end()
                writer = try ChildProcess(
                    python, [DurableFile.folder(of: #filePath) + "/writer_to_stop.py", path.spool, path.host, "busy"])
            case 2:
                let loader = try path.start("nadi", "load")
                try await Task.sleep(for: .milliseconds(Int.random(in: 20...400, using: &random)))
                loader.send(SIGKILL)
                _ = try await loader.end()
            default: try await world.load()
            }
            try await world.expectClean("round \(round), seed \(seed)")
        }
        writer.send(SIGKILL)
        _ = try await writer.end()
        #expect(try await path.wait(seconds: 60) { try path.spoolFiles().isEmpty })
        shipper.send(SIGTERM)
        #expect(try await shipper.end() == 0)
        try await world.load()
        try await world.expectClean("at the end, seed \(seed)")
    }
}
