import DurableIO
import EventModel
import EventWriting
import Glibc
import TestSupport
import Testing

/// Every program killed by SIGKILL while it works; judged from outside.
///
/// An event for which `flush` returned true must be in the bucket once and counted once.
@Suite(.enabled(if: TestServers.s3 != nil && TestServers.postgres != nil && TestServers.python != nil, "use Tests/run"))
struct KillTests {
    /// Writes events through the Swift library; returns their ids once all are flushed and the writer is closed.
    private func write(_ count: Int, to path: WholePath, sealEvery seconds: Double = 0.05) throws -> Set<String> {
        var configuration = EventWriter.Configuration(directory: path.spool, service: "kill")
        configuration.host = path.host
        configuration.seal_age_seconds = seconds
        configuration.seal_bytes = 64 << 10
        let writer = try EventWriter(configuration)
        var ids: Set<String> = []
        for number in 0..<count {
            let id = writer.append(
                .prediction(
                    model: "kill", version: "1", prediction: .number(Double(number)), features: ["x": .number(1)],
                    latency_seconds: 0.001))
            if let id { ids.insert(id.description) }
        }
        #expect(writer.flush())
        writer.close()
        return ids
    }

    @Test(.timeLimit(.minutes(3))) func killedShipper() async throws {
        let path = try await WholePath()
        var random = SeededGenerator(seed: 11)
        var ids: Set<String> = []
        // An object is due 300 ms after its oldest segment was sealed: the kills fall before, into and after its PUT.
        for _ in 0..<12 {
            ids.formUnion(try write(1000, to: path))
            let shipper = try path.start("nadi-shipper", "run")
            try await Task.sleep(for: .milliseconds(Int.random(in: 100...500, using: &random)))
            shipper.send(SIGKILL)
            _ = try await shipper.end()
        }
        #expect(ids.count == 12_000)
        let last = try await path.run("nadi-shipper", "run", "--once", "--wait", "60s")
        #expect(last.status == 0, "\(last.log)")
        #expect(try path.spoolFiles().isEmpty)
        try await judge(path, ids, isExactInBucket: false)
    }

    @Test(.timeLimit(.minutes(3))) func killedLoader() async throws {
        let path = try await WholePath()
        var random = SeededGenerator(seed: 12)
        let ids = try write(20_000, to: path)
        let shipper = try path.start("nadi-shipper", "run")
        #expect(try await path.wait(seconds: 60) { try path.spoolFiles().isEmpty }, "\(path.log("nadi-shipper"))")
        shipper.send(SIGTERM)
        #expect(try await shipper.end() == 0)
        for _ in 0..<12 {
            let loader = try path.start("nadi", "load")
            try await Task.sleep(for: .milliseconds(Int.random(in: 20...600, using: &random)))
            loader.send(SIGKILL)
            _ = try await loader.end()
        }
        // What a killed loader had claimed is free again once its lease has run out.
        try await Task.sleep(for: .seconds(WholePath.leaseSeconds + 1))
        try await judge(path, ids, isExactInBucket: true)
    }

    @Test(.timeLimit(.minutes(3))) func killedWriters() async throws {
        let path = try await WholePath()
        guard let python = TestServers.python else { throw PathError("NADI_TEST_PYTHON is not set") }
        let shipper = try path.start("nadi-shipper", "run")
        var flushed: Set<String> = []
        for round in 0..<4 {
            let output = path.scratch["flushed-\(round)"]
            let writer = try ChildProcess(
                python, [DurableFile.folder(of: #filePath) + "/writer_to_kill.py", path.spool, path.host],
                output: output)
            try await Task.sleep(for: .milliseconds(900 + 170 * round))
            writer.send(SIGKILL)
            _ = try await writer.end()
            let text = String(decoding: try DurableFile.read(path: output), as: UTF8.self)
            // The last line may be torn; then its id is a shorter one.
            flushed.formUnion(text.split(separator: "\n").map(String.init).filter { $0.utf8.count == 36 })
        }
        #expect(flushed.count > 100)
        // Two seconds after its last write a dead writer's segment is adopted.
        #expect(try await path.wait(seconds: 60) { try path.spoolFiles().isEmpty }, "\(path.log("nadi-shipper"))")
        shipper.send(SIGTERM)
        #expect(try await shipper.end() == 0)
        let stored = try await path.idsInBucket()
        #expect(Set(stored).isSuperset(of: flushed))
        #expect(Set(stored).count == stored.count)
        let load = try await path.run("nadi", "load")
        #expect(load.status == 0, "\(load.log)")
        #expect(try path.countedPredictions() == Int64(stored.count))
        // What the killed writers lost is named as a lower bound, not as a fault.
        let audit = try await path.run("nadi", "audit")
        #expect(audit.status == 0, "\(audit.log)")
    }

    /// All ids are in the bucket and counted once, and the audit finds nothing.
    private func judge(_ path: WholePath, _ ids: Set<String>, isExactInBucket: Bool) async throws {
        let stored = try await path.idsInBucket()
        #expect(Set(stored) == ids)
        // A shipper killed between PUT and removal may store a segment twice; the ledger counts it once.
        if isExactInBucket { #expect(stored.count == ids.count) }
        let load = try await path.run("nadi", "load")
        #expect(load.status == 0, "\(load.log)")
        #expect(try path.countedPredictions() == Int64(ids.count))
        let audit = try await path.run("nadi", "audit")
        #expect(audit.status == 0, "\(audit.log)")
    }
}
