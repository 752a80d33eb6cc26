internal import DurableIO

/// A value in a mapping's configuration.
package indirect enum MappingValue: Equatable, Sendable {
    case text(String)
    case integer(Int64)
    case number(Double)
    case bool(Bool)
    case list([MappingValue])
    case map([String: MappingValue])
}

/// How lines of a foreign log become events: the fields of events, each with a path into the line or a constant.
///
///     model_name: iris                         constant
///     model_version: $.ver                     path; numbers become text where a name is wanted
///     time: $.ts                               RFC 3339, or seconds or milliseconds since the epoch
///     features: $.input.*                      all members of an object
///     tags: {region: $.region}                 chosen members, new names
///     status: {path: $.code, ok: [200]}        listed values are ok, others are error
///     time_unit: milliseconds                  seconds, milliseconds or rfc3339; without it, numbers from 1e11 are
///                                              milliseconds
///     time_zone: UTC                           times without an offset are UTC; without it they are refused
///     latency_unit: milliseconds               seconds (default) or milliseconds
///
/// `type` is `prediction` where it is not given. An absent path is an absent field.
package struct Mapping: Equatable, Sendable {
    /// Where a field's value comes from.
    enum Source: Equatable, Sendable {
        case path(FieldPath)
        case constant(MappingValue)
        case members([String: Source])
        /// The path's value is one of the list: `ok`; else `error`.
        case status(FieldPath, ok: [MappingValue])
    }

    enum TimeUnit: String, CaseIterable, Sendable { case seconds, milliseconds, rfc3339 }

    /// The name that manifests give as a segment's format.
    package let name: String
    let sources: [Field: Source]
    let timeUnit: TimeUnit?
    let timeIsUTC: Bool
    let latencyScale: Double
    /// SHA-256 over the canonical form, 32 bytes: equal for mappings that do the same.
    package let sha256: [UInt8]

    /// Reads a mapping's configuration.
    ///
    /// - Throws: ``MappingError`` naming the key that is unknown or cannot be used.
    package init(name: String, _ rules: [String: MappingValue]) throws(MappingError) {
        self.name = name
        var sources: [Field: Source] = [:]
        var timeUnit: TimeUnit?
        var timeIsUTC = false
        var latencyScale = 1.0
        for (key, value) in rules {
            switch key {
            case "time_unit":
                guard case .text(let text) = value, let unit = TimeUnit(rawValue: text) else {
                    throw MappingError(name, "time_unit must be seconds, milliseconds or rfc3339")
                }
                timeUnit = unit
            case "time_zone":
                guard value == .text("UTC") else { throw MappingError(name, "time_zone can only be UTC") }
                timeIsUTC = true
            case "latency_unit":
                switch value {
                case .text("seconds"): latencyScale = 1
                case .text("milliseconds"): latencyScale = 0.001
                default: throw MappingError(name, "latency_unit must be seconds or milliseconds")
                }
            default:
                guard let field = Field.allCases.first(where: { $0.key == key }), field != .schema else {
                    let known =
                        Field.allCases.filter { $0 != .schema }.map(\.key) + ["time_unit", "time_zone", "latency_unit"]
                    throw MappingError(name, "unknown key \(key); known are \(known.sorted().joined(separator: ", "))")
                }
                sources[field] = try Self.source(value, field, name)
            }
        }
        guard sources[.time] != nil else { throw MappingError(name, "time is missing: say where lines keep it") }
        if sources[.type] == nil { sources[.type] = .constant(.text("prediction")) }
        self.sources = sources
        self.timeUnit = timeUnit
        self.timeIsUTC = timeIsUTC
        self.latencyScale = latencyScale
        var form = sources.map { "\($0.key.key)\t\(Self.canonical($0.value))\n" }.sorted().joined()
        form += "time_unit\t\(timeUnit?.rawValue ?? "")\ntime_zone\t\(timeIsUTC ? "UTC" : "")\n"
        form += "latency_scale\t\(latencyScale)\n"
        sha256 = SHA256.hash(Array(form.utf8))
    }

    private static func source(_ value: MappingValue, _ field: Field, _ name: String) throws(MappingError) -> Source {
        switch value {
        case .text(let text) where text.hasPrefix("$"):
            return .path(try path(text, field.key, name))
        case .text, .integer, .number, .bool:
            return .constant(value)
        case .list:
            throw MappingError(name, "\(field.key) cannot be a list")
        case .map(let members):
            if field == .status {
                guard case .text(let text) = members["path"], case .list(let ok) = members["ok"], members.count == 2
                else { throw MappingError(name, "status must be a path, or {path: ..., ok: [...]}") }
                return .status(try path(text, "status.path", name), ok: ok)
            }
            guard field == .features || field == .tags || field == .scores else {
                throw MappingError(name, "\(field.key) cannot have members")
            }
            var sources: [String: Source] = [:]
            for (key, member) in members {
                switch member {
                case .text(let text) where text.hasPrefix("$"):
                    sources[key] = .path(try path(text, "\(field.key).\(key)", name))
                case .list, .map:
                    throw MappingError(name, "\(field.key).\(key) must be a path or a constant")
                default:
                    sources[key] = .constant(member)
                }
            }
            return .members(sources)
        }
    }

    private static func path(_ text: String, _ key: String, _ name: String) throws(MappingError) -> FieldPath {
        guard let path = FieldPath(text) else {
            throw MappingError(name, "\(key): \(text) is not a path such as $.input.petal or $['a b']")
        }
        return path
    }

    private static func canonical(_ source: Source) -> String {
        switch source {
        case .path(let path): "path \(path)"
        case .constant(let value): "constant \(value)"
        case .status(let path, let ok): "status \(path) \(ok)"
        case .members(let members):
            "members " + members.map { "[\($0.key)=\(canonical($0.value))]" }.sorted().joined()
        }
    }
}
