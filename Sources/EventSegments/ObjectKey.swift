import DurableIO
import EventModel

/// The name of an event object, a pure function of the segments in it.
///
/// `<prefix>/events/dt=YYYY-MM-DD/hr=HH/<host>/<sealed ms of the newest>-<segments>-<lines>-<hash>.jsonl.zst`, the date
/// and hour being those of the newest seal in UTC. Writing the same segments again writes the same key.
package struct ObjectKey: Hashable, Sendable {
    /// What every object's name ends with.
    package static let suffix = ".jsonl.zst"

    /// What stands before `events/`, without slashes at its ends; empty for none.
    package let prefix: String
    /// The host whose shipper made the object.
    package let host: String
    /// When the newest segment was sealed, milliseconds since the epoch.
    package let sealed_ms: Int64
    /// How many segments the object holds.
    package let segments: Int
    /// How many lines the object holds.
    package let lines: Int
    /// The first 16 hexadecimal digits of the segments' identity, see ``hash(of:)``.
    package let hash: String

    /// The key for a host's segments.
    ///
    /// - Parameters:
    ///   - prefix: what to put before `events/`; slashes at its ends are ignored.
    ///   - manifest: the object's manifest, with at least one segment.
    package init(prefix: String, manifest: Manifest) {
        self.prefix = ObjectKey.trimmed(prefix)
        host = manifest.host
        sealed_ms = manifest.segments.reduce(0) { max($0, $1.sealed_ms) }
        segments = manifest.segments.count
        lines = manifest.lines
        hash = ObjectKey.hash(of: manifest.segments)
    }

    /// Reads a key.
    ///
    /// - Parameters:
    ///   - path: the whole key as a bucket lists it.
    ///   - prefix: the prefix it must have; slashes at its ends are ignored.
    /// - Returns: nil when the key is not one of an event object under that prefix, or does not stand in the folder
    ///   of its own date, hour and host.
    package init?(parsing path: String, prefix: String) {
        let prefix = ObjectKey.trimmed(prefix)
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 5, let name = parts.last, name.hasSuffix(ObjectKey.suffix) else { return nil }
        let fields = name.dropLast(ObjectKey.suffix.count).split(separator: "-", omittingEmptySubsequences: false)
        guard fields.count == 4,
            let sealed_ms = ObjectKey.number(fields[0]).map(Int64.init), sealed_ms <= Timestamp.range.upperBound,
            let segments = ObjectKey.number(fields[1]),
            let lines = ObjectKey.number(fields[2]),
            fields[3].utf8.count == 16, fields[3].utf8.allSatisfy(\.isLowerCaseHex)
        else { return nil }
        self.prefix = prefix
        host = String(parts[parts.count - 2])
        self.sealed_ms = sealed_ms
        self.segments = segments
        self.lines = lines
        hash = String(fields[3])
        guard self.path == path else { return nil }
    }

    /// The whole key.
    package var path: String {
        folder + "\(sealed_ms)-\(segments)-\(lines)-\(hash)" + ObjectKey.suffix
    }

    /// The key up to and with the host's slash; listing this finds the host's objects of the hour.
    package var folder: String {
        ObjectKey.events(prefix: prefix) + ObjectKey.hour(sealed_ms) + "/\(host)/"
    }

    /// What the keys of all event objects under a prefix begin with.
    package static func events(prefix: String) -> String { joined(prefix, "events/") }

    /// What the keys of the event objects of one UTC hour begin with.
    ///
    /// - Parameter hourContaining_ms: any instant of that hour, milliseconds since the epoch.
    package static func hourFolder(prefix: String, hourContaining_ms: Int64) -> String {
        events(prefix: prefix) + hour(hourContaining_ms) + "/"
    }

    /// What the keys of all hosts' reports under a prefix begin with.
    package static func hosts(prefix: String) -> String { joined(prefix, "hosts/") }

    /// The key of a host's report.
    package static func hostReport(prefix: String, host: String) -> String { hosts(prefix: prefix) + host + ".json" }

    /// The identity of an object's content: 16 hexadecimal digits.
    ///
    /// SHA-256 over `<writer>\t<seq>\t<lines>\t<raw SHA-256>\n` for each segment in order, and nothing else, so that
    /// it does not change with a compressor's version.
    package static func hash(of segments: [Manifest.Segment]) -> String {
        var text: [UInt8] = []
        for segment in segments {
            text.append(contentsOf: "\(segment.writer)\t\(segment.seq)\t\(segment.lines)\t\(segment.rawSHA256)\n".utf8)
        }
        return String(hex(SHA256.hash(text)).prefix(16))
    }

    /// `dt=YYYY-MM-DD/hr=HH` of an instant, UTC.
    private static func hour(_ time_ms: Int64) -> String {
        let text = Timestamp.format(time_ms).utf8
        return "dt=\(Substring(text.prefix(10)))/hr=\(Substring(text.dropFirst(11).prefix(2)))"
    }

    private static func joined(_ prefix: String, _ rest: String) -> String {
        let prefix = trimmed(prefix)
        return prefix.isEmpty ? rest : prefix + "/" + rest
    }

    private static func trimmed(_ prefix: String) -> String {
        var rest = prefix[...]
        while rest.hasPrefix("/") { rest = rest.dropFirst() }
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        return String(rest)
    }

    /// A decimal number as this format writes it: digits only, no leading zero.
    private static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            text == "0" || !text.hasPrefix("0")
        else { return nil }
        return Int(text)
    }
}
