internal import EventSegments
internal import ObjectStorage
internal import RecordBatches
internal import TableStorage

/// Reads one object through: every frame's bytes, lines and SHA-256, its manifest, its key, and the ledger's rows of it.
struct ObjectVerifier {
    private let verification: Verification
    private let key: String
    private let state: String?
    private var proof = Proof()

    /// - Parameter state: the object's state in the ledger; nil where it has none.
    init(_ verification: Verification, _ key: String, state: String?) {
        self.verification = verification
        self.key = key
        self.state = state
    }

    /// Reads it.
    /// - Throws: `DatabaseError`; what is wrong with the object is in the result.
    func run() async throws -> Proof {
        var copy = self
        try await copy.verify()
        return copy.proof
    }

    private mutating func find(_ kind: String, _ reason: String, _ remedy: String) {
        proof.findings.append(
            VerifyReport.Finding(kind: kind, key: key, reason: String(reason.prefix(400)), remedy: remedy))
    }

    private mutating func verify() async throws {
        var attempts = 0
        while true {
            do {
                return try await read()
            } catch let error as ObjectError {
                return find(
                    error.code.rawValue, error.message,
                    state == "loaded"
                        ? "It was loaded when it was whole: restore it (versioning, a copy), or its hours can never be rebuilt"
                        : "Restore it (versioning, a copy); the loader tries it again by itself")
            } catch let error as StorageError {
                if error.kind == .notFound {
                    return find("missing", "it is gone from the bucket", "Restore it (versioning, a copy)")
                }
                attempts += 1
                guard error.kind.retry == .soon, attempts < 6 else {
                    return find("unreadable", error.description, "Mend the store or the rights, then verify again")
                }
                let wait = max(error.retryAfter_s ?? 0, Double.random(in: 0...0.2 * Double(1 << attempts)))
                try await Task.sleep(for: .seconds(min(60, wait)))
            }
        }
    }

    private mutating func read() async throws {
        proof = Proof()
        let source = try await ObjectSource(verification.store, key)
        let manifest = try await source.manifest()
        proof.compressedBytes = Int64(source.size)
        let expected = ObjectKey(prefix: verification.prefix, manifest: manifest).path
        if expected != key {
            find(
                "key", "its manifest belongs under \(expected)",
                "It was copied or renamed: move it back; under this key it is never loaded")
        }
        for segment in manifest.segments {
            let check = SegmentProof(segment)
            try await source.read(segment.offset..<(segment.offset + segment.compressedBytes)) {
                try check.append($0) { _ in }
            }
            try check.finish()
            proof.segments += 1
            proof.lines += Int64(segment.lines)
            proof.rawBytes += Int64(segment.rawBytes)
        }
        if state != nil { try await compare(manifest) }
    }

    /// A segment as the ledger holds it.
    private struct Row: Hashable {
        let writer: String
        let seq: Int
        let sha256: String
        let lines: Int
        let rawBytes: Int
        let sealed_ms: Int64

        var name: String { "segment \(writer)-\(seq)" }
    }

    private mutating func compare(_ manifest: Manifest) async throws {
        guard let database = verification.database else { return }
        let key = key
        let (lines, rows) = try await database.run { connection in
            let object = try connection.query(
                "SELECT object_id, lines, state FROM nadi_store.object WHERE object_key = $1", [.text(key)]
            ).first
            guard let object, ["loaded", "lost", "expired"].contains(object.text(2)) else {
                return (Int64(-1), [Row]())
            }
            let rows = try connection.query(
                """
                SELECT w.writer, s.seq, encode(s.raw_sha256, 'hex'), s.lines, s.raw_bytes, s.sealed_at
                FROM nadi_store.segment AS s JOIN nadi_store.writer AS w USING (writer_id)
                WHERE s.object_id = $1 ORDER BY w.writer, s.seq
                """, [.integer(object.integer(0))]
            ).rows.map { row in
                Row(
                    writer: row.text(0), seq: Int(row.integer(1)), sha256: row.text(2), lines: Int(row.integer(3)),
                    rawBytes: Int(row.integer(4)), sealed_ms: row.time(5))
            }
            return (object.integer(1), rows)
        }
        // Not loaded yet: the ledger says nothing of its segments.
        if lines < 0 { return }
        let stored = manifest.segments.map {
            Row(
                writer: $0.writer, seq: $0.seq, sha256: $0.rawSHA256, lines: $0.lines, rawBytes: $0.rawBytes,
                sealed_ms: $0.sealed_ms)
        }
        let remedy =
            "The object or the ledger was altered since it was loaded: restore the one that is wrong, then `nadi audit`"
        if lines != Int64(manifest.lines) {
            find("ledger", "it has \(manifest.lines) lines, the ledger says \(lines)", remedy)
        }
        let known = Set(rows)
        let there = Set(stored)
        for row in stored where !known.contains(row) {
            let other = rows.first { $0.writer == row.writer && $0.seq == row.seq }
            find(
                "ledger",
                other.map { Self.difference(row, $0) } ?? "\(row.name) is in the object, not in the ledger", remedy)
        }
        for row in rows
        where !there.contains(row) && !stored.contains(where: { $0.writer == row.writer && $0.seq == row.seq }) {
            find("ledger", "\(row.name) was loaded from it, and is not in it", remedy)
        }
    }

    private static func difference(_ row: Row, _ other: Row) -> String {
        if row.sha256 != other.sha256 {
            return "\(row.name) has SHA-256 \(row.sha256), the ledger says \(other.sha256)"
        }
        if row.lines != other.lines { return "\(row.name) has \(row.lines) lines, the ledger says \(other.lines)" }
        if row.rawBytes != other.rawBytes {
            return "\(row.name) has \(row.rawBytes) bytes, the ledger says \(other.rawBytes)"
        }
        return "\(row.name) was sealed at \(row.sealed_ms), the ledger says \(other.sealed_ms) (milliseconds)"
    }
}
