import DurableIO
import EventModel
import EventSegments
import EventWriting
import Logging
import ObjectShipping
import ObjectStorage
import ServiceSupport
import TestSupport
import Testing

/// The whole shipper inside this process, for the thread sanitizer: the program is another one and not looked into.
@Suite(.timeLimit(.minutes(5))) struct ShippingThreadSafetyTests {
    /// Writers write, a log rotates, the pages are asked, the shipper ships; then it is stopped from another thread.
    @Test func everythingAtOnce() async throws {
        let folder = try ScratchFolder()
        for name in ["spool", "state", "store", "logs"] { try DurableFile.makeDirectory(folder[name]) }
        let document = try ConfigurationDocument(
            text: """
                host: testhost
                spool: \(folder["spool"])
                state: \(folder["state"])
                store: {url: "file://\(folder["store"])"}
                bundle: {age: 100ms, size: 64KiB}
                poll: 50ms
                report_every: 200ms
                stop_within: 20s
                streams:
                  - {name: fraud, paths: ["\(folder["logs"])/fraud.log.*"], quiet: 1s}
                """, file: "shipper.yaml")
        let configuration = try ShipperConfiguration(document, environment: [:])
        let store = try configuration.store.makeStore(environment: Environment([:]))
        let registry = MetricsRegistry()
        let shipper = Shipper(
            configuration, store: store, registry: registry, notify: NotifySocket(environment: [:]),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let running = Task { await shipper.run() }
        let asking = Task {
            var answers = 0
            while !Task.isCancelled {
                _ = registry.exposition()
                _ = shipper.status.report(now_ms: SystemTime.now_ms(), isStopped: false).encoded()
                _ = shipper.status.health(now_ms: SystemTime.now_ms())
                answers += 1
                try? await Task.sleep(for: .milliseconds(1))
            }
            return answers
        }
        let events = 400
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<3 {
                group.addTask {
                    var settings = EventWriter.Configuration(directory: folder["spool"], service: "test")
                    settings.seal_bytes = 4096
                    let writer = try EventWriter(settings)
                    for event in 0..<events {
                        writer.append(.prediction(model: "m\(number)", version: "1", prediction_id: "\(number)-\(event)"))
                        if event % 50 == 0 { try await Task.sleep(for: .milliseconds(10)) }
                    }
                    #expect(writer.close())
                }
            }
            for number in 0..<3 {
                group.addTask {
                    try DurableFile.replace(
                        path: folder["logs/fraud.log.\(number)"], bytes: Array("{\"ts\":\(number)}\n".utf8))
                }
            }
            try await group.waitForAll()
        }
        while try DurableFile.list(folder["spool"]).contains(where: { $0.name.hasSuffix(".jsonl") }) {
            try await Task.sleep(for: .milliseconds(20))
        }
        shipper.stop()
        shipper.stop()
        #expect(await running.value)
        asking.cancel()
        #expect(await asking.value > 0)
        #expect(shipper.status.uploadError == nil)
        #expect(try await store.list(prefix: "events/", startAfter: nil, limit: 1000).objects.isEmpty == false)
    }
}
