internal import EventModel
internal import EventSegments
internal import ObjectStorage
internal import RecordBatches
internal import TableStorage

/// Derives hours again from the bucket and swaps them in, one at a time.
///
/// Outcome and feedback rows stay as they were loaded; hours whose predictions changed are joined with them again.
package struct Rebuild: Sendable {
    /// What to derive again.
    package enum Scope: Sendable {
        /// Hours from `from_ms` until before `to_ms`.
        case hours(from_ms: Int64, to_ms: Int64)
        /// All hours that objects had and have now.
        case objects([String])
        /// All hours of objects with segments of a mapping.
        case mapping(String)

        var name: String {
            switch self {
            case .hours(let from, let to): "rebuild \(from) \(to)"
            case .objects(let keys): "rebuild objects \(keys.sorted().joined(separator: " "))"
            case .mapping(let name): "rebuild mapping \(name)"
            }
        }
    }

    /// What a rebuild did.
    package struct Report: Sendable {
        package var hours = 0
        /// Hours that were left as they were, with the reason.
        package var closed: [(hour_ms: Int64, reason: String)] = []
    }

    let loader: Loader

    package init(_ loader: Loader) { self.loader = loader }

    /// Rebuilds; an interrupted rebuild of the same scope goes on where it stopped.
    package func run(_ scope: Scope) async throws -> Report {
        var report = Report()
        let (hours, extra) = try await plan(scope)
        let name = scope.name
        let done = try await loader.side.run { connection in
            try connection.query(
                "SELECT value FROM nadi_store.loader_state WHERE name = $1", [.text(name)]
            ).first.flatMap { Int64($0.text(0)) }
        }
        for hour in hours where hour > done ?? .min {
            do {
                try await rebuild(hour, extra: extra[hour] ?? [])
                report.hours += 1
            } catch let error as LoadError where error.code == .closedHour {
                report.closed.append((hour, error.description))
            } catch let error as ObjectError {
                report.closed.append((hour, error.description))
            }
            loader.progress("\(report.hours) of \(hours.count) hours")
            try await loader.side.run { connection in
                _ = try connection.query(
                    """
                    INSERT INTO nadi_store.loader_state (name, at, value) VALUES ($1, now(), $2)
                    ON CONFLICT (name) DO UPDATE SET at = now(), value = EXCLUDED.value
                    """, [.text(name), .text(String(hour))])
            }
        }
        try await loader.side.run { connection in
            _ = try connection.query("DELETE FROM nadi_store.loader_state WHERE name = $1", [.text(name)])
        }
        return report
    }

    /// The hours to swap, ascending, and segments that have lines of an hour now and had none.
    private func plan(_ scope: Scope) async throws -> ([Int64], [Int64: Set<HourSources.Segment>]) {
        let objects: [Int64]
        switch scope {
        case .hours(let from, let to):
            let hours = try await loader.side.run { connection in
                try connection.query(
                    """
                    SELECT DISTINCT hour FROM (
                        SELECT hour FROM nadi_store.segment_hour UNION SELECT hour FROM nadi_store.request_hour
                        UNION SELECT hour FROM nadi_store.resource_hour) AS h
                    WHERE hour >= $1 AND hour < $2 ORDER BY hour
                    """, [.time(LoadClock.hour(from)), .time(to)]
                ).rows.map { $0.time(0) }
            }
            return (hours, [:])
        case .objects(let keys):
            objects = try await loader.side.run { connection in
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
        case .mapping(let name):
            guard loader.formats.contains(name) else {
                throw LoadError(.configuration, "the configuration has no mapping \(name)", remedy: "See `mappings`")
            }
            objects = try await loader.side.run { connection in
                try connection.query(
                    """
                    SELECT DISTINCT s.object_id FROM nadi_store.segment AS s JOIN nadi_store.writer AS w USING (writer_id)
                    WHERE w.format = $1 AND s.state = 'loaded' ORDER BY 1
                    """, [.text(name)]
                ).rows.map { $0.integer(0) }
            }
        }
        return try await hours(of: objects)
    }

    private func hours(of objects: [Int64]) async throws -> ([Int64], [Int64: Set<HourSources.Segment>]) {
        let (segments, old) = try await loader.side.run { connection in
            (
                try HourSources.segments(objects: objects, connection),
                try connection.query(
                    """
                    SELECT DISTINCT h.hour FROM nadi_store.segment_hour AS h JOIN nadi_store.segment AS s
                    USING (segment_id) WHERE s.object_id = ANY ($1::bigint[])
                    """, [.integers(objects)]
                ).rows.map { $0.time(0) }
            )
        }
        var hours = Set(old)
        var extra: [Int64: Set<HourSources.Segment>] = [:]
        try await HourSources.read(segments, store: loader.store) { reader, _, places, segments in
            let part = try loader.aggregate(reader, places, [])
            for (result, segment) in zip(part.segments, segments) {
                for key in result.hours.keys {
                    hours.insert(key.hour_s * 1000)
                    extra[key.hour_s * 1000, default: []].insert(segment)
                }
            }
        }
        return (hours.sorted(), extra)
    }

    private func rebuild(_ hour: Int64, extra: Set<HourSources.Segment>) async throws {
        for _ in 0..<20 {
            let had = try await loader.side.run { try HourSources.segments(hour_ms: hour, $0) }
            let segments = Set(had).union(extra).sorted { $0.id < $1.id }
            var aggregates = Aggregates()
            var order: [HourSources.Segment] = []
            try await HourSources.read(segments, store: loader.store) { reader, _, places, segments in
                aggregates.merge(try loader.aggregate(reader, places, [hour / 1000]))
                order += segments
            }
            let swap = HourSwap(
                hour_ms: hour, expected: had.map(\.id), aggregates: aggregates, segments: order.map(\.id),
                retention: loader.retention, caps: loader.settings.caps)
            do {
                if try await swapWithRetries(swap) { return }
            } catch let error as LoadError where error.code == .overtaken {
                continue
            }
        }
        throw LoadError(.closedHour, "hour \(LoadClock.hourText(hour)) changes faster than it can be rebuilt")
    }

    private func swapWithRetries(_ swap: HourSwap) async throws -> Bool {
        var failures = 0
        while true {
            do {
                return try await loader.database.run { try swap.run($0) }
            } catch let error as DatabaseError where error.isRetryable {
                failures += 1
                if failures > 12 { throw error }
                try await Task.sleep(for: .seconds(Double.random(in: 0.01...min(10, 0.05 * Double(1 << failures)))))
            }
        }
    }
}
