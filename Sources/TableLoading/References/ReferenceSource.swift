internal import RecordBatches
internal import Sketches
internal import Synchronization
internal import TableStorage

/// The references that a run aggregates with: which edge set each model's hours are on, and the edges of those sets that
/// were needed so far.
///
/// Timelines are small and read whole. Edges are read once there is something to load: those of the last two days before
/// it, others when an hour on them is met, for an archive of years has had many references.
final class ReferenceSource: Sendable {
    /// What hours are binned on.
    enum Rule: Sendable {
        /// What each was fixed on, and the rest what is in force: adding to hours.
        case fixed
        /// What is in force now, whatever they were on: replacing hours.
        case inForce
    }

    private struct State {
        var references = References.none
        /// The timelines as text: what makes a new reading another one.
        var text = ""
        var models: [(name: String, timeline: EdgeTimeline)] = []
        /// The sets that events of now are likely to be on.
        var recent: Set<Int32> = []
    }

    private let database: DatabaseThread
    private let rule: Rule
    private let state = Mutex(State())

    init(_ database: DatabaseThread, _ rule: Rule) {
        self.database = database
        self.rule = rule
    }

    /// What was read last.
    var current: References { state.withLock { $0.references } }

    /// The timelines that were read last, as text.
    var text: String { state.withLock { $0.text } }

    /// Reads activations and exceptions; the references stay the same object where nothing has changed.
    ///
    /// - Parameter thorough: also looks at hours of models that never had a reference in force, which have none on edges
    ///   unless somebody took an activation away.
    func read(thorough: Bool = false) async throws {
        let rule = rule
        let (models, text, now_ms) = try await database.runWithRetries { connection in
            let (models, text) = try Self.timelines(rule, thorough, connection)
            return (models, text, models.isEmpty ? 0 : try LoadClock.now_ms(connection))
        }
        let recent = models.reduce(into: Set<Int32>()) {
            $0.formUnion($1.timeline.edgeSets(from_s: now_ms / 1000 - 2 * Period.day_s))
        }
        state.withLock { state in
            state.recent = recent
            guard state.text != text else { return }
            state.text = text
            state.models = models
            state.references = References(timelines: models, edgeSetsOf: state.references)
        }
    }

    /// Reads the edges that what is loaded now is likely to need, unless they are here.
    func needRecent() async throws { try await need(state.withLock { $0.recent }) }

    /// Reads the edges of sets that are not here yet.
    func need(_ edgeSets: Set<Int32>) async throws {
        let references = current
        let missing = edgeSets.filter { references.edges($0) == nil }.sorted()
        if missing.isEmpty { return }
        let read = try await database.runWithRetries { try Self.edgeSets(missing, $0) }
        state.withLock { $0.references = References($0.references, adding: read) }
    }

    /// The references with the edges that an hour's models are on.
    func references(hour_ms: Int64) async throws -> References {
        let models = state.withLock { $0.models }
        try await need(Set(models.map { $0.timeline.edgeSet(hour_ms / 1000) }).subtracting([EdgeCounts.none]))
        return current
    }

    // MARK: Statements

    private static func timelines(
        _ rule: Rule, _ thorough: Bool, _ connection: Connection
    ) throws -> (models: [(name: String, timeline: EdgeTimeline)], text: String) {
        var activations: [ExactText: [(from_s: Int64, edgeSet: Int32)]] = [:]
        var exceptions: [ExactText: [EdgeTimeline.Span]] = [:]
        var text = ""
        let activated = try connection.query(
            """
            SELECT m.model_name, ceil(extract(epoch FROM a.effective_from))::bigint, coalesce(a.reference_id, 0)
            FROM nadi_store.reference_activation AS a JOIN nadi_store.model AS m USING (model_id) ORDER BY 1, 2
            """)
        for row in activated.rows {
            activations[ExactText(row.text(0)), default: []].append((row.integer(1), Int32(row.integer(2))))
            text += "reference \(row.integer(2)) from \(row.integer(1)) of \(row.text(0))\n"
        }
        if rule == .fixed, thorough || !activations.isEmpty {
            for row in try connection.query(fixedOtherwise(thorough)).rows {
                let span = EdgeTimeline.Span(
                    from_s: row.integer(1), until_s: row.integer(2), edgeSet: Int32(row.integer(3)))
                exceptions[ExactText(row.text(0)), default: []].append(span)
                text += "fixed \(span.edgeSet) from \(span.from_s) until \(span.until_s) of \(row.text(0))\n"
            }
        }
        let names = Set(activations.keys).union(exceptions.keys).sorted()
        let models = names.map {
            (
                name: $0.text,
                timeline: EdgeTimeline(activations: activations[$0] ?? [], exceptions: exceptions[$0] ?? [])
            )
        }
        return (models, text)
    }

    /// Hours that were fixed on another edge set than the one in force, as runs of neighbours.
    private static func fixedOtherwise(_ thorough: Bool) -> String {
        let others = """
            UNION ALL SELECT m.model_id, '-infinity', 'infinity', 0 FROM nadi_store.model AS m
            WHERE NOT EXISTS (SELECT FROM nadi_store.reference_activation AS a WHERE a.model_id = m.model_id)
            """
        return """
            WITH span AS (
                SELECT model_id, effective_from AS begins, coalesce(reference_id, 0) AS edge_set_id,
                       coalesce(lead(effective_from) OVER (PARTITION BY model_id ORDER BY effective_from), 'infinity') AS ends
                FROM nadi_store.reference_activation
            ), spans (model_id, begins, ends, edge_set_id) AS (
                SELECT model_id, begins, ends, edge_set_id FROM span
                UNION ALL SELECT model_id, '-infinity', min(begins), 0 FROM span GROUP BY model_id
                \(thorough ? others : "")
            ), others AS (
                SELECT h.model_id, h.hour, h.edge_set_id, extract(epoch FROM h.hour)::bigint / 3600
                       - row_number() OVER (PARTITION BY h.model_id, h.edge_set_id ORDER BY h.hour) AS run
                FROM spans AS s JOIN nadi_store.hour_edge_set AS h
                    ON h.model_id = s.model_id AND h.hour >= s.begins AND h.hour < s.ends
                    AND h.edge_set_id <> s.edge_set_id
            )
            SELECT m.model_name, extract(epoch FROM min(o.hour))::bigint, extract(epoch FROM max(o.hour))::bigint + 3600,
                   o.edge_set_id
            FROM others AS o JOIN nadi_store.model AS m USING (model_id)
            GROUP BY m.model_name, o.edge_set_id, o.run ORDER BY 1, 2
            """
    }

    private static func edgeSets(_ ids: [Int32], _ connection: Connection) throws -> [EdgeSet] {
        var features: [Int32: [(name: String, bins: EdgeBins)]] = [:]
        var predictions: [Int32: EdgeBins] = [:]
        let rows = try connection.query(
            """
            SELECT r.reference_id, f.role, f.feature_name, r.edges
            FROM nadi_store.reference_feature AS r JOIN nadi_store.feature AS f USING (feature_id)
            WHERE r.reference_id = ANY ($1::int[]) AND \(HourEdgeSets.hasEdges("r")) ORDER BY 1, 2, 3
            """, [.integers(ids.map(Int64.init))]
        ).rows
        for row in rows {
            let edges = row.reals(3)
            // Somebody has changed a reference by hand: audit names its rows, and loading goes on.
            guard EdgeBins.areAscending(edges) else { continue }
            let id = Int32(row.integer(0))
            if row.text(1) == FeatureKey.Role.prediction.rawValue {
                predictions[id] = EdgeBins(edges: edges)
            } else {
                features[id, default: []].append((row.text(2), EdgeBins(edges: edges)))
            }
        }
        return ids.map { EdgeSet(id: $0, features: features[$0] ?? [], prediction: predictions[$0]) }
    }
}
