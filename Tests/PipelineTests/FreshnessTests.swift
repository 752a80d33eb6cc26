import EventWriting
import Glibc
import TestSupport
import Testing

/// How long an event takes to SQL.
@Suite(.enabled(if: TestServers.s3 != nil && TestServers.postgres != nil && TestServers.python != nil, "use Tests/run"))
struct FreshnessTests {
    /// With the defaults of writer, shipper and timer (20 s, 20 s, and 15 s after the loader's last run ended), canaries are
    /// counted within 90 seconds each.
    @Test(.timeLimit(.minutes(5))) func canariesWithDefaults() async throws {
        let path = try await WholePath(defaults: true)
        var configuration = EventWriter.Configuration(directory: path.spool, service: "canary")
        configuration.host = path.host
        let writer = try EventWriter(configuration)
        let shipper = try path.start("nadi-shipper", "run")
        let clock = ContinuousClock()
        let began = clock.now
        var written: [ContinuousClock.Instant] = []
        var seen: [Duration] = []
        var nextRun = began
        while seen.count < 200, clock.now - began < .seconds(200) {
            if written.count < 200, written.count < Int((clock.now - began) / .milliseconds(250)) {
                writer.append(
                    .prediction(model: "canary", version: "1", prediction: .number(1), latency_seconds: 0.001))
                written.append(clock.now)
            }
            if clock.now >= nextRun {
                let load = try await path.run("nadi", "load")
                #expect(load.status == 0, "\(load.log)")
                nextRun = clock.now + .seconds(15)
                // Events are counted in the order in which they were written.
                let counted = Int(try path.countedPredictions())
                while seen.count < min(counted, written.count) { seen.append(clock.now - written[seen.count]) }
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(seen.count == 200)
        let p99 = try #require(seen.sorted().dropLast(2).last)
        #expect(p99 < .seconds(90), "p99 \(p99)")
        writer.close()
        shipper.send(SIGTERM)
        #expect(try await shipper.end() == 0)
    }
}
