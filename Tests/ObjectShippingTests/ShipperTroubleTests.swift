import DurableIO
import EventModel
import EventSegments
import EventWriting
import Glibc
import ObjectStorage
import ServiceSupport
import TestSupport
import Testing

/// The real program in trouble: full disks, damaged files, stores that hang, folders that come and go.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct ShipperTroubleTests {
    private static let s3Only = "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"

    private func writer(_ program: ShipperProgram) throws -> EventWriter {
        var configuration = EventWriter.Configuration(directory: program.folder["spool"], service: "test")
        configuration.host = "testhost"
        configuration.seal_bytes = 100_000
        configuration.seal_age_seconds = 0.2
        return try EventWriter(configuration)
    }

    private func writers(_ line: [String]) -> WriterLine? { line.last.flatMap { WriterLine(Array($0.utf8)) } }

    /// The writer drops and counts while not a byte is free; the shipper needs none; then the writer goes on.
    @Test(.enabled(if: FullDisk.canMount, "needs the right to mount a tmpfs")) func aFullDiskIsDrained() async throws {
        let program = try ShipperProgram(more: "admin: off")
        let disk = try FullDisk(on: program.folder["spool"], options: "size=2m")
        defer { disk.remove() }
        let log = try writer(program)
        let long = String(repeating: "x", count: 3_000)
        var accepted: [String] = []
        func append(_ count: Int) {
            for _ in 0..<count {
                if let id = log.append(.prediction(model: "m", version: "1", prediction: .text(long))) {
                    accepted.append(id.description)
                }
            }
        }
        for _ in 0..<60 {
            append(20)
            log.flush()
        }
        #expect(log.status.counts.dropped.disk_full > 0)
        try disk.fill()
        let shipper = try program.start("run")
        #expect(
            try await eventually {
                try program.waiting().filter { $0.hasSuffix(".jsonl") }.isEmpty
            }, "\(program.log)")
        // The writer goes on where it was, and closes well.
        let droppedWhileFull = log.status.counts.dropped.disk_full
        unlink(program.folder["spool/.filler"])
        append(50)
        #expect(log.flush())
        #expect(log.close())
        #expect(log.status.counts.dropped.disk_full == droppedWhileFull)
        #expect(try await eventually { try program.waiting().isEmpty })
        shipper.send(SIGTERM)
        #expect(shipper.wait() == 0)
        let segments = try await program.segments(program.store())
        let ids = eventIDs(segments.values.joined())
        #expect(Set(ids).count == ids.count && Set(ids).isSubset(of: accepted))
        #expect(ids.count + log.status.counts.dropped.total >= accepted.count)
        let last = try #require(segments.max { $0.key.seq < $1.key.seq }.flatMap { writers($0.value) })
        #expect(last.end && last.counts.dropped.disk_full == droppedWhileFull)
        #expect(segments.values.reduce(0) { $0 + $1.count } == last.counts.written)
    }

    /// A segment that changed after it was sealed is put aside with its bytes and named; the rest goes.
    @Test(arguments: ["cut", "lines", "swapped"]) func aDamagedSegmentIsPutAside(kind: String) async throws {
        let program = try ShipperProgram(more: "admin: off")
        let ids = try program.writeSegments(5)
        let others = try program.writeSegments(2)
        let names = try program.waiting().filter { $0.contains(ids[0].prefix(8)) }
        let name = try #require(names.first { SegmentName($0)?.seq == 2 })
        let path = program.folder["spool/\(name)"]
        var bytes = try DurableFile.read(path: path)
        switch kind {
        case "cut": bytes.removeLast(bytes.count / 3)
        case "lines": bytes[bytes.firstIndex(of: 10) ?? 0] = 32
        default:
            let other = try #require(names.first { SegmentName($0)?.seq == 3 })
            bytes = try DurableFile.read(path: program.folder["spool/\(other)"])
        }
        try DurableFile.replace(path: path, bytes: bytes)
        let shipper = try program.start("run")
        #expect(try await eventually { try program.waiting() == [name + ".damaged"] }, "\(program.log)")
        #expect(try DurableFile.read(path: path + ".damaged") == bytes)
        #expect(program.log.contains("it is put aside as \(path).damaged"))
        #expect(
            try await eventually {
                let report = try? await program.report(program.store())
                return report?.lastError?.contains("put aside as \(path).damaged") == true
            })
        shipper.send(SIGTERM)
        #expect(shipper.wait() == 0)
        let report = try await program.report(program.store())
        #expect(report.state == .running && report.writers.map(\.spoolSegments) == [[2]])
        let stored = eventIDs(try await program.segments(program.store()).values.joined())
        let damaged = ids.filter { $0.hasPrefix("\(ids[0].prefix(8))-2-") }
        #expect(stored.sorted() == (ids + others).filter { !damaged.contains($0) }.sorted())
        // Mended by hand it goes along.
        if kind == "lines" {
            bytes[bytes.firstIndex(of: 32) ?? 0] = 10
            let mended = SegmentName(name).map { "\(program.folder["spool"])/\($0.fileName)" } ?? ""
            try DurableFile.replace(path: mended, bytes: bytes)
            unlink(path + ".damaged")
            #expect(try program.start("run", "--once").wait() == 0, "\(program.log)")
            #expect(try program.waiting().isEmpty)
        }
    }

    /// A file that cannot be read, in a folder that can: the others go, and metrics, status and report tell.
    @Test(.enabled(if: geteuid() == 0, "only root can be another user"))
    func anUnreadableSegmentIsToldAndHoldsUpNothing() async throws {
        let port = Int.random(in: 20_000..<32_000)
        let program = try ShipperProgram(more: "admin: 127.0.0.1:\(port)")
        let ids = try program.writeSegments(3)
        for folder in ["spool", "store", "state"] { chmod(program.folder[folder], 0o777) }
        for name in try program.waiting() { chmod(program.folder["spool/\(name)"], 0o644) }
        let name = try #require(try program.waiting().first { SegmentName($0)?.seq == 1 })
        chmod(program.folder["spool/\(name)"], 0)
        let shipper = try program.start("run", as: 65_534)
        #expect(try await eventually { try program.waiting() == [name] }, "\(program.log)")
        let address = try #require(HostAddress("127.0.0.1:\(port)"))
        #expect(
            try await eventually {
                AdminClient.get(address, path: "/metrics")?.body.contains("nadi_shipper_segments_held 1\n") == true
            })
        let page = try #require(AdminClient.get(address, path: "/status")?.body)
        #expect(page.contains("\"held\":[{\"writer\":") && page.contains("Permission denied"), "\(page)")
        #expect(try program.start("status", as: 65_534).wait() == 0)
        #expect(program.log.contains("held     1 segments, the first: segment 1 of testhost-"), "\(program.log)")
        // Readable again, it goes by itself.
        chmod(program.folder["spool/\(name)"], 0o644)
        #expect(try await eventually(within: 40) { try program.waiting().isEmpty })
        shipper.send(SIGTERM)
        #expect(shipper.wait() == 0)
        #expect(eventIDs(try await program.segments(program.store()).values.joined()).sorted() == ids.sorted())
    }

    /// A store that takes the connection and never answers does not keep the program from ending.
    @Test func itEndsInTimeWhileAPutStalls() async throws {
        let port = Int.random(in: 20_000..<32_000)
        let code = """
            import socket, sys, time
            s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(('127.0.0.1', \(port))); s.listen(64)
            kept = []
            while True: kept.append(s.accept())
            """
        let server = try ChildProcess("python3", ["-c", code])
        defer { server.send(SIGKILL) }
        let program = try ShipperProgram(endpoint: "http://127.0.0.1:\(port)", more: "admin: off")
        let text = String(decoding: try DurableFile.read(path: program.folder["shipper.yaml"]), as: UTF8.self)
        let remote = text.replacing("file://\(program.folder["store"])", with: "s3://bucket/x")
            .replacing("stop_within: 5s", with: "stop_within: 1s")
        try DurableFile.replace(path: program.folder["shipper.yaml"], bytes: Array(remote.utf8))
        try program.writeSegments(2)
        let shipper = try program.start("run", environment: ["AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"])
        try await Task.sleep(for: .seconds(2))
        shipper.send(SIGTERM)
        // 1 s for uploads, 15 s for reports; the rest is for a busy machine. A hang lasts for minutes.
        #expect(try await eventually(within: 30) { kill(shipper.processID, 0) != 0 || Self.isGone(shipper.processID) })
        #expect(shipper.wait() == 0)
        #expect(try program.waiting().count == 2)
    }

    /// Whether a process ended and only waits to be asked how.
    private static func isGone(_ process: Int32) -> Bool {
        guard let bytes = try? DurableFile.read(path: "/proc/\(process)/stat") else { return true }
        return String(decoding: bytes, as: UTF8.self).split(separator: ")").last?.hasPrefix(" Z") == true
    }

    /// Stopped like a laptop that sleeps, while another is started: nothing twice, nothing lost.
    @Test(.enabled(if: TestServers.s3 != nil, Comment(rawValue: s3Only)))
    func aFrozenShipperGoesOnAndNoSecondOneWorksMeanwhile() async throws {
        let s3 = try #require(TestServers.s3)
        let program = try ShipperProgram(s3: s3, more: "admin: off")
        var ids: [String] = []
        let shipper = try program.start("run")
        #expect(try await eventually { program.log.contains("shipping") })
        for round in 0..<6 {
            ids += try program.writeSegments(20, lines: 50)
            try await Task.sleep(for: .milliseconds(60 + 70 * round))
            shipper.send(SIGSTOP)
            if round == 2 { #expect(try program.start("run", "--once").wait() == EX_TEMPFAIL) }
            try await Task.sleep(for: .milliseconds(300))
            shipper.send(SIGCONT)
        }
        #expect(try await eventually(within: 40) { try program.waiting().isEmpty }, "\(program.log)")
        shipper.send(SIGTERM)
        #expect(shipper.wait() == 0)
        let stored = eventIDs(try await program.segments(program.store(s3)).values.joined())
        #expect(stored.sorted() == ids.sorted())
    }

    /// A spool that is missing at the start is told in the report, holds up no other, and is shipped once it comes.
    ///
    /// One that is replaced under the program is told and not taken for an empty one.
    @Test func spoolsThatComeAndGo() async throws {
        let program = try ShipperProgram(more: "admin: off")
        let text = String(decoding: try DurableFile.read(path: program.folder["shipper.yaml"]), as: UTF8.self)
        let both = text.replacing(
            "spool: \(program.folder["spool"])", with: "spool: [\(program.folder["spool"]), \(program.folder["late"])]")
        try DurableFile.replace(path: program.folder["shipper.yaml"], bytes: Array(both.utf8))
        var ids = try program.writeSegments(2)
        let shipper = try program.start("run")
        #expect(try await eventually { try program.waiting().isEmpty }, "\(program.log)")
        var report: HostReport?
        func told(_ condition: (HostReport) -> Bool) async throws -> Bool {
            try await eventually {
                report = try? await program.report(program.store())
                return report.map(condition) == true
            }
        }
        #expect(try await told { $0.isPartial && $0.lastError?.contains(program.folder["late"]) == true })
        try DurableFile.makeDirectory(program.folder["late"])
        #expect(try await told { !$0.isPartial && $0.lastError == nil }, "\(String(describing: report))")
        ids += try program.writeSegments(3)
        #expect(try await eventually { try program.waiting().isEmpty })
        // Another folder in its place, as when a disk is unmounted.
        let writer = "testhost-0192f0c1a2b37c4d8e9f00112233445a"
        let record = LockRecord(
            writer: writer, host: "testhost", service: "s", pid: 1, started_ms: 1, updated_ms: 1, seq: 0,
            counts: WriterCounts(appended: 4, written: 3, dropped: DropCounts(buffer_full: 1)), closed: false)
        try DurableFile.replace(path: program.folder["spool/\(writer).lock"], bytes: record.encoded())
        #expect(try await told { $0.writers.count == 1 })
        try #require(rename(program.folder["spool"], program.folder["away"]) == 0)
        try DurableFile.makeDirectory(program.folder["spool"])
        #expect(try await told { $0.lastError?.contains("unmounted, or replaced") == true })
        #expect(report?.writers.count == 1 && report?.state == .running)
        rmdir(program.folder["spool"])
        try #require(rename(program.folder["away"], program.folder["spool"]) == 0)
        #expect(try await told { $0.lastError == nil && $0.writers.count == 1 })
        ids += try program.writeSegments(1)
        #expect(try await eventually { try program.waiting() == ["\(writer).lock"] })
        shipper.send(SIGTERM)
        #expect(shipper.wait() == 0)
        let stored = eventIDs(try await program.segments(program.store()).values.joined())
        #expect(stored.sorted() == ids.sorted())
    }

    /// Credentials that expire or are swapped in their file are read again by themselves.
    @Test(.enabled(if: TestServers.s3 != nil, Comment(rawValue: s3Only)))
    func credentialsThatAreMendedInTheirFileAreUsed() async throws {
        let s3 = try #require(TestServers.s3)
        let program = try ShipperProgram(s3: s3, more: "admin: off")
        let text = String(decoding: try DurableFile.read(path: program.folder["shipper.yaml"]), as: UTF8.self)
        let named = text.replacing(
            "addressing: path}", with: "addressing: path, credentials_file: \"\(program.folder["keys"])\"}")
        try DurableFile.replace(path: program.folder["shipper.yaml"], bytes: Array(named.utf8))
        func keys(_ secret: String) throws {
            let text = "[default]\naws_access_key_id = \(s3.accessKey)\naws_secret_access_key = \(secret)\n"
            try DurableFile.replace(path: program.folder["keys"], bytes: Array(text.utf8))
        }
        var ids = try program.writeSegments(3)
        try keys("expired")
        let shipper = try program.start("run")
        #expect(try await eventually { program.log.contains("SignatureDoesNotMatch") }, "\(program.log)")
        #expect(try program.waiting().count == 3)
        try keys(s3.secretKey)
        #expect(try await eventually { try program.waiting().isEmpty }, "\(program.log)")
        try keys("swapped")
        ids += try program.writeSegments(2)
        try await Task.sleep(for: .seconds(1))
        #expect(try program.waiting().count == 2)
        try keys(s3.secretKey)
        #expect(try await eventually { try program.waiting().isEmpty }, "\(program.log)")
        shipper.send(SIGTERM)
        #expect(shipper.wait() == 0)
        let stored = eventIDs(try await program.segments(program.store(s3)).values.joined())
        #expect(stored.sorted() == ids.sorted())
        #expect(!program.log.contains(s3.secretKey))
    }

    /// SIGHUP takes over streams and the log's level; a faulty configuration changes nothing.
    @Test func aChangedConfigurationIsTakenOver() async throws {
        let logs = try ScratchFolder()
        let program = try ShipperProgram(more: "admin: off")
        let manager = try NotifyReceiver(path: program.folder["notify"])
        let shipper = try program.start("run", environment: ["NOTIFY_SOCKET=\(program.folder["notify"])"])
        #expect(manager.receive().hasPrefix("READY=1"))
        let text = String(decoding: try DurableFile.read(path: program.folder["shipper.yaml"]), as: UTF8.self)
        func configure(_ more: String) throws {
            try DurableFile.replace(path: program.folder["shipper.yaml"], bytes: Array((text + more).utf8))
            shipper.send(SIGHUP)
        }
        try configure("\nstremas: []\n")
        #expect(try await eventually { program.log.contains("the configuration is not taken over; the old one stays") })
        #expect(program.log.contains("unknown key 'stremas'"))
        try DurableFile.replace(path: logs["app.log.1"], bytes: Array("{\"a\":1}\n{\"a\":2}\n".utf8))
        try configure(
            "\nlog_level: debug\ndead_after: 77s\nstreams: [{name: app, paths: [\"\(logs.path)/app.log*\"], quiet: 100ms}]\n"
        )
        #expect(try await eventually { program.log.contains("needs_restart=dead_after") }, "\(program.log)")
        #expect(
            try await eventually {
                try await program.segments(program.store()).values.joined().contains("{\"a\":2}")
            }, "\(program.log)")
        var said = ""
        for _ in 0..<20 where !said.hasPrefix("RELOADING=1") { said = manager.receive() }
        #expect(said.hasPrefix("RELOADING=1"))
        shipper.send(SIGTERM)
        #expect(shipper.wait() == 0)
    }
}
