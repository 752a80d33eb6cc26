internal import EventModel
internal import EventSegments
internal import RecordBatches

/// What loading an object or a log file would count and reject, and why, without a database.
package struct LoadPreview: Sendable {
    let aggregate: AggregateObject

    package init(aggregate: @escaping AggregateObject) { self.aggregate = aggregate }

    /// Describes an object's bytes, or any other file's as one segment of the named format.
    ///
    /// - Parameters:
    ///   - name: what the report calls it.
    ///   - format: `native` or a mapping's name, for files that are not objects.
    ///   - sealed_ms: what event times of a file are judged against.
    /// - Throws: `ObjectError` for an object that cannot be read.
    package func describe(_ bytes: [UInt8], name: String, format: String, sealed_ms: Int64) throws -> String {
        var object = bytes
        if !bytes.suffix(8).elementsEqual(ObjectTrailer.magic) {
            var builder = BundleBuilder(host: "dry-run")
            _ = try builder.add(
                BundleBuilder.Identity(
                    writer: "dry-run", seq: 0, sealed_ms: sealed_ms, format: format, file: name, end: false,
                    adopted: false, replay: true), bytes: bytes)
            object = builder.finish().object
        }
        let reader = try ObjectReader(object)
        let aggregates = try aggregate(reader, Array(reader.manifest.segments.indices), nil)
        return text(aggregates, name)
    }

    private func text(_ aggregates: Aggregates, _ name: String) -> String {
        var out = "\(name)\n"
        for result in aggregates.segments {
            let segment = result.segment
            out += "  segment \(segment.writer)-\(segment.seq), \(segment.lines) lines, format \(segment.format)"
            if result.state == .pending {
                out += ": its mapping is not in the configuration, it would wait\n"
                continue
            }
            out += ": \(result.loadedLines) would be counted, \(result.rejectedLines) rejected\n"
            for (key, lines) in result.hours.sorted(by: { ($0.key.hour_s, $0.key.type) < ($1.key.hour_s, $1.key.type) })
            {
                out += "    \(LoadClock.hourText(key.hour_s * 1000))  \(key.type.rawValue.padded(11))\(lines)\n"
            }
            for (reason, lines) in result.rejects.sorted(by: { $0.key < $1.key }) {
                out += "    rejected  \(reason.rawValue)  \(lines)\n"
            }
            for line in result.rejectLines {
                let excerpt = String(decoding: line.excerpt.prefix(120), as: UTF8.self)
                out += "    line \(line.line): \(line.reason.rawValue): \(line.detail): \(excerpt)\n"
            }
        }
        for model in aggregates.models.indices {
            let all = aggregates.series.indices.filter {
                aggregates.series[$0].model == model && aggregates.series[$0].sliceKey == SliceName.all
            }
            var requests: Int64 = 0
            var predictions: Int64 = 0
            for (key, counts) in aggregates.requestHours where all.contains(key.series) {
                requests += counts.requests
                predictions += counts.predictions
            }
            let features = aggregates.features.filter { $0.model == model && $0.role == .feature }.map(\.name).sorted()
            out += "  model \(aggregates.models[model]): \(requests) requests, \(predictions) predictions"
            out += features.isEmpty ? "\n" : "; features \(features.joined(separator: ", "))\n"
        }
        return out
    }
}
