import EventModel

extension HostReport {
    /// The report's JSON, ended by a newline; the same bytes for the same content.
    package func encoded() -> [UInt8] {
        var head = JSONText()
        head.field("version", HostReport.currentVersion)
        head.field("host", host)
        head.field("time_ms", time_ms)
        head.field("state", state.rawValue)
        head.field("shipper_version", shipperVersion)
        head.field("started_ms", started_ms)
        var bytes = head.bytes
        bytes.append(contentsOf: ",\"unshipped\":".utf8)
        bytes.append(contentsOf: unshipped.encoded())
        bytes.appendField("last_upload_ms", lastUpload_ms.map { Array(String($0).utf8) })
        bytes.appendField("last_error", lastError.map(quoted))
        if isPartial { bytes.appendField("partial", Array("true".utf8)) }
        bytes.append(contentsOf: ",\"writers\":[".utf8)
        for (index, writer) in writers.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: writer.encoded())
        }
        bytes.append(contentsOf: "]}\n".utf8)
        return bytes
    }

    /// Reads a report's JSON; unknown keys are ignored.
    ///
    /// - Throws: ``ObjectFormatError`` when it is not a report, or one of a newer version.
    package init(decoding json: [UInt8]) throws(ObjectFormatError) {
        guard let value = JSONValue.parse(prefixOf: json), let version = value["version"]?.integer else {
            throw ObjectFormatError(.invalidReport, "the host's report is not a JSON object with a version")
        }
        guard version == HostReport.currentVersion else {
            throw ObjectFormatError(
                .unknownVersion,
                "the host's report has version \(version), this program reads \(HostReport.currentVersion): "
                    + "update this program")
        }
        guard let host = value["host"]?.string, let time_ms = value["time_ms"]?.integer,
            let state = value["state"]?.string.flatMap(State.init), let started_ms = value["started_ms"]?.integer,
            let unshipped = value["unshipped"].flatMap(Unshipped.init), case .array(let entries) = value["writers"]
        else {
            throw ObjectFormatError(.invalidReport, "the host's report lacks a field, or one has the wrong type")
        }
        var writers: [Writer] = []
        for entry in entries {
            guard let writer = Writer(entry) else {
                throw ObjectFormatError(.invalidReport, "a writer in the report of host \(host) lacks a field")
            }
            writers.append(writer)
        }
        self.init(
            host: host, time_ms: time_ms, state: state, shipperVersion: value["shipper_version"]?.string ?? "",
            started_ms: started_ms, unshipped: unshipped, lastUpload_ms: value["last_upload_ms"]?.integer,
            lastError: value["last_error"]?.string, writers: writers,
            isPartial: value["partial"]?.bool ?? false)
    }
}

extension HostReport.Unshipped {
    fileprivate func encoded() -> [UInt8] {
        var json = JSONText()
        json.field("segments", segments)
        json.field("lines", lines)
        json.field("bytes", bytes)
        var text = json.bytes
        text.appendField("oldest_ms", oldest_ms.map { Array(String($0).utf8) })
        text.append(UInt8(ascii: "}"))
        return text
    }

    fileprivate init?(_ value: JSONValue) {
        guard let segments = value["segments"]?.count, let lines = value["lines"]?.count,
            let bytes = value["bytes"]?.count
        else { return nil }
        self.init(segments: segments, lines: lines, bytes: bytes, oldest_ms: value["oldest_ms"]?.integer)
    }
}

extension HostReport.Writer {
    fileprivate func encoded() -> [UInt8] {
        var json = JSONText()
        json.field("writer", writer)
        json.field("state", state.rawValue)
        counts.appendFields(to: &json)
        json.field("next_seq", nextSeq)
        var text = json.bytes
        let numbers = spoolSegments.map { String($0) }.joined(separator: ",")
        text.append(contentsOf: ",\"spool_segments\":[\(numbers)],\"updated_ms\":\(updated_ms)}".utf8)
        return text
    }

    fileprivate init?(_ value: JSONValue) {
        guard let writer = value["writer"]?.string, !writer.isEmpty,
            let state = value["state"]?.string.flatMap(State.init), let counts = WriterCounts(value),
            let nextSeq = value["next_seq"]?.count, let updated_ms = value["updated_ms"]?.integer,
            case .array(let numbers) = value["spool_segments"]
        else { return nil }
        let segments = numbers.compactMap(\.count)
        guard segments.count == numbers.count else { return nil }
        self.init(
            writer: writer, state: state, counts: counts, nextSeq: nextSeq, spoolSegments: segments,
            updated_ms: updated_ms)
    }
}

/// A JSON string.
private func quoted(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    JSONText.append(text, to: &bytes)
    return bytes
}

extension [UInt8] {
    /// Appends `,"<name>":<value>`, with `null` for nil.
    fileprivate mutating func appendField(_ name: String, _ value: [UInt8]?) {
        append(contentsOf: ",\"\(name)\":".utf8)
        append(contentsOf: value ?? Array("null".utf8))
    }
}
