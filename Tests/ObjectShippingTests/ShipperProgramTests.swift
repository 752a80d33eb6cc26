import Compression
import DurableIO
import EventModel
import EventSegments
import EventWriting
import Glibc
import ObjectStorage
import ServiceSupport
import TestSupport
import Testing

@Suite(.serialized) struct ShipperProgramTests {
    @Test(.timeLimit(.minutes(5))) func onceShipsEverythingToAFolder() async throws {
        let program = try ShipperProgram(more: "admin: off")
        let ids = try program.writeSegments(5) + program.writeSegments(3)
        #expect(try program.start("run", "--once").wait() == 0, "\(program.log)")
        #expect(try program.waiting().isEmpty)
        let segments = try await program.segments(program.store())
        #expect(eventIDs(segments.values.joined()).sorted() == ids.sorted())
        let report = try await program.report(program.store())
        #expect(report.state == .ended && report.writers.isEmpty && report.unshipped.segments == 0)
    }

    @Test(.timeLimit(.minutes(5))) func whatAKilledShipperLeftInTheSpoolIsRemoved() throws {
        let program = try ShipperProgram(more: "admin: off")
        try DurableFile.replace(path: program.folder["spool/.w-0-1-1-end.jsonl.2mgy3f9yrlzo2-1.tmp"], bytes: [1])
        try DurableFile.replace(path: program.folder["spool/notes.txt"], bytes: [1])
        #expect(try program.start("run", "--once").wait() == 0, "\(program.log)")
        #expect(try DurableFile.list(program.folder["spool"]).map(\.name).sorted() == ["notes.txt"])
    }

    @Test(.timeLimit(.minutes(5))) func theZstdProgramReadsObjectsAsPlainLines() async throws {
        let program = try ShipperProgram(more: "admin: off")
        let ids = try program.writeSegments(3)
        #expect(try program.start("run", "--once").wait() == 0)
        let output = program.folder["plain"]
        let command = "zstd -dc \(program.folder["store"])/events/*/*/*/*.zst > \(output)"
        #expect(system(command) == 0)
        let lines = String(decoding: try DurableFile.read(path: output), as: UTF8.self).split(separator: "\n")
        #expect(eventIDs(lines.map(String.init)) == ids)
        #expect(lines.count == ids.count + 3)
    }

    @Test(
        .enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"),
        .timeLimit(.minutes(5)))
    func checkFindsNothingWrongWithARealStore() async throws {
        let s3 = try #require(TestServers.s3)
        let program = try ShipperProgram(s3: s3, more: "admin: off")
        #expect(try program.start("check").wait() == 0)
        let log = program.log
        #expect(!log.contains("FAULT"), "\(log)")
        #expect(log.contains("credentials from "))
        #expect(!log.contains(s3.secretKey))
        #expect(try await program.store(s3).list(prefix: program.prefix, startAfter: nil, limit: 9).objects.isEmpty)
    }

    @Test(.timeLimit(.minutes(5))) func checkNamesWhatIsWrong() throws {
        let program = try ShipperProgram(endpoint: "http://127.0.0.1:1", more: "admin: off")
        let text = String(decoding: try DurableFile.read(path: program.folder["shipper.yaml"]), as: UTF8.self)
        let broken = text.replacing("spool: ", with: "spool: /nonexistent")
            .replacing(
                "url: \"file://\(program.folder["store"])\"", with: "url: \"s3://bucket\", credentials_file: /nowhere")
        try DurableFile.replace(path: program.folder["shipper.yaml"], bytes: Array(broken.utf8))
        #expect(try program.start("check").wait() == 1)
        #expect(program.log.contains("FAULT  spool_missing: spool /nonexistent"), "\(program.log)")
        #expect(program.log.contains("does not exist: make it"))
        #expect(program.log.count(where: { $0.isNewline }) >= 3)
        try DurableFile.replace(path: program.folder["shipper.yaml"], bytes: Array("hots: a\n".utf8))
        #expect(try program.start("run").wait() == EX_CONFIG)
        #expect(program.log.contains("shipper.yaml:1: unknown key 'hots' in 'shipper'; known keys: host, "))
    }

    @Test(
        .enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"),
        .timeLimit(.minutes(5)))
    func killedAtAnyMomentItShipsEverySegmentOnce() async throws {
        let s3 = try #require(TestServers.s3)
        let program = try ShipperProgram(s3: s3, more: "admin: off")
        var configuration = EventWriter.Configuration(directory: program.folder["spool"], service: "test")
        configuration.host = "testhost"
        configuration.seal_bytes = 20_000
        configuration.seal_age_seconds = 0.1
        let writer = try EventWriter(configuration)
        var ids: [String] = []
        for round in 0..<12 {
            let shipper = try program.start("run")
            for _ in 0..<4 {
                for _ in 0..<200 {
                    let prediction = Prediction(model: "m", version: "1")
                    if let id = writer.append(prediction) { ids.append(id.description) }
                }
                writer.flush()
                try await Task.sleep(for: .milliseconds(40 + 17 * round))
            }
            kill(shipper.processID, SIGKILL)
            _ = shipper.wait()
        }
        writer.close()
        let written = writer.status.counts.written
        #expect(try program.start("run", "--once").wait() == 0, "\(program.log)")
        #expect(try program.waiting().isEmpty)
        let segments = try await program.segments(program.store(s3))
        #expect(eventIDs(segments.values.joined()).sorted() == ids.sorted())
        #expect(segments.values.reduce(0) { $0 + $1.count } == written)
        #expect(segments.count > 10)
    }

    @Test(
        .enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"),
        .timeLimit(.minutes(5)))
    func anOutageOfTheStoreLosesNothing() async throws {
        let s3 = try #require(TestServers.s3)
        let port = Int.random(in: 20_000..<32_000)
        let program = try ShipperProgram(s3: s3, endpoint: "http://127.0.0.1:\(port)", more: "admin: off")
        var ids = try program.writeSegments(4)
        let shipper = try program.start("run")
        #expect(try await eventually { program.log.contains("upload failed") })
        ids += try program.writeSegments(2)
        #expect(try program.waiting().count == 6)
        // The store comes, goes in the middle of requests, and comes back.
        for pause in [100, 300, 5_000] {
            let proxy = try ChildProcess("python3", ["-c", Self.proxy, "\(port)", String(s3.endpoint.dropFirst(7))])
            ids += try program.writeSegments(3)
            try await Task.sleep(for: .milliseconds(pause))
            if pause == 5_000 {
                #expect(try await eventually { try program.waiting().isEmpty }, "\(program.log)")
            }
            kill(proxy.processID, SIGKILL)
            _ = proxy.wait()
        }
        kill(shipper.processID, SIGTERM)
        #expect(shipper.wait() == 0)
        let segments = try await program.segments(program.store(s3))
        #expect(eventIDs(segments.values.joined()).sorted() == ids.sorted())
    }

    /// Passes bytes on to the real store: `PORT HOST:PORT`.
    private static let proxy = """
        import asyncio, sys
        port, target = int(sys.argv[1]), sys.argv[2].split(':')
        async def pipe(r, w):
            try:
                while d := await r.read(65536):
                    w.write(d); await w.drain()
            except Exception: pass
            w.close()
        async def serve(r, w):
            try: r2, w2 = await asyncio.open_connection(target[0], int(target[1]))
            except Exception: return w.close()
            await asyncio.gather(pipe(r, w2), pipe(r2, w))
        async def main():
            s = await asyncio.start_server(serve, '127.0.0.1', port)
            await s.serve_forever()
        asyncio.run(main())
        """

    @Test(.timeLimit(.minutes(5))) func itTellsTheServiceManagerAndServesItsPages() async throws {
        let port = Int.random(in: 20_000..<32_000)
        let program = try ShipperProgram(more: "admin: 127.0.0.1:\(port)")
        let manager = try NotifyReceiver(path: program.folder["notify"])
        let shipper = try program.start(
            "run", environment: ["NOTIFY_SOCKET=\(program.folder["notify"])", "WATCHDOG_USEC=800000"])
        #expect(manager.receive().hasPrefix("READY=1\nSTATUS=nothing waits"))
        #expect(manager.receive() == "WATCHDOG=1")
        let address = try #require(HostAddress("127.0.0.1:\(port)"))
        #expect(try await eventually { AdminClient.get(address, path: "/healthz")?.status == 200 })
        let ids = try program.writeSegments(2)
        #expect(try await eventually { try program.waiting().isEmpty })
        let metrics = try #require(AdminClient.get(address, path: "/metrics")?.body)
        #expect(metrics.contains("nadi_shipper_read_lines_total{stream=\"native\"} \(ids.count + 2)\n"))
        #expect(metrics.contains(try Regex("nadi_shipper_objects_uploaded_total [12]\n")))
        try DurableFile.replace(path: program.folder["metrics"], bytes: Array(metrics.utf8))
        if access("/usr/bin/promtool", X_OK) == 0 {
            #expect(system("promtool check metrics < \(program.folder["metrics"])") == 0)
        }
        #expect(try program.start("status").wait() == 0)
        #expect(program.log.contains("shipper    version "), "\(program.log)")
        // What is sealed at the last moment goes along.
        let late = try program.writeSegments(3)
        kill(shipper.processID, SIGTERM)
        #expect(shipper.wait() == 0)
        var said = ""
        while !said.hasPrefix("STOPPING=1") {
            said = manager.receive()
            try #require(!said.isEmpty)
        }
        #expect(try program.waiting().isEmpty)
        #expect(try await program.report(program.store()).state == .ended)
        #expect(eventIDs(try await program.segments(program.store()).values.joined()).sorted() == (ids + late).sorted())
    }

    @Test(.timeLimit(.minutes(5))) func aWriterThatWasKilledIsEndedByTheProgram() async throws {
        let program = try ShipperProgram(more: "admin: off\ndead_after: 200ms")
        let writer = "testhost-0192f0c1a2b37c4d8e9f00112233445a"
        let record = LockRecord(
            writer: writer, host: "testhost", service: "s", pid: 1, started_ms: 1, updated_ms: 1, seq: 0,
            counts: WriterCounts(appended: 4, written: 3, dropped: DropCounts(buffer_full: 1)), closed: false)
        try DurableFile.replace(path: program.folder["spool/\(writer).lock"], bytes: record.encoded())
        try DurableFile.replace(
            path: program.folder["spool/\(writer)-0.open"],
            bytes: Array("{\"type\":\"prediction\",\"id\":\"a\"}\n{\"type\":\"prediction\",\"id\":\"b\"}\n{\"to".utf8))
        let shipper = try program.start("run")
        #expect(try await eventually { try program.waiting().isEmpty })
        kill(shipper.processID, SIGTERM)
        #expect(shipper.wait() == 0)
        let segments = try await program.segments(program.store())
        #expect(segments.count == 2)
        let end = try #require(
            segments[SegmentID2(writer: writer, seq: 1)]?.first.flatMap { WriterLine(Array($0.utf8)) })
        #expect(end.adopted && end.counts.written == 4 && end.counts.appended == 5 && end.found == 3)
    }

    /// Hashing a hole of 4 TiB, which takes an hour, does not keep the program from ending.
    @Test(.timeLimit(.minutes(5))) func itEndsWhileALargeForeignLogIsHashed() async throws {
        let logs = try ScratchFolder()
        let program = try ShipperProgram(
            more: "admin: off\nstreams: [{name: app, paths: [\"\(logs.path)/app.log*\"], quiet: 100ms}]")
        try DurableFile.replace(path: logs["app.log.1"], bytes: [])
        try #require(truncate(logs["app.log.1"], 4 << 40) == 0)
        let ids = try program.writeSegments(2)
        let shipper = try program.start("run")
        #expect(try await eventually { try program.waiting().isEmpty })
        try await Task.sleep(for: .seconds(1))
        let began = ContinuousClock.now
        kill(shipper.processID, SIGTERM)
        #expect(shipper.wait() == 0)
        #expect(ContinuousClock.now - began < .seconds(15))
        #expect(eventIDs(try await program.segments(program.store()).values.joined()).sorted() == ids.sorted())
    }

    @Test(.timeLimit(.minutes(5))) func checkTriesWhetherShippedFilesCanBeRemoved() throws {
        let logs = try ScratchFolder()
        for (folder, status, text) in [
            (
                "/proc", 1,
                "FAULT  stream_removal: stream app: delete_after_shipping is on and nothing can be removed from /proc"
            ),
            (logs.path, 0, "the unit needs ReadWritePaths=\(logs.path)"),
        ] {
            let program = try ShipperProgram(
                more: "admin: off\nstreams: [{name: app, paths: [\"\(folder)/app.log*\"], delete_after_shipping: true}]"
            )
            #expect(try program.start("check").wait() == Int32(status), "\(program.log)")
            #expect(program.log.contains(text), "\(program.log)")
        }
    }

    /// A file with late lines is stored in parts; after the state was lost nothing of it is stored under a new name.
    @Test(
        .enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"),
        .timeLimit(.minutes(5)), arguments: [false, true])
    func aLostStateOfForeignLogsIsFoundAgainInTheBucket(isCompressed: Bool) async throws {
        let s3 = try #require(TestServers.s3)
        let logs = try ScratchFolder()
        let program = try ShipperProgram(
            s3: s3, more: "admin: off\nstreams: [{name: app, paths: [\"\(logs.path)/app.log*\"], quiet: 100ms}]")
        func text(_ numbers: Range<Int>) -> [UInt8] { numbers.flatMap { Array("{\"n\":\($0)}\n".utf8) } }
        func ship() async throws {
            try await Task.sleep(for: .milliseconds(300))
            #expect(try program.start("run", "--once").wait() == 0, "\(program.log)")
        }
        try DurableFile.replace(path: logs["app.log.1"], bytes: text(0..<10))
        try DurableFile.replace(path: logs["app.log.2"], bytes: text(50..<60))
        try await ship()
        try DurableFile.replace(path: logs["app.log.1"], bytes: text(0..<13))
        try await ship()
        if isCompressed { try #require(system("gzip \(logs["app.log.1"])") == 0) }
        try DurableFile.remove(path: program.folder["state/foreign.json"])
        try await ship()
        // And on from there, with the next number.
        if isCompressed { try #require(system("gunzip \(logs["app.log.1.gz"])") == 0) }
        try DurableFile.replace(path: logs["app.log.1"], bytes: text(0..<15))
        try await ship()
        let segments = try await program.segments(program.store(s3))
        let lines = segments.values.joined().sorted()
        #expect(
            lines
                == (text(0..<15) + text(50..<60)).split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
                .sorted())
        #expect(Set(segments.keys.map(\.writer)).count == 2 && segments.count == 4)
        #expect(program.log.contains("looked up in the bucket"))
    }

    @Test(.timeLimit(.minutes(5))) func twoShippersDoNotShareASpool() async throws {
        let program = try ShipperProgram(more: "admin: off")
        let first = try program.start("run")
        #expect(try await eventually { program.log.contains("shipping") })
        #expect(try program.start("run", "--once").wait() == EX_TEMPFAIL)
        kill(first.processID, SIGTERM)
        #expect(first.wait() == 0)
    }
}

/// The service manager's end of the notification socket.
final class NotifyReceiver: Sendable {
    private let descriptor: Int32

    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    func receive() -> String {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : ""
    }
}
