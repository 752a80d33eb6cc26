internal import RecordBatches
internal import TableStorage

/// The names that a question about drift may use: a name that never came would be answered by silence.
struct DriftNames {
    private let features: [String]
    private let versions: [String]
    private let variants: [String]
    private let environments: [String]
    private let slices: [(key: String, value: String)]

    /// - Throws: ``DatabaseError``.
    init(model: Int64, _ connection: Connection) throws {
        features = try connection.query(
            "SELECT feature_name FROM nadi_store.feature WHERE model_id = $1 AND role = 'feature' ORDER BY 1",
            [.integer(model)]
        ).rows.map { $0.text(0) }
        func column(_ name: String) throws -> [String] {
            try connection.query(
                "SELECT DISTINCT \(name) FROM nadi_store.series WHERE model_id = $1 ORDER BY 1", [.integer(model)]
            ).rows.map { $0.text(0) }
        }
        versions = try column("model_version")
        variants = try column("model_variant")
        environments = try column("environment")
        slices = try connection.query(
            """
            SELECT DISTINCT slice_key, slice_value FROM nadi_store.series WHERE model_id = $1 AND slice_key <> 'all'
            ORDER BY 1, 2
            """, [.integer(model)]
        ).rows.map { ($0.text(0), $0.text(1)) }
    }

    /// - Throws: ``LoadError`` with ``LoadError/Code/configuration`` for the first name that is none.
    func require(_ question: DriftReport.Question) throws(LoadError) {
        try require(question.features, features + ["prediction", "score"], "feature", question)
        try require(question.versions, versions, "version", question)
        try require(question.variants, variants, "variant", question)
        try require(question.environments, environments, "environment", question)
        guard let slice = question.slice else { return }
        var keys: [String] = []
        for one in slices where keys.last != one.key { keys.append(one.key) }
        try require([slice.key], keys, "tag", question)
        let values = slices.filter { ExactText($0.key) == ExactText(slice.key) }.map(\.value)
        try require(slice.values, values, "value of the tag \(slice.key)", question)
    }

    private func require(
        _ asked: [String], _ known: [String], _ what: String, _ question: DriftReport.Question
    ) throws(LoadError) {
        let all = Set(known.map(ExactText.init))
        guard let first = asked.first(where: { !all.contains(ExactText($0)) }) else { return }
        let listed = known.prefix(40).joined(separator: ", ") + (known.count > 40 ? ", ..." : "")
        throw LoadError(
            .configuration, "no \(what) '\(first)' of \(question.model) was ever counted",
            remedy: known.isEmpty ? "There is none; leave it out" : "There are: \(listed)")
    }
}
