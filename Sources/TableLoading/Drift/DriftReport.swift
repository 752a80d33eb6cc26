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
        /// How long the range is where one of its ends is nil, in milliseconds; nil: a day before an end, from a begin until
        /// the last whole hour before which every event is counted.
        package var last_ms: Int64?
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
        /// The first hour (or UTC day, where hours have too few values) of the present run of `drifted` against the
        /// reference; nil against another baseline, which goes along.
        package fileprivate(set) var since_ms: Int64?

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
    package private(set) var rows: [Row]
    /// Why it could not be told since when, where that failed.
    package private(set) var sinceFailure: String?

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
    /// Without a range: the day up to the last whole hour before which every event is counted.
    /// - Throws: ``DatabaseError``; ``LoadError`` of code `configuration` for a model, feature, version, variant, environment
    ///   or slice that never came, and a range that has not begun.
    package init(_ question: Question, _ connection: Connection, now_ms: Int64) throws {
        self.question = question
        let complete = try connection.query("SELECT complete_until FROM nadi.complete_until").first?.optionalTime(0)
        completeUntil_ms = complete
        let known = try ReferenceListing.model(question.model, connection)
        try DriftNames(model: known, connection).require(question)

        let end = LoadClock.hour(min(now_ms, complete ?? now_ms))
        let length = question.last_ms ?? LoadClock.day_ms
        let to = question.to_ms ?? question.from_ms.map { from in question.last_ms.map { from + $0 } ?? end } ?? end
        let from = question.from_ms ?? to - length
        guard from < to else {
            throw LoadError(
                .configuration,
                "from \(LoadClock.secondText(from)) to \(LoadClock.secondText(to)) UTC, the last hour of which every event is counted, "
                    + "there is nothing", remedy: "Say an earlier --from, or --to")
        }
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
                reason: row.text(6), moved: row.text(7), since_ms: nil)
        }
        .sorted { Self.rank($0) < Self.rank($1) }
        guard question.baseline == "reference", !drifted.isEmpty else { return }
        do {
            let since = try DriftSince(question, features: drifted.map(\.feature), range: from..<to, connection)
            for place in rows.indices where rows[place].state == "drifted" {
                rows[place].since_ms = try since.hour(role: rows[place].role, feature: rows[place].feature)
            }
        } catch {
            // What drifted is known; since when takes longer to ask, and is worth less.
            sinceFailure = "\(error)"
        }
    }

    private static func rank(_ row: Row) -> (Int, Double, String) {
        (severity.firstIndex(of: row.state) ?? severity.count, -(row.measures["psi"] ?? 0), row.name)
    }

    /// The arguments `versions`, `variants`, `environments`, `slice_key`, `slice_values` and `features`.
    static func filters(_ question: Question) -> [SQLValue] {
        func list(_ values: [String]) -> SQLValue { values.isEmpty ? .null : .texts(values) }
        return [
            list(question.versions), list(question.variants), list(question.environments),
            .text(question.slice?.key ?? "all"), list(question.slice?.values ?? []), list(question.features),
        ]
    }
}
