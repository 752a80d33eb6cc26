internal import DurableIO
internal import EventSegments
internal import ObjectStorage
internal import RecordBatches
internal import TableStorage

/// Which hours a rebuild swaps, found out before it changes anything.
struct RebuildPlan: Sendable {
    /// Begins of the hours, ascending, milliseconds since the epoch.
    private(set) var hours: [Int64] = []
    /// Segments that have lines of an hour now; the ledger may not know.
    private(set) var extra: [Int64: Set<HourSources.Segment>] = [:]
    /// The mapping that each segment of the scope's objects has now, by `segment_id`.
    private var mappings: [Int64: (name: String, sha256: String)] = [:]
    private var objects: Set<Int64> = []

    init(_ scope: Rebuild.Scope, _ loader: Loader) async throws {
        var names: Set<String> = []
        switch scope {
        case .hours(let from, let to):
            hours = try await loader.side.run { connection in
                try connection.query(
                    """
                    SELECT DISTINCT hour FROM (
                        SELECT hour FROM nadi_store.segment_hour UNION SELECT hour FROM nadi_store.request_hour
                        UNION SELECT hour FROM nadi_store.resource_hour) AS h
                    WHERE hour >= $1 AND hour < $2 ORDER BY hour
                    """, [.time(LoadClock.hour(from)), .time(to)]
                ).rows.map { $0.time(0) }
            }
        case .objects(let keys):
            try await add(try await Self.objects(keys: keys, loader), loader)
        case .mapping(let name):
            try HourSources.require(name, loader.formats, "rebuild --mapping")
            names = [name]
            try await add(try await Self.objects(mapping: name, loader), loader)
        }
        while true {
            let foreign = try await foreignSegments(loader)
            for one in foreign {
                try HourSources.require(one.mapping, loader.formats, "segment \(one.segment) of the hours to rebuild")
            }
            let changed = Set(
                foreign.filter { !objects.contains($0.object) && loader.mappingHashes[$0.mapping] != $0.sha256 }
                    .map(\.mapping)
            ).subtracting(names)
            guard let first = changed.sorted().first else { return }
            // Lines that the changed mapping puts into other hours would be counted nowhere, or twice.
            guard case .mapping = scope else {
                throw LoadError(
                    .configuration,
                    "the mapping '\(first)' has changed since lines of these hours were loaded with it, and may put them "
                        + "into other hours", remedy: "Run `nadi rebuild --mapping \(first)`: it takes all of them")
            }
            names.formUnion(changed)
            for name in changed.sorted() { try await add(try await Self.objects(mapping: name, loader), loader) }
        }
    }

    /// Records which mapping the segments have now.
    func recordMappings(_ loader: Loader) async throws {
        let rows = mappings.sorted { $0.key < $1.key }
        if rows.isEmpty { return }
        try await loader.side.run { connection in
            try connection.transaction {
                try connection.query(
                    """
                    UPDATE nadi_store.segment AS s SET mapping_sha256 = decode(u.sha, 'hex')
                    FROM unnest($1::bigint[], $2::text[]) AS u (id, sha) WHERE s.segment_id = u.id
                    """, [.integers(rows.map(\.key)), .texts(rows.map(\.value.sha256))])
                _ = try connection.query(
                    """
                    INSERT INTO nadi_store.mapping (name, sha256)
                    SELECT DISTINCT n, decode(h, 'hex') FROM unnest($1::text[], $2::text[]) AS u (n, h)
                    ORDER BY 1, 2 ON CONFLICT DO NOTHING
                    """, [.texts(rows.map(\.value.name)), .texts(rows.map(\.value.sha256))])
            }
        }
    }

    // MARK: Objects

    private static func objects(keys: [String], _ loader: Loader) async throws -> [Int64] {
        try await loader.side.run { connection in
            let rows = try connection.query(
                "SELECT object_id, object_key FROM nadi_store.object WHERE object_key = ANY ($1::text[])",
                [.texts(keys)]
            ).rows
            let known = Set(rows.map { $0.text(1) })
            if let unknown = keys.first(where: { !known.contains($0) }) {
                throw LoadError(.configuration, "object \(unknown) is not in the ledger", remedy: "Run `nadi load`")
            }
            return rows.map { $0.integer(0) }
        }
    }

    private static func objects(mapping name: String, _ loader: Loader) async throws -> [Int64] {
        try await loader.side.run { connection in
            try connection.query(
                """
                SELECT DISTINCT s.object_id FROM nadi_store.segment AS s JOIN nadi_store.writer AS w USING (writer_id)
                WHERE w.format = $1 AND s.state = 'loaded' ORDER BY 1
                """, [.text(name)]
            ).rows.map { $0.integer(0) }
        }
    }

    /// Adds all hours that objects had and have now.
    ///
    /// Of those that cannot be read only the former are known: they will be
    /// left as they are, by name.
    private mutating func add(_ ids: [Int64], _ loader: Loader) async throws {
        let (segments, old, withOutcomes) = try await loader.side.run { connection in
            (
                try HourSources.segments(objects: ids, connection),
                try connection.query(
                    """
                    SELECT DISTINCT h.hour FROM nadi_store.segment_hour AS h JOIN nadi_store.segment AS s
                    USING (segment_id) WHERE s.object_id = ANY ($1::bigint[])
                    """, [.integers(ids)]
                ).rows.map { $0.time(0) },
                Set(
                    try connection.query(
                        """
                        SELECT DISTINCT h.segment_id FROM nadi_store.segment_hour AS h JOIN nadi_store.segment AS s
                        USING (segment_id)
                        WHERE s.object_id = ANY ($1::bigint[]) AND h.event_type IN ('outcome', 'feedback')
                        """, [.integers(ids)]
                    ).rows.map { $0.integer(0) })
            )
        }
        var hours = Set(hours).union(old)
        for (_, segments) in Dictionary(grouping: segments, by: \.key).sorted(by: { $0.key < $1.key }) {
            do {
                try await HourSources.read(segments, store: loader.store, formats: loader.formats) {
                    reader, _, places, segments in
                    let part = try loader.aggregate(reader, places, [])
                    for (result, segment) in zip(part.segments, segments) {
                        try take(result, segment, hadOutcomes: withOutcomes.contains(segment.id))
                        for key in result.hours.keys { hours.insert(key.hour_s * 1000) }
                    }
                }
            } catch let error as LoadError where error.code == .closedHour || error.code == .altered {
                loader.progress("\(error)")
            } catch let error as ObjectError {
                loader.progress("\(error)")
            }
        }
        self.hours = hours.sorted()
        objects.formUnion(ids)
    }

    private mutating func take(
        _ result: SegmentResult, _ segment: HourSources.Segment, hadOutcomes: Bool
    ) throws {
        let sha256 = result.mappingSHA256.map { hex($0) } ?? ""
        let hasOutcomes = result.hours.keys.contains { $0.type == .outcome || $0.type == .feedback }
        if sha256 != segment.mappingSHA256, hadOutcomes || hasOutcomes {
            throw LoadError(
                .configuration,
                "the mapping '\(result.segment.format)' has changed and yields outcomes or feedback, which rebuild cannot "
                    + "derive again (what they superseded is gone)",
                remedy: "Load the archive into an empty database, or keep the mapping and add one under another name")
        }
        if !sha256.isEmpty { mappings[segment.id] = (result.segment.format, sha256) }
        for key in result.hours.keys { extra[key.hour_s * 1000, default: []].insert(segment) }
    }

    // MARK: Mappings

    private struct Foreign: Sendable {
        let object: Int64
        let segment: String
        let mapping: String
        let sha256: String
    }

    /// The segments with lines in the hours that were read through a mapping.
    private func foreignSegments(_ loader: Loader) async throws -> [Foreign] {
        let hours = hours
        return try await loader.side.run { connection in
            try connection.query(
                """
                SELECT DISTINCT s.object_id, w.writer || '-' || s.seq, w.format, encode(s.mapping_sha256, 'hex')
                FROM nadi_store.segment_hour AS h JOIN nadi_store.segment AS s USING (segment_id)
                JOIN nadi_store.writer AS w USING (writer_id)
                WHERE h.hour = ANY ($1::timestamptz[]) AND s.state = 'loaded' AND s.mapping_sha256 IS NOT NULL
                ORDER BY 1, 2
                """, [.times(hours)]
            ).rows.map {
                Foreign(object: $0.integer(0), segment: $0.text(1), mapping: $0.text(2), sha256: $0.text(3))
            }
        }
    }
}
