import DurableIO
import Glibc
import ServiceSupport
import TestSupport
import Testing

@Suite struct MetricsTests {
    private func registry() -> MetricsRegistry {
        let registry = MetricsRegistry()
        let uploads = registry.counter("demo_uploads_total", "Objects stored.", labels: ["stream"], limit: 3)
        uploads.add(2, "a")
        uploads.add(1, "b\"\\\n")
        for number in 0..<5 { uploads.add(1, "flood\(number)") }
        registry.gauge("demo_oldest_timestamp_seconds", "When the oldest was sealed.").set(1_700_000_000.25)
        _ = registry.gauge("demo_never_set", "A gauge without a value.")
        let seconds = registry.histogram("demo_upload_duration_seconds", "How long.", bounds: [0.1, 1])
        for value in [0.05, 0.1, 0.5, 7] { seconds.observe(value) }
        ProcessMetrics.add(to: registry, started_ms: 1_700_000_000_000)
        return registry
    }

    @Test func writesTheTextFormat() {
        let text = registry().exposition()
        #expect(
            text.hasPrefix(
                """
                # HELP demo_uploads_total Objects stored.
                # TYPE demo_uploads_total counter
                demo_uploads_total{stream="a"} 2
                demo_uploads_total{stream="b\\"\\\\\\n"} 1
                demo_uploads_total{stream="flood0"} 1
                demo_uploads_total{stream="other"} 4
                # HELP demo_oldest_timestamp_seconds When the oldest was sealed.
                # TYPE demo_oldest_timestamp_seconds gauge
                demo_oldest_timestamp_seconds 1700000000.25
                # HELP demo_upload_duration_seconds How long.
                # TYPE demo_upload_duration_seconds histogram
                demo_upload_duration_seconds_bucket{le="0.1"} 2
                demo_upload_duration_seconds_bucket{le="1"} 3
                demo_upload_duration_seconds_bucket{le="+Inf"} 4
                demo_upload_duration_seconds_sum 7.65
                demo_upload_duration_seconds_count 4

                """))
        #expect(text.contains("process_resident_memory_bytes "))
        #expect(text.contains("process_open_fds "))
    }

    @Test func countersWithoutLabelsBeginAtZero() {
        let registry = MetricsRegistry()
        _ = registry.counter("demo_errors_total", "Errors.")
        #expect(registry.exposition().hasSuffix("demo_errors_total 0\n"))
    }

    @Test(.enabled(if: access("/usr/bin/promtool", X_OK) == 0)) func promtoolFindsNothingToMend() throws {
        let folder = try ScratchFolder()
        try DurableFile.replace(path: folder["metrics.txt"], bytes: Array(registry().exposition().utf8))
        let command = "promtool check metrics < \(folder["metrics.txt"]) > \(folder["out.txt"]) 2>&1"
        let status = system(command)
        let output = String(decoding: try DurableFile.read(path: folder["out.txt"]), as: UTF8.self)
        #expect(status == 0, "\(output)")
        #expect(output == "")
    }
}
