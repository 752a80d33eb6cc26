import EventModel
import EventSegments
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Lines of outcomes of any kind, and what the tables say of them.
enum OutcomeEvents {
    /// A UUIDv7 of a time.
    static func id(_ time_ms: Int64, _ number: Int = 0) -> String {
        let digits = String(UInt64(time_ms), radix: 16)
        let head = String(repeating: "0", count: 12 - digits.count) + digits
        let tail = String(number, radix: 16)
        return "\(head.prefix(8))-\(head.suffix(4))-7abc-8abc-" + String(repeating: "0", count: 12 - tail.count) + tail
    }

    /// An outcome or feedback; `what` are its fields, such as `"value":3,"value_currency":"EUR"`.
    static func line(
        _ time_ms: Int64, type: String = "outcome", name: String, prediction: String, _ what: String,
        predictionTime_ms: Int64? = nil, revision: Int = 0
    ) -> String {
        let time = predictionTime_ms.map { ",\"prediction_time\":\"\(Timestamp.format($0))\"" } ?? ""
        return """
            {"schema":1,"type":"\(type)","id":"\(type)-\(name)-\(prediction)-\(revision)",\
            "time":"\(Timestamp.format(time_ms))","service":"iris","model_name":"iris","prediction_id":"\(prediction)",\
            "name":"\(name)",\(what),"revision":\(revision)\(time)}
            """
    }
}

/// What became of outcomes, by the view.
struct Arrivals: Equatable, CustomStringConvertible {
    var lines: Int64 = 0
    var joined: Int64 = 0
    var waiting: Int64 = 0
    var unmatched: Int64 = 0
    var superseded: Int64 = 0
    var tooLate: Int64 = 0
    var agedOut: Int64 = 0

    var description: String {
        "\(lines) lines: \(joined) joined, \(waiting) waiting, \(unmatched) unmatched, \(superseded) superseded, "
            + "\(tooLate) too late, \(agedOut) aged out"
    }
}

extension Pipeline {
    func arrivals() throws -> Arrivals {
        let row = try database.connect().query(
            """
            SELECT coalesce(sum(line_count), 0)::bigint, coalesce(sum(joined_count), 0)::bigint,
                   coalesce(sum(waiting_count), 0)::bigint, coalesce(sum(unmatched_count), 0)::bigint,
                   coalesce(sum(superseded_count), 0)::bigint, coalesce(sum(too_late_count), 0)::bigint,
                   coalesce(sum(aged_out_count), 0)::bigint
            FROM nadi.outcome_arrival
            """)[0]
        return Arrivals(
            lines: row.integer(0), joined: row.integer(1), waiting: row.integer(2), unmatched: row.integer(3),
            superseded: row.integer(4), tooLate: row.integer(5), agedOut: row.integer(6))
    }

    /// Labels joined and correct ones among them.
    func quality() throws -> [Int64] {
        let row = try database.connect().query(
            """
            SELECT coalesce(sum(labelled), 0)::bigint, coalesce(sum(correct), 0)::bigint
            FROM nadi_store.outcome_hour JOIN nadi_store.series USING (series_id) WHERE slice_key = 'all'
            """)[0]
        return [row.integer(0), row.integer(1)]
    }

    /// Every equation of the audit balances, and the joined rows are as many as the view says.
    func expectOutcomesBalance(_ location: SourceLocation = #_sourceLocation) throws {
        let connection = try database.connect()
        let rows = try connection.query(
            "SELECT equation, left_count, right_count FROM nadi.audit_balance WHERE NOT is_balanced"
        ).rows.map { "\($0.text(0)): \($0.integer(1)) against \($0.integer(2))" }
        #expect(rows.isEmpty, "\(rows)", sourceLocation: location)
        let joined = try connection.query("SELECT count(*) FROM nadi_store.outcome_state WHERE is_joined")[0].integer(0)
        #expect(try arrivals().joined == joined, sourceLocation: location)
    }

    /// The same rows as those of an empty database that loads everything at once.
    func expectSameAsFresh(_ location: SourceLocation = #_sourceLocation) async throws {
        let fresh = try Pipeline(bucketOf: self)
        _ = try await fresh.load(joinNow: true, sweepNow: true)
        let left = try TableDump(fresh.database.connect())
        let differences = left.differences(try TableDump(database.connect()))
        #expect(left.exact.count > 20, sourceLocation: location)
        #expect(differences.isEmpty, "\(differences)", sourceLocation: location)
    }
}
