internal import Compression
internal import DurableIO
internal import EventSegments

/// What loading a file or an object would count and reject, without loading it.
package struct DryRun: Equatable, Sendable {
    /// Lines that would count.
    package struct Count: Equatable, Sendable {
        /// The model's name; for resources the service's, for `writer` lines the writer's.
        package var subject: String
        package var type: EventType
        /// Begin of the hour (UTC), in seconds since the epoch.
        package var hour_s: Int64
        package var lines: Int64
    }

    /// Rejected lines of one reason.
    package struct Rejects: Equatable, Sendable {
        package var reason: RejectReason
        package var lines: Int64
        /// The first of them.
        package var examples: [RejectLine]
    }

    /// All lines that were read.
    package var lines: Int64 = 0
    /// Ascending by subject, type and hour.
    package var counts: [Count] = []
    /// Most lines first.
    package var rejects: [Rejects] = []
    /// Formats of segments that cannot be read for want of a mapping, with their lines.
    package var pending: [(format: String, lines: Int64)] = []

    package static func == (left: Self, right: Self) -> Bool {
        left.lines == right.lines && left.counts == right.counts && left.rejects == right.rejects
            && left.pending.elementsEqual(right.pending) { $0 == $1 }
    }

    /// Sums up aggregates.
    package init(_ aggregates: Aggregates) {
        lines = aggregates.lines
        var counts: [Key: Int64] = [:]
        for (key, row) in aggregates.requestHours where aggregates.series[key.series].isAll {
            let model = aggregates.models[aggregates.series[key.series].model]
            counts[Key(model, .prediction, key.time_s), default: 0] += row.predictions
        }
        for row in aggregates.outcomes {
            counts[Key(aggregates.models[row.model], row.type, Period.hour(ofMs: row.time_ms)), default: 0] += 1
        }
        for row in aggregates.deployments {
            counts[Key(aggregates.models[row.model], .deployment, Period.hour(ofMs: row.time_ms)), default: 0] += 1
        }
        for (key, row) in aggregates.resourceHours where key.measure == ResourceTimeKey.samples {
            let resource = aggregates.resources[key.resource]
            guard resource.device.isEmpty else { continue }
            counts[Key(resource.service, .resource, key.time_s), default: 0] += row.count
        }
        var rejects: [RejectReason: Rejects] = [:]
        for segment in aggregates.segments {
            for (hour, lines) in segment.hours where hour.type == .writer {
                counts[Key(segment.segment.writer, .writer, hour.hour_s), default: 0] += lines
            }
            for (reason, lines) in segment.rejects {
                rejects[reason, default: Rejects(reason: reason, lines: 0, examples: [])].lines += lines
            }
            for line in segment.rejectLines where rejects[line.reason]?.examples.count ?? 0 < RejectLine.kept {
                rejects[line.reason]?.examples.append(line)
            }
            if segment.state == .pending {
                if let place = pending.firstIndex(where: { $0.format == segment.segment.format }) {
                    pending[place].lines += Int64(segment.segment.lines)
                } else {
                    pending.append((segment.segment.format, Int64(segment.segment.lines)))
                }
            }
        }
        self.counts = counts.map { Count(subject: $0.subject.text, type: $0.type, hour_s: $0.hour_s, lines: $1) }
            .sorted {
                if !ExactText.same($0.subject, $1.subject) { return ExactText($0.subject) < ExactText($1.subject) }
                return ($0.type, $0.hour_s) < ($1.type, $1.hour_s)
            }
        self.rejects = rejects.values.sorted { ($1.lines, $0.reason) < ($0.lines, $1.reason) }
    }

    private struct Key: Hashable {
        let subject: ExactText
        let type: EventType
        let hour_s: Int64

        init(_ subject: String, _ type: EventType, _ hour_s: Int64) {
            self.subject = ExactText(subject)
            self.type = type
            self.hour_s = hour_s
        }
    }

    /// Reads an object, or the lines of any file: plain, gzip or zstd.
    ///
    /// - Parameters:
    ///   - bytes: the whole object or file; an object is known by its manifest.
    ///   - format: how a file's lines are read: `native` or a mapping's name. Objects say it themselves.
    ///   - sealed_ms: the time that a file's event times are judged by, milliseconds since the epoch.
    ///   - replay: whether a file's old event times are wanted.
    /// - Throws: ``ObjectError`` where an object is poisoned or a file cannot be decompressed.
    package static func run(
        _ bytes: [UInt8], with aggregator: EventAggregator, format: String = "native", sealed_ms: Int64,
        replay: Bool = false
    ) throws(ObjectError) -> DryRun {
        if bytes.suffix(ObjectTrailer.magic.count).elementsEqual(ObjectTrailer.magic) {
            return DryRun(try aggregator.aggregate(bytes))
        }
        let segment = Manifest.Segment(
            writer: "file", seq: 0, sealed_ms: sealed_ms, lines: 0, rawBytes: bytes.count,
            rawSHA256: hex(SHA256.hash(bytes)), offset: 0, compressedBytes: bytes.count, format: format, file: "file",
            replay: replay)
        do {
            let aggregates = try aggregator.aggregate(segment: segment) { sink in
                let decoder = Decoder()
                try decoder.decode(bytes) { sink($0) }
                try decoder.finish { sink($0) }
            }
            return DryRun(aggregates)
        } catch {
            throw ObjectError(.compression, "the file cannot be decompressed: \(error)")
        }
    }
}
