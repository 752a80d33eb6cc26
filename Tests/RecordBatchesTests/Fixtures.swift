import Compression
import DurableIO
import EventSegments
import RecordBatches
import Sketches

/// 2026-11-23T10:16:00.000Z, the seal time that golden lines are judged by.
let goldenSealed_ms: Int64 = 1_795_428_960_000

/// 2026-11-23T10:00:00Z in seconds: the hour of most test events.
let testHour_s: Int64 = 1_795_428_000

/// A segment's raw bytes with what a manifest says of them.
struct SegmentFixture {
    var writer = "web1-019ab0c65e9b7c3a8f1d2e3f4a5b6c7d"
    var seq = 0
    var sealed_ms = goldenSealed_ms
    var format = "native"
    var replay = false
    var bytes: [UInt8]

    init(_ bytes: [UInt8], seq: Int = 0, format: String = "native", replay: Bool = false) {
        self.bytes = bytes
        self.seq = seq
        self.format = format
        self.replay = replay
    }

    init(lines: [String], seq: Int = 0, format: String = "native", replay: Bool = false) {
        self.init(Array(lines.map { $0 + "\n" }.joined().utf8), seq: seq, format: format, replay: replay)
    }

    var lines: Int { bytes.count { $0 == 0x0A } + (bytes.isEmpty || bytes.last == 0x0A ? 0 : 1) }

    var segment: Manifest.Segment {
        Manifest.Segment(
            writer: writer, seq: seq, sealed_ms: sealed_ms, lines: lines, rawBytes: bytes.count,
            rawSHA256: hex(SHA256.hash(bytes)), offset: 0, compressedBytes: 1, format: format, file: "f",
            replay: replay)
    }
}

/// An object of some segments.
func makeObject(_ segments: [SegmentFixture], changing change: (inout Manifest) -> Void = { _ in }) throws -> [UInt8] {
    var object: [UInt8] = []
    var manifest = Manifest(host: "web1", segments: [])
    for fixture in segments {
        let frame = try Zstd.frame(fixture.bytes)
        var segment = fixture.segment
        segment.offset = object.count
        segment.compressedBytes = frame.count
        manifest.segments.append(segment)
        object += frame
    }
    change(&manifest)
    ObjectTrailer.append(manifest, to: &object)
    return object
}

/// The aggregates of some lines in one native segment.
func aggregate(
    _ lines: [String], _ configuration: AggregationConfiguration = .init(), mappings: [Mapping] = [],
    format: String = "native", replay: Bool = false
) throws -> Aggregates {
    let object = try makeObject([SegmentFixture(lines: lines, format: format, replay: replay)])
    return try EventAggregator(configuration, mappings: mappings).aggregate(object)
}

/// One prediction line with more fields behind the required ones.
func prediction(_ fields: String = "", time: String = "2026-11-23T10:15:30.123Z", model: String = "iris") -> String {
    let rest = fields.isEmpty ? "" : "," + fields
    return #"{"schema":1,"type":"prediction","time":"\#(time)","model_name":"\#(model)","model_version":"1"\#(rest)}"#
}

extension Aggregates {
    /// The only row of request hours in the slice `all`.
    func onlyRequestHour() throws -> RequestCounts {
        let rows = requestHours.filter { series[$0.key.series].isAll }
        guard rows.count == 1, let row = rows.first else { throw FixtureError("\(rows.count) request hours") }
        return row.value
    }

    /// A feature's only row in the slice `all`.
    func onlyFeatureHour(_ name: String, role: FeatureKey.Role = .feature) throws -> FeatureCounts {
        let rows = featureHours.filter {
            series[$0.key.series].isAll && features[$0.key.feature].name == name
                && features[$0.key.feature].role == role
        }
        guard rows.count == 1, let row = rows.first else { throw FixtureError("\(rows.count) rows of \(name)") }
        return row.value
    }

    /// A feature's categories with their counts.
    func categoryCounts(_ counts: FeatureCounts) -> [String: Int64] {
        var texts: [String: Int64] = [:]
        for (code, count) in zip(counts.categories.codes, counts.categories.counts) {
            texts[categories[Int(code)].value] = count
        }
        return texts
    }
}

struct FixtureError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
