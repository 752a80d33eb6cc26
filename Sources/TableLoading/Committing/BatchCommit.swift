internal import DurableIO
internal import EventModel
internal import EventSegments
internal import RecordBatches
package import TableStorage

/// The one transaction of a batch, in the order that keeps loaders from waiting in circles: hour locks, writers,
/// ledger, lines per hour, rejects, edge sets, aggregates, outcomes, deployments, marks.
package struct BatchCommit {
    let batch: LoadBatch
    let admitted: AdmittedAggregates
    /// The rows of the batch's overflow.
    let overflow: AdmittedOverflow?
    let owner: String
    let retention: Retention
    let now_ms: Int64

    /// Objects and lines that a commit added.
    package struct Counts: Sendable {
        package var objects = 0
        package var segments = 0
        package var duplicates = 0
        package var conflicts = 0
        package var lines: Int64 = 0
        package var rejectedLines: Int64 = 0
    }

    /// Runs the transaction.
    /// - Throws: ``LoadError`` with ``LoadError/Code/overtaken`` when another loader did part of it; ``DatabaseError``.
    package func run(_ connection: Connection) throws -> Counts {
        try connection.execute(MergeStatements.createStages)
        try ensurePartitions(connection)
        let hosts = try hostIDs(connection)
        return try connection.transaction {
            // Chunks are each in order, not all of them together: other adders of these hours wait.
            if overflow != nil { try HourLocks.takeAll(batch.hours_ms, connection) }
            try HourLocks.share(batch.hours_ms, connection)
            if !batch.aggregates.outcomes.isEmpty || overflow?.rows.hasOutcomes ?? false {
                try HourLocks.takeOutcomes(
                    models: overflow?.models.union(admitted.models) ?? Set(admitted.models), connection)
                // Under their locks: no day goes any more.
                try OutcomeWriting.ensureDays(outcomeDays, connection)
            }
            let writers = try upsertWriters(hosts, connection)
            try checkObjects(connection)
            try checkSegments(writers, connection)
            let segments = try insertSegments(writers, connection)
            try finishObjects(hosts, connection)
            try copyHours(segments, connection)
            try copyRejects(segments, connection)
            try addRows(admitted, segments, connection)
            var changed = DriftMarks.hours(admitted)
            try overflow?.forEach(of: batch.aggregates.segments) { chunk in
                try connection.execute(MergeStatements.emptyStages)
                try addRows(chunk, segments, connection)
                changed.formUnion(DriftMarks.hours(chunk))
            }
            try DriftMarks.insert(changed, connection)
            try OutcomeWriting.markHours(connection)
            return Self.counts(of: batch)
        }
    }

    /// Merges aggregates, then what stands beside them.
    private func addRows(_ rows: AdmittedAggregates, _ segments: [Int64], _ connection: Connection) throws {
        try HourEdgeSets.fix(rows, connection)
        try Staging(
            connection: connection, batch: rows, firstMinute_s: retention.firstMinuteDay(now_ms: now_ms) / 1000
        ).merge()
        try OutcomeWriting(
            connection: connection, batch: rows, segments: segments, labelDays: retention.settings.labelDays
        ).write()
        try Self.copyDeployments(rows.rows.deployments, rows, segments, connection)
    }

    static func counts(of batch: LoadBatch) -> Counts {
        var counts = Counts()
        counts.objects = batch.objects.count
        counts.segments = batch.aggregates.segments.count
        counts.duplicates = batch.left.count { $0.state == .duplicate }
        counts.conflicts = batch.left.count { $0.state == .conflict }
        counts.lines = batch.aggregates.segments.reduce(0) { $0 + $1.loadedLines }
        counts.rejectedLines = batch.aggregates.segments.reduce(0) { $0 + $1.rejectedLines }
        return counts
    }

    // MARK: Before the transaction

    private func ensurePartitions(_ connection: Connection) throws {
        let first = retention.firstMinuteDay(now_ms: now_ms)
        func days(_ times: some Sequence<Int64>) -> Set<Int64> {
            Set(times.map { LoadClock.day($0 * 1000) }).filter { $0 >= first }
        }
        try retention.ensurePartitions(
            of: "request_minute",
            days_ms: days(batch.aggregates.requestMinutes.keys.lazy.map(\.time_s)).union(
                (overflow?.rows.requestDays_ms ?? []).filter { $0 >= first }), connection)
        try retention.ensurePartitions(
            of: "resource_minute",
            days_ms: days(batch.aggregates.resourceMinutes.keys.lazy.map(\.time_s)).union(
                (overflow?.rows.resourceDays_ms ?? []).filter { $0 >= first }), connection)
        let sealed = batch.aggregates.segments.filter { !$0.rejectLines.isEmpty }.map { $0.segment.sealed_ms / 1000 }
        try retention.ensurePartitions(of: "reject_line", days_ms: days(sealed), connection)
        try OutcomeWriting.ensureDays(outcomeDays, connection)
    }

    /// Days of the predictions of the batch's outcomes, but for those that come too late for every segment.
    private var outcomeDays: Set<Int64> {
        let segments = batch.aggregates.segments
        var days = overflow?.rows.outcomeDays_ms ?? []
        for row in batch.aggregates.outcomes {
            let sealed_ms = segments[row.segment].segment.sealed_ms
            if let hour_ms = OutcomeWriting.predictionHour_ms(row, arrival_ms: sealed_ms) { days.insert(LoadClock.day(hour_ms)) }
        }
        let seals = segments.map { LoadClock.day($0.segment.sealed_ms) }
        guard let first = seals.min(), let last = seals.max() else { return [] }
        let range = first - retention.settings.labelDays * LoadClock.day_ms...last + LoadClock.day_ms
        return days.filter { range.contains($0) }
    }

    private func hostIDs(_ connection: Connection) throws -> [String: Int64] {
        var ids: [String: Int64] = [:]
        for host in Set(batch.objects.map(\.manifest.host)).sorted() {
            ids[host] = try HostReports.hostID(host, connection)
        }
        return ids
    }

    // MARK: Ledger

    /// When each object was sealed, which is where the ledger's partitions begin and end.
    private var sealOfObject: [Int64: Int64] {
        Dictionary(uniqueKeysWithValues: batch.objects.map { ($0.claim.objectID, $0.claim.sealed_ms) })
    }

    private func upsertWriters(_ hosts: [String: Int64], _ connection: Connection) throws -> [String: Int64] {
        var rows: [String: WriterRow] = [:]
        let hostOfObject = Dictionary(uniqueKeysWithValues: batch.objects.map { ($0.claim.objectID, $0.manifest.host) })
        func row(_ segment: Manifest.Segment, _ object: Int64) -> WriterRow {
            rows[segment.writer] ?? WriterRow(host: hosts[hostOfObject[object] ?? ""] ?? 0, format: segment.format)
        }
        for (result, object) in zip(batch.aggregates.segments, batch.segmentObjects) {
            var writer = row(result.segment, object)
            if let line = result.writerLine { writer.raise(to: line.counts) }
            if result.segment.end { writer.end = max(writer.end ?? 0, Int64(result.segment.seq)) }
            writer.adopted = writer.adopted || result.segment.adopted
            rows[result.segment.writer] = writer
        }
        for left in batch.left where rows[left.segment.writer] == nil {
            rows[left.segment.writer] = row(left.segment, left.object)
        }
        var ids: [String: Int64] = [:]
        for (name, row) in rows.sorted(by: { $0.key < $1.key }) {
            ids[name] = try connection.query(WriterRow.upsert, row.parameters(name))[0].integer(0)
        }
        return ids
    }

    private func checkObjects(_ connection: Connection) throws {
        let ours = try connection.query(
            """
            SELECT object_id FROM nadi_store.object
            WHERE object_id = ANY ($1::bigint[]) AND state = 'claimed' AND lease_owner = $2
            ORDER BY object_id FOR UPDATE
            """, [.integers(batch.objects.map(\.claim.objectID)), .text(owner)])
        guard ours.count == batch.objects.count else {
            throw LoadError(.overtaken, "another loader took over \(batch.objects.count - ours.count) objects")
        }
    }

    private func checkSegments(_ writers: [String: Int64], _ connection: Connection) throws {
        let segments = batch.aggregates.segments.map(\.segment)
        let known = try connection.query(
            """
            SELECT count(*) FROM unnest($1::bigint[], $2::bigint[]) AS u (writer_id, seq)
            JOIN nadi_store.segment AS s ON s.writer_id = u.writer_id AND s.seq = u.seq AND s.state = 'loaded'
            """,
            [.integers(segments.map { writers[$0.writer] ?? 0 }), .integers(segments.map { Int64($0.seq) })])
        guard known[0].integer(0) == 0 else {
            throw LoadError(.overtaken, "\(known[0].integer(0)) segments were loaded meanwhile")
        }
    }

    /// Inserts all segments; returns the numbers of the aggregated ones, by place.
    private func insertSegments(_ writers: [String: Int64], _ connection: Connection) throws -> [Int64] {
        let results = batch.aggregates.segments
        let segments = results.map(\.segment) + batch.left.map(\.segment)
        let objects = batch.segmentObjects + batch.left.map(\.object)
        let states = results.map { _ in "loaded" } + batch.left.map(\.state.rawValue)
        let hashes = results.map { $0.mappingSHA256.map { hex($0) } ?? "" } + batch.left.map { _ in "" }
        let loaded = results.map(\.loadedLines) + batch.left.map { _ in 0 }
        let rejected = results.map(\.rejectedLines) + batch.left.map { _ in 0 }
        let ids = try connection.query(
            """
            WITH given AS MATERIALIZED (
                SELECT *, nextval(pg_get_serial_sequence('nadi_store.segment', 'segment_id')) AS id
                FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::bigint[], $6::bigint[],
                            $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::timestamptz[])
                    WITH ORDINALITY AS u (object, writer, seq, sealed, lines, bytes, sha, state, mapping, loaded,
                                          rejected, object_sealed, place)
            ), inserted AS (
                INSERT INTO nadi_store.segment
                    (segment_id, object_id, writer_id, seq, sealed_at, lines, raw_bytes, raw_sha256, state,
                     mapping_sha256, loaded_lines, rejected_lines, object_sealed_at, checksum)
                OVERRIDING SYSTEM VALUE
                SELECT id, object, writer, seq, sealed, lines, bytes, decode(sha, 'hex'), state,
                       decode(nullif(mapping, ''), 'hex'), loaded, rejected, object_sealed,
                       hash_record_extended(ROW(object, writer, seq, sealed, lines, bytes, decode(sha, 'hex')), 0)
                FROM given ORDER BY writer, seq
            )
            SELECT id FROM given ORDER BY place
            """,
            [
                .integers(objects), .integers(segments.map { writers[$0.writer] ?? 0 }),
                .integers(segments.map { Int64($0.seq) }), .times(segments.map(\.sealed_ms)),
                .integers(segments.map { Int64($0.lines) }), .integers(segments.map { Int64($0.rawBytes) }),
                .texts(segments.map(\.rawSHA256)), .texts(states), .texts(hashes), .integers(loaded),
                .integers(rejected), .times(objects.map { sealOfObject[$0] ?? 0 }),
            ])
        return ids.rows.prefix(results.count).map { $0.integer(0) }
    }

    private func finishObjects(_ hosts: [String: Int64], _ connection: Connection) throws {
        try connection.query(
            """
            UPDATE nadi_store.object AS o
            SET state = 'loaded', lines = u.lines, host_id = u.host, loaded_at = now(), lease_owner = NULL,
                lease_until = NULL, last_error = NULL, next_attempt_at = NULL
            FROM unnest($1::bigint[], $2::bigint[], $3::int[]) AS u (id, lines, host) WHERE o.object_id = u.id
            """,
            [
                .integers(batch.objects.map(\.claim.objectID)),
                .integers(batch.objects.map { Int64($0.manifest.lines) }),
                .integers(batch.objects.map { hosts[$0.manifest.host] ?? 0 }),
            ])
        let mappings = Dictionary(
            batch.aggregates.segments.compactMap { result in
                result.mappingSHA256.map { (hex($0), result.segment.format) }
            }, uniquingKeysWith: { first, _ in first })
        if mappings.isEmpty { return }
        let sorted = mappings.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
        try connection.query(
            """
            INSERT INTO nadi_store.mapping (name, sha256)
            SELECT n, decode(h, 'hex') FROM unnest($1::text[], $2::text[]) AS u (n, h) ON CONFLICT DO NOTHING
            """, [.texts(sorted.map(\.value)), .texts(sorted.map(\.key))])
    }

    private func copyHours(_ segments: [Int64], _ connection: Connection) throws {
        var writer = try connection.copy(
            into: "nadi_store.segment_hour", columns: ["segment_id", "hour", "event_type", "lines", "object_sealed_at"])
        let seals = sealOfObject
        for (place, result) in batch.aggregates.segments.enumerated() {
            for (key, lines) in result.hours where lines > 0 {
                writer.append(segments[place])
                writer.append(time: key.hour_s * 1000)
                writer.append(key.type.rawValue)
                writer.append(lines)
                writer.append(time: seals[batch.segmentObjects[place]] ?? 0)
                try writer.endRow()
            }
        }
        try writer.finish()
    }

    private func copyRejects(_ segments: [Int64], _ connection: Connection) throws {
        guard batch.aggregates.segments.contains(where: { !$0.rejects.isEmpty }) else { return }
        var counts = try connection.copy(
            into: "nadi_store.segment_reject",
            columns: ["segment_id", "reason", "lines", "object_sealed_at", "kept_lines"])
        let first_ms = retention.firstMinuteDay(now_ms: now_ms)
        let seals = sealOfObject
        for (place, result) in batch.aggregates.segments.enumerated() {
            for (reason, lines) in result.rejects where lines > 0 {
                counts.append(segments[place])
                counts.append(reason.rawValue)
                counts.append(lines)
                counts.append(time: seals[batch.segmentObjects[place]] ?? 0)
                counts.append(Self.keptLines(result, reason, first_ms: first_ms))
                try counts.endRow()
            }
        }
        try counts.finish()
        try Self.copyRejectLines(batch.aggregates.segments, segments, first_ms: first_ms, connection)
    }

    /// How many rejected lines of a reason ``copyRejectLines(_:_:first_ms:_:)`` writes.
    static func keptLines(_ result: SegmentResult, _ reason: RejectReason, first_ms: Int64) -> Int64 {
        result.segment.sealed_ms < first_ms ? 0 : Int64(result.rejectLines.count { $0.reason == reason })
    }

    /// The rejected lines of segments that are sealed on a day whose partition is kept.
    static func copyRejectLines(
        _ results: [SegmentResult], _ segments: [Int64], first_ms: Int64, _ connection: Connection
    ) throws {
        var lines = try connection.copy(
            into: "nadi_store.reject_line",
            columns: ["segment_id", "line", "sealed_at", "reason", "detail", "excerpt"])
        for (result, segment) in zip(results, segments) where result.segment.sealed_ms >= first_ms {
            for line in result.rejectLines {
                lines.append(segment)
                lines.append(line.line)
                lines.append(time: result.segment.sealed_ms)
                lines.append(line.reason.rawValue)
                lines.append(line.detail)
                lines.append(bytes: line.excerpt)
                try lines.endRow()
            }
        }
        try lines.finish()
    }

    // MARK: Rows beside the aggregates

    static func copyDeployments(
        _ rows: [DeploymentRow], _ admitted: AdmittedAggregates, _ segments: [Int64], _ connection: Connection
    ) throws {
        if rows.isEmpty { return }
        var writer = try connection.copy(
            into: "nadi_store.deployment",
            columns: [
                "segment_id", "line", "deployed_at", "model_id", "model_version", "previous_version", "action", "actor",
                "environment",
            ])
        for row in rows {
            writer.append(segments[row.segment])
            writer.append(row.line)
            writer.append(time: row.time_ms)
            writer.append(admitted.models[row.model])
            writer.append(row.version)
            writer.append(row.previousVersion)
            writer.append(row.action)
            writer.append(row.actor)
            writer.append(row.environment)
            try writer.endRow()
        }
        try writer.finish()
    }
}
