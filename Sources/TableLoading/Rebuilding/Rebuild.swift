internal import DurableIO
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
        /// All hours of objects with segments of a mapping, and of other mappings that changed and share hours with it.
        case mapping(String)

        var text: String {
            switch self {
            case .hours(let from, let to): "hours \(from) \(to)"
            case .objects(let keys): "objects \(keys.sorted().joined(separator: " "))"
            case .mapping(let name): "mapping \(name)"
            }
        }
    }

    /// What a rebuild did.
    package struct Report: Sendable {
        package var hours = 0
        /// Hours that were left as they were, with the reason.
        package var closed: [(hour_ms: Int64, reason: String)] = []
        /// The hour that an interrupted rebuild had finished last.
        package var resumedAfter_ms: Int64?
        /// Hours whose stored drift was computed anew.
        package var driftHours = 0
        /// Hours whose drift could not be computed, with the reason; the next load tries again.
        package var driftFailures: [(hour: String, reason: String)] = []
    }

    let loader: Loader
    /// What is in force now: what hours are binned on.
    private let references: ReferenceSource
    private let notice: @Sendable (String) -> Void

    /// - Parameter notice: takes sentences for a person.
    package init(_ loader: Loader, notice: @escaping @Sendable (String) -> Void = { _ in }) {
        self.loader = loader
        references = ReferenceSource(loader.side, .inForce)
        self.notice = notice
    }

    /// Rebuilds; an interrupted rebuild of the same scope, mappings, slices, caps and references
    /// goes on where it stopped.
    ///
    /// - Parameter restart: begins anew all the same.
    /// - Throws: ``LoadError`` with ``LoadError/Code/configuration``, before anything is changed, where a mapping is
    ///   missing, where it changed and the scope would leave lines behind, or where it changed and yields outcomes.
    package func run(_ scope: Scope, restart: Bool = false) async throws -> Report {
        var report = Report()
        let plan = try await RebuildPlan(scope, loader)
        try await references.read()
        let name = stateName(scope)
        let done = restart ? nil : try await finishedHour(name)
        if let done {
            report.resumedAfter_ms = done
            notice("going on after hour \(LoadClock.hourText(done)) UTC; --restart begins anew")
        }
        for hour in plan.hours where hour > done ?? .min {
            do {
                try await rebuild(hour, extra: plan.extra[hour] ?? [])
                report.hours += 1
            } catch let error as LoadError where error.code == .closedHour || error.code == .altered {
                report.closed.append((hour, error.description))
            } catch let error as ObjectError {
                report.closed.append((hour, error.description))
            }
            loader.progress("\(report.hours) of \(plan.hours.count) hours")
            try await loader.side.runWithRetries { connection in
                _ = try connection.query(
                    """
                    INSERT INTO nadi_store.loader_state (name, at, value) VALUES ($1, now(), $2)
                    ON CONFLICT (name) DO UPDATE SET at = now(), value = EXCLUDED.value
                    """, [.text(name), .text(String(hour))])
            }
        }
        let drift = try await DriftRefresh(loader).run()
        report.driftHours = drift.hours
        report.driftFailures = drift.failed
        for one in drift.failed { notice("\(one.hour): \(one.reason)") }
        try await plan.recordMappings(loader)
        try await loader.side.runWithRetries { connection in
            _ = try connection.query("DELETE FROM nadi_store.loader_state WHERE name = $1", [.text(name)])
        }
        return report
    }

    private func finishedHour(_ name: String) async throws -> Int64? {
        try await loader.side.runWithRetries { connection in
            try connection.query(
                "SELECT value FROM nadi_store.loader_state WHERE name = $1", [.text(name)]
            ).first.flatMap { Int64($0.text(0)) }
        }
    }

    /// What the remembered hour stands under: a hash of all that decides what is derived.
    private func stateName(_ scope: Scope) -> String {
        let caps = loader.settings.caps
        var parts = [scope.text]
        parts += loader.mappingHashes.sorted { $0.key < $1.key }.map { "mapping \($0.key) \($0.value)" }
        parts += loader.settings.sliceTags.map { "slice \($0)" }
        parts.append(references.text)
        parts.append(
            "caps \(caps.models) \(caps.seriesPerModel) \(caps.featuresPerModel) \(caps.categoriesPerFeature) "
                + "\(caps.sliceValues)")
        return "rebuild " + hex(SHA256.hash(Array(parts.joined(separator: "\n").utf8)))
    }

    private func rebuild(_ hour: Int64, extra: Set<HourSources.Segment>) async throws {
        for _ in 0..<20 {
            let had = try await loader.side.runWithRetries { connection in
                try HourSources.requireOpen(hour_ms: hour, connection)
                return try HourSources.segments(hour_ms: hour, connection)
            }
            let all = Dictionary((had + extra).map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
            let segments = all.values.sorted { $0.id < $1.id }
            let aggregate = Aggregation.make(
                settings: loader.settings, pool: loader.aggregators,
                references: try await references.references(hour_ms: hour))
            var aggregates = Aggregates()
            var order: [HourSources.Segment] = []
            try await HourSources.read(segments, store: loader.store, formats: loader.formats) {
                reader, _, places, segments in
                aggregates.merge(try aggregate(reader, places, [hour / 1000]))
                order += segments
            }
            let swap = HourSwap(
                hour_ms: hour, expected: had.map(\.id), aggregates: aggregates, segments: order.map(\.id),
                retention: loader.retention, caps: loader.settings.caps)
            do {
                if try await loader.database.runWithRetries({ try swap.run($0) }) { return }
            } catch let error as LoadError where error.code == .overtaken {
                try await references.read()
                continue
            }
        }
        throw LoadError(.closedHour, "hour \(LoadClock.hourText(hour)) changes faster than it can be rebuilt")
    }
}
