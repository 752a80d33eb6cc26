internal import TableStorage

/// Computes the stored drift of marked hours anew, after a run has changed them.
///
/// A transaction for some hours of one model at a time, so that a backfill of years is no transaction of years. An hour
/// that fails or takes too long keeps its mark for the next run and holds up no other.
struct DriftRefresh: Sendable {
    /// Most hours of a transaction.
    static let chunk = 96
    /// A statement that took too long takes as long again.
    private static let tooLong = "57014"

    let loader: Loader

    init(_ loader: Loader) { self.loader = loader }

    /// What a refresh did.
    struct Report: Sendable {
        var hours = 0
        /// Hours that could not be computed, with the reason.
        var failed: [(hour: String, reason: String)] = []
    }

    /// A mark as it was read.
    private struct Mark: Sendable {
        let model: Int64
        let modelName: String
        let hour_ms: Int64
        let marks: Int64
    }

    /// Goes through all marks once.
    /// - Throws: `DatabaseError` that concerns every hour.
    func run() async throws -> Report {
        var report = Report()
        var last: Mark?
        while let marks = try await marks(after: last), let end = marks.last {
            last = end
            do {
                try await refresh(marks)
                report.hours += marks.count
            } catch let error as DatabaseError where Self.isOfTheseHours(error) {
                for mark in marks {
                    do {
                        try await refresh([mark])
                        report.hours += 1
                    } catch let error as DatabaseError where Self.isOfTheseHours(error) {
                        report.failed.append(
                            ("drift of \(mark.modelName), hour \(LoadClock.hourText(mark.hour_ms))", "\(error)"))
                    }
                }
            }
            loader.progress("drift of \(report.hours) hours")
        }
        return report
    }

    /// Whether other hours, or fewer, may fare better.
    private static func isOfTheseHours(_ error: DatabaseError) -> Bool {
        !error.isRetryable || error.sqlState == tooLong
    }

    /// The next marks of one model; nil behind the last.
    private func marks(after last: Mark?) async throws -> [Mark]? {
        let marks = try await loader.side.runWithRetries { connection in
            try connection.query(
                """
                SELECT d.model_id, m.model_name, d.hour, d.marks
                FROM nadi_store.drift_mark AS d JOIN nadi_store.model AS m USING (model_id)
                WHERE $1::int IS NULL OR (d.model_id, d.hour) > ($1, $2::timestamptz)
                ORDER BY d.model_id, d.hour LIMIT $3
                """,
                [
                    .optional(last?.model), .optionalTime(last?.hour_ms), .integer(Int64(Self.chunk)),
                ]
            ).rows.map { Mark(model: $0.integer(0), modelName: $0.text(1), hour_ms: $0.time(2), marks: $0.integer(3)) }
        }
        guard let first = marks.first else { return nil }
        return marks.filter { $0.model == first.model }
    }

    /// Computes hours of one model and takes away their marks, unless they were marked again meanwhile.
    private func refresh(_ marks: [Mark]) async throws {
        guard let model = marks.first?.model else { return }
        try await loader.database.runWithRetries(except: [Self.tooLong]) { connection in
            try connection.transaction {
                try connection.query(
                    "SELECT nadi_store.refresh_drift($1::int, $2::timestamptz[])",
                    [.integer(model), .times(marks.map(\.hour_ms))])
                try connection.query(
                    """
                    WITH same AS (
                        SELECT d.model_id, d.hour FROM nadi_store.drift_mark AS d
                        JOIN unnest($2::timestamptz[], $3::bigint[]) AS u (hour, marks) USING (hour, marks)
                        WHERE d.model_id = $1 ORDER BY d.hour FOR UPDATE OF d
                    )
                    DELETE FROM nadi_store.drift_mark AS d USING same AS s
                    WHERE d.model_id = s.model_id AND d.hour = s.hour
                    """, [.integer(model), .times(marks.map(\.hour_ms)), .integers(marks.map(\.marks))])
                return ()
            }
        }
    }
}
