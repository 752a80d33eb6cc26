package import RecordBatches
package import ServiceSupport

/// Reads the section `mappings` of the loader's configuration: how lines of foreign logs become events.
package enum MappingConfiguration {
    /// The keys that a mapping may have.
    static let keys = [
        "type", "time", "id", "recorded_time", "source", "service", "service_version", "instance", "environment",
        "request_id", "trace_id", "span_id", "tags", "prediction_id", "model_name", "model_version", "model_variant",
        "task", "prediction", "score", "scores", "threshold", "features", "latency_seconds", "status", "error_type",
        "http_status_code", "route", "batch_size", "batch_index", "entity_id_hash", "name", "label", "value",
        "value_currency", "prediction_time", "label_time", "label_source", "weight", "revision", "explanation",
        "annotator_kind", "annotator_id_hash", "interval_seconds", "cpu_utilization_ratio", "cpu_seconds",
        "memory_rss_bytes", "memory_limit_bytes", "open_fds", "threads", "inflight_requests", "queue_depth",
        "disk_free_bytes", "previous_version", "action", "actor", "reference_id", "time_unit", "time_zone",
        "latency_unit",
    ]

    /// All mappings of a configuration, by name.
    /// - Throws: `ConfigurationError` with the line at fault.
    package static func mappings(_ root: ConfigurationSection) throws(ConfigurationError) -> [Mapping] {
        var mappings: [Mapping] = []
        for (name, section) in try root.namedSections("mappings", keys: keys) ?? [] {
            var rules: [String: MappingValue] = [:]
            for key in keys where section.has(key) { rules[key] = try value(key, section) }
            do {
                mappings.append(try Mapping(name: name, rules))
            } catch {
                throw ConfigurationError(file: section.file, line: section.line, message: error.description)
            }
        }
        return mappings
    }

    private static func value(
        _ key: String, _ section: ConfigurationSection
    ) throws(ConfigurationError) -> MappingValue {
        if let text = try? section.string(key) { return scalar(text) }
        if key == "status", let status = try section.section("status", keys: ["path", "ok"]) {
            var members: [String: MappingValue] = [:]
            if let path = try status.string("path") { members["path"] = .text(path) }
            if let ok = try status.strings("ok") { members["ok"] = .list(ok.map(scalar)) }
            return .map(members)
        }
        var members: [String: MappingValue] = [:]
        for entry in try section.texts(key) ?? [] { members[entry.name] = scalar(entry.text) }
        return .map(members)
    }

    /// A constant as YAML's core schema reads it; paths begin with `$`.
    private static func scalar(_ text: String) -> MappingValue {
        if text.hasPrefix("$") { return .text(text) }
        if text == "true" { return .bool(true) }
        if text == "false" { return .bool(false) }
        if let integer = Int64(text) { return .integer(integer) }
        if let number = Double(text), number.isFinite { return .number(number) }
        return .text(text)
    }
}
