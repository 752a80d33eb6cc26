internal import TableStorage

/// Since when features are drifted against the reference.
///
/// Days tell the run: a day has the values that a night's hour lacks, and its own verdict over the reference's spread of days.
/// Hours tell only when it began: on the run's first day, or before it where the evening was drifted without a break. Where
/// no day is drifted as a whole yet, the present run of hours tells, or the first one of the range.
struct DriftSince {
    /// A day or an hour with a verdict.
    private struct Bucket {
        let begin_ms: Int64
        let isDrifted: Bool
    }

    /// How far days and hours are looked at.
    private static let reach_days: Int64 = 400
    private static let reach_hours: Int64 = 30 * 24

    private var question: DriftReport.Question
    private let from_ms: Int64
    private let to_ms: Int64
    private let connection: Connection
    private var days: [String: [Bucket]] = [:]

    /// Asks for the days.
    ///
    /// - Parameters:
    ///   - features: those that are asked for, whatever their roles.
    ///   - range: in which they are drifted, milliseconds since the epoch.
    /// - Throws: ``DatabaseError``.
    init(
        _ question: DriftReport.Question, features: [String], range: Range<Int64>, _ connection: Connection
    ) throws {
        self.question = question
        self.question.features = features
        (from_ms, to_ms) = (range.lowerBound, range.upperBound)
        self.connection = connection
        days = try buckets(from_ms: to_ms - Self.reach_days * LoadClock.day_ms, to_ms: to_ms, width: "1 day")
        for name in days.keys {
            // The calm hours that today has so far do not end a run.
            guard let last = days[name]?.last, !last.isDrifted, last.begin_ms + LoadClock.day_ms > to_ms else {
                continue
            }
            days[name]?.removeLast()
        }
    }

    /// The begin of a feature's present run of `drifted`; nil where no bucket shows it.
    /// - Throws: ``DatabaseError``.
    func hour(role: String, feature: String) throws -> Int64? {
        let name = Self.name(role, feature)
        guard let day = Self.begin(days[name] ?? []) else {
            let from = to_ms - Self.reach_hours * LoadClock.hour_ms
            let hours = try hours(from_ms: from, to_ms: to_ms, feature)[name] ?? []
            return Self.begin(hours) ?? hours.first { $0.begin_ms >= from_ms && $0.isDrifted }?.begin_ms
        }
        let end = min(to_ms, day + LoadClock.day_ms)
        let hours = try hours(from_ms: day - LoadClock.day_ms, to_ms: end, feature)[name] ?? []
        guard var first = Self.change(hours, from_ms: day) else { return day }
        while first > 0, hours[first - 1].isDrifted { first -= 1 }
        return hours[first].begin_ms
    }

    private static func name(_ role: String, _ feature: String) -> String { "\(role) \(feature)" }

    /// The begin of the run that the last bucket ends.
    private static func begin(_ buckets: [Bucket]) -> Int64? {
        buckets.reversed().prefix { $0.isDrifted }.last?.begin_ms
    }

    /// The place of the drifted bucket before which most are calm and from which on most are drifted.
    private static func change(_ buckets: [Bucket], from_ms: Int64) -> Int? {
        var best: (place: Int, count: Int)?
        var calm = 0
        var drifted = buckets.count { $0.begin_ms >= from_ms && $0.isDrifted }
        for (place, bucket) in buckets.enumerated() where bucket.begin_ms >= from_ms {
            guard bucket.isDrifted else {
                calm += 1
                continue
            }
            if calm + drifted > best?.count ?? 0 { best = (place, calm + drifted) }
            drifted -= 1
        }
        return best?.place
    }

    private func hours(from_ms: Int64, to_ms: Int64, _ feature: String) throws -> [String: [Bucket]] {
        var one = self
        one.question.features = [feature]
        return try one.buckets(from_ms: from_ms, to_ms: to_ms, width: "1 hour")
    }

    /// The judged buckets of each role and feature, ascending.
    private func buckets(from_ms: Int64, to_ms: Int64, width: String) throws -> [String: [Bucket]] {
        let rows = try connection.query(
            """
            SELECT feature_role, feature_name, bucket_start, drift_state = 'drifted'
            FROM nadi.drift_over_time($1, $2, $3, $10::interval, versions => $4, variants => $5, environments => $6,
                                      slice_key => $7, slice_values => $8, features => $9)
            WHERE drift_state IN ('drifted', 'shifted', 'stable') ORDER BY bucket_start
            """,
            [.text(question.model), .time(from_ms), .time(to_ms)] + DriftReport.filters(question) + [.text(width)]
        ).rows
        var found: [String: [Bucket]] = [:]
        for row in rows {
            found[Self.name(row.text(0), row.text(1)), default: []].append(
                Bucket(begin_ms: row.time(2), isDrifted: row.boolean(3)))
        }
        return found
    }
}
