import ServiceSupport
import Testing

/// Metrics that many tasks count, for the thread sanitizer.
struct MetricsThreadSafetyTests {
    @Test func countsWhileTheyAreShown() async {
        let registry = MetricsRegistry()
        let counter = registry.counter("events_total", "Events.", labels: ["kind"])
        let gauge = registry.gauge("depth", "Depth.")
        let histogram = registry.histogram("seconds", "Seconds.", bounds: [0.1, 1])
        registry.beforeExposition { gauge.set(counter.value("a") ?? 0) }
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for round in 0..<500 {
                        counter.add(1, task % 2 == 0 ? "a" : "b")
                        histogram.observe(Double(round) / 100)
                        if round % 100 == 0 { _ = registry.exposition() }
                    }
                }
            }
        }
        #expect(counter.value("a") == 2000 && counter.value("b") == 2000)
        #expect(registry.exposition().contains("seconds_count 4000"))
    }
}
