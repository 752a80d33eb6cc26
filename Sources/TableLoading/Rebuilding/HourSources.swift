internal import EventSegments
package import ObjectStorage
package import RecordBatches
package import TableStorage

/// What an hour's rows are derived from: its segments, by object.
package struct HourSources: Sendable {
    /// A segment in the ledger.
    package struct Segment: Sendable, Hashable {
        package let id: Int64
        package let object: Int64
        package let key: String
        package let writer: String
        package let seq: Int
        /// SHA-256 of the raw bytes that were loaded, in hexadecimal.
        package let rawSHA256: String
        /// SHA-256 of the mapping that was applied, in hexadecimal; empty for native segments.
        package let mappingSHA256: String
    }

    /// Whether the hour can be derived from the bucket as far as the ledger goes back.
    /// - Throws: ``LoadError`` with ``LoadError/Code/closedHour`` where some of its segments are past retention.
    package static func requireOpen(hour_ms: Int64, type: String? = nil, _ connection: Connection) throws {
        let expired = try connection.query(
            """
            SELECT EXISTS (SELECT FROM nadi_store.expired_hour
                           WHERE hour = $1 AND ($2::text IS NULL OR event_type = $2))
            """, [.time(hour_ms), .optional(type)])
        if expired[0].boolean(0) {
            throw LoadError(
                .closedHour, "objects of this hour are past archive_days, so that it is closed",
                remedy: "It keeps the rows it has")
        }
    }

    /// All loaded segments with lines of the hour (of a type, if given), ordered by number.
    package static func segments(
        hour_ms: Int64, type: String? = nil, _ connection: Connection
    ) throws -> [Segment] {
        try connection.query(
            """
            SELECT DISTINCT s.segment_id, o.object_id, o.object_key, w.writer, s.seq, encode(s.raw_sha256, 'hex'),
                   coalesce(encode(s.mapping_sha256, 'hex'), '')
            FROM nadi_store.segment_hour AS h JOIN nadi_store.segment AS s USING (segment_id, object_sealed_at)
            JOIN nadi_store.object AS o ON o.object_id = s.object_id AND o.sealed_at = s.object_sealed_at
            JOIN nadi_store.writer AS w USING (writer_id)
            WHERE h.hour = $1 AND ($2::text IS NULL OR h.event_type = $2) AND s.state = 'loaded'
            ORDER BY s.segment_id
            """, [.time(hour_ms), .optional(type)]
        ).rows.map(Self.segment)
    }

    /// What tells whether an hour's segments have changed: how many there are, and the sum of their numbers.
    struct Mark: Sendable, Equatable {
        var count: Int64 = 0
        var sum: Int64 = 0

        init() {}

        init(_ segments: [Segment]) {
            count = Int64(segments.count)
            sum = segments.reduce(0) { $0 + $1.id }
        }
    }

    /// The marks of hours' segments with lines of a type; hours without any are left out.
    static func marks(hours_ms: [Int64], type: String, _ connection: Connection) throws -> [Int64: Mark] {
        var marks: [Int64: Mark] = [:]
        for row in try connection.query(
            """
            SELECT h.hour, count(*), sum(h.segment_id)::bigint
            FROM nadi_store.segment_hour AS h JOIN nadi_store.segment AS s USING (segment_id, object_sealed_at)
            WHERE h.hour = ANY ($1::timestamptz[]) AND h.event_type = $2 AND s.state = 'loaded' GROUP BY 1
            """, [.times(hours_ms), .text(type)]
        ).rows {
            var mark = Mark()
            (mark.count, mark.sum) = (row.integer(1), row.integer(2))
            marks[row.time(0)] = mark
        }
        return marks
    }

    /// All loaded segments of objects.
    package static func segments(objects: [Int64], _ connection: Connection) throws -> [Segment] {
        try connection.query(
            """
            SELECT s.segment_id, o.object_id, o.object_key, w.writer, s.seq, encode(s.raw_sha256, 'hex'),
                   coalesce(encode(s.mapping_sha256, 'hex'), '')
            FROM nadi_store.segment AS s JOIN nadi_store.object AS o USING (object_id)
            JOIN nadi_store.writer AS w USING (writer_id)
            WHERE o.object_id = ANY ($1::bigint[]) AND s.state = 'loaded' ORDER BY s.segment_id
            """, [.integers(objects)]
        ).rows.map(Self.segment)
    }

    private static func segment(_ row: QueryResult.Row) -> Segment {
        Segment(
            id: row.integer(0), object: row.integer(1), key: row.text(2), writer: row.text(3), seq: Int(row.integer(4)),
            rawSHA256: row.text(5), mappingSHA256: row.text(6))
    }

    /// Reads objects one after the other and hands out each with the places of the wanted segments in its manifest.
    ///
    /// - Parameter formats: the mappings that the configuration has. A segment of another one must never be passed over:
    ///   the swap that follows would delete its rows.
    /// - Throws: ``LoadError`` with ``LoadError/Code/closedHour`` for an object that is gone, with
    ///   ``LoadError/Code/altered`` for one that no longer holds what was loaded from it, with
    ///   ``LoadError/Code/configuration`` for a mapping that is missing; `ObjectError`, `StorageError`.
    package static func read(
        _ segments: [Segment], store: any ObjectStore, formats: Set<String>,
        _ body: (
            _ object: ObjectReader, _ bytes: [UInt8], _ places: [Int], _ segments: [Segment]
        ) async throws -> Void
    ) async throws {
        let byObject = Dictionary(grouping: segments) { $0.key }
        for (key, wanted) in byObject.sorted(by: { $0.key < $1.key }) {
            let bytes: [UInt8]
            do {
                bytes = try await store.get(key)
            } catch let error as StorageError where error.kind == .notFound {
                throw gone(key)
            }
            let reader = try ObjectReader(bytes)
            let ordered = try places(of: wanted, in: reader.manifest, key: key, formats: formats)
            try await body(reader, bytes, ordered.map(\.place), ordered.map(\.segment))
        }
    }

    /// What to say of an object that is no longer there.
    static func gone(_ key: String) -> LoadError {
        LoadError(
            .closedHour, "object \(key) is gone from the bucket, so that this hour is closed",
            remedy: "Restore the object; until then the hour keeps the rows it has")
    }

    /// What to say of an object that the store does not find: gone only if the ledger has it as lost or expired, which takes a
    /// whole listing. One answer may be that of a gateway without its store, or of an empty mount point.
    static func notFound(_ key: String, _ connection: Connection) throws -> LoadError {
        let isGone = try connection.query(
            "SELECT EXISTS (SELECT FROM nadi_store.object WHERE object_key = $1 AND state IN ('lost', 'expired'))",
            [.text(key)])
        if isGone[0].boolean(0) { return gone(key) }
        return LoadError(
            .missing, "object \(key), which was loaded, is not found in the bucket",
            remedy:
                "See whether the bucket is there. Restore the object, or run `nadi load --all`, which records it as lost"
        )
    }

    /// The places of segments in their object's manifest, ascending.
    /// - Throws: ``LoadError`` as `read(_:store:formats:_:)`, where the object does not hold what was loaded.
    static func places(
        of wanted: [Segment], in manifest: Manifest, key: String, formats: Set<String>
    ) throws(LoadError) -> [(place: Int, segment: Segment)] {
        var places: [LoadBatch.Place: [Int]] = [:]
        for (index, segment) in manifest.segments.enumerated() {
            places[LoadBatch.Place(segment), default: []].append(index)
        }
        var ordered: [(place: Int, segment: Segment)] = []
        for segment in wanted {
            let found = places[LoadBatch.Place(writer: segment.writer, seq: segment.seq)] ?? []
            let same = found.first { manifest.segments[$0].rawSHA256 == segment.rawSHA256 }
            guard let place = same else {
                let name = "segment \(segment.writer)-\(segment.seq)"
                throw LoadError(
                    .altered,
                    found.isEmpty
                        ? "object \(key) no longer holds \(name)"
                        : "object \(key) was replaced under the same key: \(name) has other bytes than those loaded",
                    remedy: "Restore the object as it was; until then the hour keeps the rows it has")
            }
            try require(manifest.segments[place].format, formats, "segment \(segment.writer)-\(segment.seq)")
            ordered.append((place, segment))
        }
        ordered.sort { $0.place < $1.place }
        return ordered
    }

    /// Whether a format can be read.
    /// - Throws: ``LoadError`` with ``LoadError/Code/configuration`` that names the mapping.
    static func require(_ format: String, _ formats: Set<String>, _ what: String) throws(LoadError) {
        if format == Manifest.nativeFormat || formats.contains(format) { return }
        throw LoadError(
            .configuration, "the configuration has no mapping '\(format)', which \(what) needs",
            remedy: "Put it back under `mappings`; nothing of this hour was changed")
    }
}
