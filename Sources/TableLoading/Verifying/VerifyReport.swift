internal import EventModel

/// What `nadi verify` found.
package struct VerifyReport: Sendable {
    /// One object that is not what it should be.
    package struct Finding: Sendable, Equatable {
        /// What is wrong, a stable word: `unreadable`, `manifest`, `layout`, `compression`, `content`, `key`, `ledger`,
        /// `missing`, `stranger`.
        package let kind: String
        package let key: String
        /// What differs from what.
        package let reason: String
        /// What to do.
        package let remedy: String
        /// Whether it fails the verification.
        package var isFailure: Bool { kind != "stranger" }
    }

    /// Objects that were read through, and what they hold.
    package var objects = 0
    package var segments = 0
    package var lines: Int64 = 0
    package var rawBytes: Int64 = 0
    package var compressedBytes: Int64 = 0
    /// Objects that the sample left out.
    package var leftOut = 0
    /// Objects that the ledger does not know yet.
    package var notLoaded = 0
    /// The first findings, up to ``kept``.
    package private(set) var findings: [Finding] = []
    /// All findings that fail the verification.
    package private(set) var failures = 0

    /// How many findings are kept.
    package static let kept = 10_000

    /// Whether all that was read is as it should be.
    package var isClean: Bool { failures == 0 }

    mutating func add(_ finding: Finding) {
        if finding.isFailure { failures += 1 }
        if findings.count < Self.kept { findings.append(finding) }
    }

    /// For people: one line for each finding, then the sums.
    package var text: String {
        var out = ""
        for finding in findings {
            out += finding.isFailure ? "FAILED   " : "note     "
            out += "\(finding.kind): \(finding.key): \(finding.reason). \(finding.remedy)\n"
        }
        if failures > findings.count { out += "... and more: \(failures) in all\n" }
        out += "verified \(objects) objects, \(segments) segments, \(lines) lines, \(rawBytes) bytes"
        out += " (\(compressedBytes) compressed)"
        if leftOut > 0 { out += "; \(leftOut) left out by the sample" }
        if notLoaded > 0 { out += "; \(notLoaded) not in the ledger" }
        return out + (isClean ? "; all are whole\n" : "; \(failures) are not\n")
    }

    /// For programs: one JSON object.
    package var json: String {
        var object = JSONText()
        object.field("clean", isClean)
        object.field("objects", objects)
        object.field("segments", segments)
        object.field("lines", lines)
        object.field("raw_bytes", rawBytes)
        object.field("compressed_bytes", compressedBytes)
        object.field("left_out", leftOut)
        object.field("not_loaded", notLoaded)
        object.field("failures", failures)
        let items = findings.map { finding in
            var one = JSONText()
            one.field("kind", finding.kind)
            one.field("key", finding.key)
            one.field("reason", finding.reason)
            one.field("remedy", finding.remedy)
            one.field("failure", finding.isFailure)
            return String(decoding: one.closed, as: UTF8.self)
        }
        return String(decoding: object.bytes, as: UTF8.self) + ",\"findings\":[" + items.joined(separator: ",") + "]}"
    }
}
