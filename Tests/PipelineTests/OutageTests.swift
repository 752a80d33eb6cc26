import EventModel
import EventWriting
import Glibc
import TestSupport
import Testing

/// The bucket or the database goes away and comes back: nothing is lost, nothing is counted twice, nobody is needed.
@Suite(.enabled(if: TestServers.s3 != nil && TestServers.postgres != nil && TestServers.python != nil, "use Tests/run"))
struct OutageTests {
    private func makeWriter(_ path: WholePath) throws -> EventWriter {
        var configuration = EventWriter.Configuration(directory: path.spool, service: "outage")
        configuration.host = path.host
        configuration.seal_age_seconds = 0.2
        return try EventWriter(configuration)
    }

    private func write(_ count: Int, _ writer: EventWriter) -> [String] {
        var ids: [String] = []
        for _ in 0..<count {
            let id = writer.append(
                .prediction(model: "outage", version: "1", prediction: .number(1), latency_seconds: 0.001))
            if let id { ids.append(id.description) }
        }
        return ids
    }

    @Test(.timeLimit(.minutes(5))) func theBucketGoesAway() async throws {
        let scratch = try ScratchFolder()
        let server = try PrivateServer("seaweedfs", in: scratch["s3"], "outage")
        let store = TestServers.S3(
            endpoint: try #require(server.values["S3_ENDPOINT"]),
            accessKey: try #require(server.values["S3_ACCESS_KEY"]),
            secretKey: try #require(server.values["S3_SECRET_KEY"]), bucket: "outage")
        let path = try await WholePath(store: store)
        let writer = try makeWriter(path)
        let shipper = try path.start("nadi-shipper", "run")
        var ids = write(500, writer)
        #expect(writer.flush())
        #expect(try await path.wait(seconds: 30) { try await path.idsInBucket().count == 500 })

        server.stop()
        ids += write(500, writer)
        #expect(writer.flush())
        try await Task.sleep(for: .seconds(3))
        // The service goes on, the segments wait.
        let waiting = try path.spoolFiles().filter { $0.hasSuffix(".jsonl") }
        #expect(!waiting.isEmpty)
        ids += write(500, writer)
        writer.close()

        try server.start()
        #expect(try await path.wait(seconds: 60) { try path.spoolFiles().isEmpty }, "\(path.log("nadi-shipper"))")
        shipper.send(SIGTERM)
        #expect(try await shipper.end() == 0)
        let stored = try await path.idsInBucket()
        #expect(stored.sorted() == ids.sorted())
        let load = try await path.run("nadi", "load")
        #expect(load.status == 0, "\(load.log)")
        #expect(try path.countedPredictions() == 1500)
        let audit = try await path.run("nadi", "audit")
        #expect(audit.status == 0, "\(audit.log)")
    }

    @Test(.timeLimit(.minutes(5))) func theDatabaseGoesAway() async throws {
        let scratch = try ScratchFolder()
        let server = try PrivateServer("postgres", in: scratch["pg"])
        let path = try await WholePath(postgres: try #require(server.values["POSTGRES_URI"]))
        let writer = try makeWriter(path)
        let ids = write(5000, writer)
        writer.close()
        #expect(ids.count == 5000)
        let shipper = try path.start("nadi-shipper", "run")
        #expect(try await path.wait(seconds: 60) { try path.spoolFiles().isEmpty }, "\(path.log("nadi-shipper"))")
        shipper.send(SIGTERM)
        #expect(try await shipper.end() == 0)

        server.stop()
        let refused = try await path.run("nadi", "load")
        #expect(refused.status != 0)
        #expect(refused.log.contains("127.0.0.1"), "the message names the server: \(refused.log)")

        // Away in the middle of runs, at several moments.
        for milliseconds in [100, 250, 400] {
            try server.start()
            let loader = try path.start("nadi", "load")
            try await Task.sleep(for: .milliseconds(milliseconds))
            server.stop()
            _ = try await loader.end()
        }
        try server.start()
        try await Task.sleep(for: .seconds(WholePath.leaseSeconds + 1))
        let load = try await path.run("nadi", "load")
        #expect(load.status == 0, "\(load.log)")
        #expect(try path.countedPredictions() == 5000)
        let audit = try await path.run("nadi", "audit")
        #expect(audit.status == 0, "\(audit.log)")
    }
}
