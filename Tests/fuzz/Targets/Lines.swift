import EventSegments
import RecordBatches
import ServiceSupport
import Sketches
import TableLoading

/// Lines of any bytes: each is counted once, however the bytes come in pieces, and all sums are finite.
enum LinesTarget {
    nonisolated(unsafe) private static let aggregator = EventAggregator(
        AggregationConfiguration(slices: ["region"]))

    static func run(_ input: [UInt8]) {
        check(input, format: Manifest.nativeFormat, aggregator)
    }

    static func check(_ input: [UInt8], format: String, _ aggregator: EventAggregator) {
        let lines = input.count { $0 == 0x0A } + (input.isEmpty || input.last == 0x0A ? 0 : 1)
        let segment = Manifest.Segment(
            writer: "web1-019ab0c65e9b7c3a8f1d2e3f4a5b6c7d", seq: 0, sealed_ms: 1_795_428_960_000, lines: lines,
            rawBytes: input.count, rawSHA256: String(repeating: "0", count: 64), offset: 0, compressedBytes: 1,
            format: format, file: "f")
        let whole = aggregator.aggregate(segment: segment) { sink in input.withUnsafeBytes(sink) }
        if let result = whole.segments.first {
            demand(result.loadedLines + result.rejectedLines == Int64(lines), "every line is loaded or rejected, once")
            demand(
                result.rejects.values.reduce(0, +) == result.rejectedLines, "every rejected line has one reason")
        }
        demand(
            whole.featureHours.values.allSatisfy { $0.moments.meanHigh.isFinite && $0.moments.m2.isFinite },
            "moments are finite")
        demand(whole.requestHours.values.allSatisfy { $0.latencySum.isFinite }, "latencies are finite")
        // Where a piece ends, above all inside of a character or between two lines, changes nothing.
        let size = 1 + Int(input.first ?? 0) % 23
        let pieces = aggregator.aggregate(segment: segment) { sink in
            input.withUnsafeBytes { bytes in
                for start in stride(from: 0, to: bytes.count, by: size) {
                    sink(UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + size, bytes.count)]))
                }
            }
        }
        demand(DryRun(whole) == DryRun(pieces), "pieces of \(size) bytes give what the whole gives")
    }
}

/// A mapping that somebody wrote, and lines that somebody else did.
enum MappingsTarget {
    static func run(_ input: [UInt8]) {
        let (yaml, lines) = input.cut(at: Array("\n---\n".utf8))
        do throws(ConfigurationError) {
            let document = try ConfigurationDocument(text: String(decoding: yaml, as: UTF8.self), file: "fuzz.yaml")
            let mappings = try MappingConfiguration.mappings(try document.root("loader", keys: ["mappings"]))
            guard let first = mappings.first else { return }
            let aggregator = EventAggregator(mappings: mappings)
            LinesTarget.check(lines, format: first.name, aggregator)
        } catch {
            demand(error.description.hasPrefix("fuzz.yaml"), "an error names the file: \(error)")
        }
    }
}
