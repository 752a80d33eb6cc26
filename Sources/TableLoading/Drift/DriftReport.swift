internal import EventModel
package import TableStorage

/// What of a model moved: one row a feature, prediction and score, worst first.
package struct DriftReport: Sendable {
    /// What is asked.
    package struct Question: Sendable {
        package var model: String
        /// The range, milliseconds since the epoch; whole hours that overlap it count.
        ///
        /// nil: see ``init(_:_:now_ms:)``.
        package var from_ms: Int64?
        package var to_ms: Int64?
        /// How long the range is where `from_ms` is nil, in milliseconds.
        package var last_ms: Int64 = 86_400_000
        /// `reference`, `previous` or `last_week`.
        package var baseline = "reference"
        /// Empty lists take all.
        package var features: [String] = []
        package var versions: [String] = []
        package var variants: [String] = []
        package var environments: [String] = []
        /// A tag and its values; nil: the whole.
        package var slice: (key: String, values: [String])?

        package init(model: String) { self.model = model }
    }

    /// A feature, the prediction or the score.
    package struct Row: Sendable {
        package let role: String
        package let feature: String
        package let kind: String
        package let baselineCount: Int64
        package let currentCount: Int64
        /// Shares and distances, by the name that `nadi.drift` gives them; without those that are null.
        package let measures: [String: Double]
        package let state: String
        package let reason: String
        package let moved: String
        /// The first hour (or UTC day, where hours have too few values) of the present run of `drifted`.
        package let since_ms: Int64?

        /// `petal_length`, `(prediction)`, `(score)`.
        package var name: String { role == "feature" ? feature : "(\(feature))" }
    }

    package let question: Question
    package let from_ms: Int64
    package let to_ms: Int64
    /// Every event before this is counted; nil while no host reports.
    package let completeUntil_ms: Int64?
    /// The reference in force at the end: name, rows, since when; nil without one or with another baseline.
    package let reference: (name: String, rows: Int64, effectiveFrom_ms: Int64)?
    package let rows: [Row]

    /// Those that are drifted.
    package var drifted: [Row] { rows.filter { $0.state == "drifted" } }

    /// The columns of `nadi.drift` that are numbers, in their order.
    static let measures = [
        "psi", "psi_noise", "psi_spread", "ks", "ks_p_value", "jensen_shannon", "wasserstein", "l_infinity",
        "chi_square",
        "baseline_missing_rate", "current_missing_rate", "unseen_rate", "out_of_range_rate",
    ]

    /// How bad a state is, worst first.
    static let severity = ["drifted", "shifted", "too_coarse", "stable", "too_few", "no_reference"]

    /// Asks the database.
    ///
    /// Without a range: the `last_ms` up to the last whole hour before which every event is counted.
    /// - Throws: ``DatabaseError``; ``LoadError`` of code `configuration` for a model that is unknown or has no hour yet.
    package init(_ question: Question, _ connection: Connection, now_ms: Int64) throws {
        self.question = question
        let complete = try connection.query("SELECT complete_until FROM nadi.complete_until").first?.optionalTime(0)
        completeUntil_ms = complete
        guard
            let known = try connection.query(
                "SELECT model_id FROM nadi.model WHERE model_name = $1", [.text(question.model)]
            ).first?.integer(0)
        else { throw try Self.unknown(question.model, connection) }

        let end = LoadClock.hour(min(now_ms, complete ?? now_ms))
        let to = question.to_ms ?? question.from_ms.map { $0 + question.last_ms } ?? end
        let from = question.from_ms ?? to - question.last_ms
        (from_ms, to_ms) = (from, to)

        reference =
            question.baseline != "reference"
            ? nil
            : try connection.query(
                """
                SELECT r.reference_name, r.row_count, a.effective_from
                FROM (SELECT * FROM nadi_store.reference_activation
                      WHERE model_id = $1 AND effective_from < $2 ORDER BY effective_from DESC LIMIT 1) a
                JOIN nadi_store.reference r USING (reference_id)
                """, [.integer(known), .time(to)]
            ).first.map { ($0.text(0), $0.integer(1), $0.time(2)) }

        let since = try Self.since(question, to_ms: to, connection)
        rows = try connection.query(
            """
            SELECT feature_role, feature_name, value_kind, baseline_count, current_count, drift_state, reason, moved_bins,
                   \(Self.measures.joined(separator: ", "))
            FROM nadi.drift($1, $2, $3, baseline => $4, versions => $5, variants => $6, environments => $7,
                            slice_key => $8, slice_values => $9, features => $10)
            """, [.text(question.model), .time(from), .time(to), .text(question.baseline)] + Self.filters(question)
        ).rows.map { row in
            let numbers = Self.measures.enumerated().compactMap { place, name in
                row.optionalReal(8 + place).map { (name, $0) }
            }
            let state = row.text(5)
            return Row(
                role: row.text(0), feature: row.text(1), kind: row.text(2), baselineCount: row.integer(3),
                currentCount: row.integer(4), measures: Dictionary(uniqueKeysWithValues: numbers), state: state,
                reason: row.text(6), moved: row.text(7),
                since_ms: state == "drifted" ? since["\(row.text(0)) \(row.text(1))"] : nil)
        }
        .sorted { Self.rank($0) < Self.rank($1) }
    }

    private static func rank(_ row: Row) -> (Int, Double, String) {
        (severity.firstIndex(of: row.state) ?? severity.count, -(row.measures["psi"] ?? 0), row.name)
    }

    private static func filters(_ question: Question) -> [SQLValue] {
        func list(_ values: [String]) -> SQLValue { values.isEmpty ? .null : .texts(values) }
        return [
            list(question.versions), list(question.variants), list(question.environments),
            .text(question.slice?.key ?? "all"), list(question.slice?.values ?? []), list(question.features),
        ]
    }

    /// The first bucket of each feature's present run of `drifted`: by hour of the last 30 days, where hours are judged;
    /// else by day of the last 400.
    private static func since(_ question: Question, to_ms: Int64, _ connection: Connection) throws -> [String: Int64] {
        var found: [String: Int64] = [:]
        for (width, reach) in [("1 day", Int64(400)), ("1 hour", 30)] {
            let rows = try connection.query(
                """
                SELECT feature_role || ' ' || feature_name,
                       min(bucket_start) FILTER (WHERE drift_state = 'drifted' AND bucket_start > coalesce(calm, '-infinity'))
                FROM (SELECT d.*, max(d.bucket_start) FILTER (WHERE d.drift_state <> 'drifted')
                                      OVER (PARTITION BY d.feature_role, d.feature_name) AS calm
                      FROM nadi.drift_over_time($1, $2, $3, $11::interval, baseline => $4, versions => $5, variants => $6,
                          environments => $7, slice_key => $8, slice_values => $9, features => $10) d
                      WHERE d.drift_state IN ('drifted', 'shifted', 'stable')) judged
                GROUP BY 1
                """,
                [.text(question.model), .time(to_ms - reach * 86_400_000), .time(to_ms), .text(question.baseline)]
                    + filters(question) + [.text(width)]
            ).rows
            for row in rows { found[row.text(0)] = row.optionalTime(1) ?? found[row.text(0)] }
        }
        return found
    }

    private static func unknown(_ model: String, _ connection: Connection) throws -> LoadError {
        let models = try connection.query("SELECT model_name FROM nadi.model ORDER BY 1 LIMIT 20").rows.map {
            $0.text(0)
        }
        return LoadError(
            .configuration, "no event of a model '\(model)' was counted",
            remedy: models.isEmpty
                ? "Load events first: nadi load" : "Models that were: \(models.joined(separator: ", "))")
    }
}
