import TableStorage
import TestSupport

/// A database whose tables hold what a loader would have made of raw samples that the test still has.
struct Samples {
    let database: TestDatabase
    let connection: Connection
    /// The first hour, milliseconds since the epoch: midnight UTC, ten days ago, so that day rows answer too.
    let start: Int64

    static let hour: Int64 = 3_600_000

    init() throws {
        database = try TestDatabase()
        connection = try database.connect()
        try database.run(fixture: "bin_code.sql")
        try database.run(fixture: "fill_samples.sql")
        start = try connection.query("SELECT date_trunc('day', now(), 'UTC') - interval '10 days'").first?.time(0) ?? 0
    }

    /// Requests of one hour, each a successful prediction.
    func addRequests(_ model: String, hour: Int, latencies: [Double?], slice: (String, String) = ("all", "all")) throws
    {
        var rows = try connection.copy(
            into: "test.request", columns: ["model", "slice_key", "slice_value", "hour", "latency"])
        for latency in latencies {
            rows.append(model)
            rows.append(slice.0)
            rows.append(slice.1)
            rows.append(time: start + Int64(hour) * Self.hour)
            rows.append(latency)
            try rows.endRow()
        }
        try rows.finish()
    }

    /// Values of one feature in one hour: a number, a word, or neither for null.
    func addValues(
        _ model: String, _ feature: String, hour: Int, role: String = "feature", numbers: [Double?] = [],
        words: [String?] = []
    ) throws {
        var rows = try connection.copy(
            into: "test.value", columns: ["model", "role", "feature", "hour", "number", "word"])
        for (number, word) in numbers.map({ ($0, nil as String?) }) + words.map({ (nil as Double?, $0) }) {
            rows.append(model)
            rows.append(role)
            rows.append(feature)
            rows.append(time: start + Int64(hour) * Self.hour)
            rows.append(number)
            rows.append(word)
            try rows.endRow()
        }
        try rows.finish()
    }

    /// Scores of one hour.
    func addScores(_ model: String, hour: Int, _ scores: [Double]) throws {
        var rows = try connection.copy(into: "test.score", columns: ["model", "hour", "p"])
        for score in scores {
            rows.append(model)
            rows.append(time: start + Int64(hour) * Self.hour)
            rows.append(score)
            try rows.endRow()
        }
        try rows.finish()
    }

    /// Fills the tables; call it once, after all samples.
    func fill() throws { try connection.execute("SELECT test.fill()") }

    /// The time of an hour, as a parameter.
    func at(_ hour: Int) -> SQLValue { .time(start + Int64(hour) * Self.hour) }
}
