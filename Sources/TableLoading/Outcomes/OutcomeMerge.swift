internal import TableStorage

/// Merges the rows of `stage_outcome` into `nadi_store.outcome`: the newest of a prediction id and name wins, the others are
/// counted as superseded under their day of arrival.
///
/// A key is looked for within the day of its prediction. Two rows of one key in two days (one of them placed by a wrong hint)
/// meet when a join or a sweep moves the one to where its prediction is. Two that were both sent with a prediction_time, of two
/// days, of which one is wrong, do not compete until then either: the one whose hour has no such prediction waits unmatched.
///
/// The caller holds the outcome locks of all models of the stage, in a transaction whose temporary tables are
/// ``MergeStatements/createStages``.
struct OutcomeMerge {
    /// Which numbers merged rows get.
    enum Numbers {
        /// New ones: no join or sweep has seen the rows where they are now.
        case new
        /// Those they have: a join has seen them.
        case kept
    }

    let connection: Connection

    /// The day of rows whose prediction's hour is not known.
    static let unplaced = "DATE '0001-01-01'"

    /// What an event said, and where its prediction is; the other columns are the store's own.
    static let columns = [
        "prediction_day", "model_id", "event_type", "name", "prediction_id", "revision", "event_time", "event_id",
        "label_text", "label_number", "value", "value_currency", "score", "prediction_hour", "hour_is_exact",
        "arrival_day", "segment_id", "line",
    ]
    private static let key = ["prediction_id", "model_id", "event_type", "name", "prediction_day"]
    private static let placing = ["prediction_day", "prediction_hour", "hour_is_exact"]

    /// What an event said and where it stands: all columns but those that joining changes.
    static let saidColumns = columns.filter { !placing.contains($0) }

    /// Columns, of a row if one is named, as a statement lists them.
    static func list(_ columns: [String], of row: String? = nil) -> String {
        columns.map { name in row.map { "\($0).\(name)" } ?? name }.joined(separator: ", ")
    }

    /// The checksum of what the event said.
    static let checksum = "hash_record_extended(ROW(\(list(saidColumns))), 0)"

    /// What decides between two rows of one key: revision, event time, event id; then, so that the order of loading
    /// does not matter, the earlier arrival and the content.
    static func rank(_ row: String) -> String {
        """
        \(row).revision, \(row).event_time, \(row).event_id, -(\(row).arrival_day - DATE '2000-01-01'),
        coalesce(\(row).label_text, '') COLLATE "C", coalesce(\(row).label_number, '-Infinity'),
        coalesce(\(row).value, '-Infinity'), coalesce(\(row).score, '-Infinity')
        """
    }

    /// That two rows are of one key but for the day.
    static func sameOutcome(_ left: String, _ right: String) -> String {
        "\(left).prediction_id = \(right).prediction_id AND \(left).model_id = \(right).model_id "
            + "AND \(left).event_type = \(right).event_type AND \(left).name = \(right).name"
    }

    /// What the session needs beside the stages of aggregates.
    static let createStages = """
        CREATE TEMP TABLE IF NOT EXISTS stage_outcome (LIKE nadi_store.outcome INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;
        CREATE TEMP TABLE IF NOT EXISTS stage_mark (model_id int, hour timestamptz, waiting bigint) ON COMMIT DELETE ROWS;
        CREATE TEMP TABLE IF NOT EXISTS stage_clash (place tid, wins boolean, arrival_day date, event_type text,
            prediction_day date, model_id int, prediction_hour timestamptz, hour_is_exact boolean, outcome_no bigint)
            ON COMMIT DELETE ROWS;
        CREATE TEMP TABLE IF NOT EXISTS stage_known (place tid) ON COMMIT DELETE ROWS;
        """

    /// Merges the stage and writes the changed hours into `stage_mark`.
    ///
    /// Partitions of all its days exist.
    func run(numbers: Numbers) throws {
        try connection.query(Self.dropRepeats)
        // Nearly all keys are new, and who inserts looks for them anyway: only those that it finds are looked at.
        if try connection.query(Self.insert(numbers)).changedRows > 0 {
            // Their days let the planner leave the others out.
            let days = try connection.query(Self.knownDays).rows.map { $0.text(0) }
            try connection.execute("ANALYZE stage_known")
            try connection.query(Self.findClashes, [.texts(days)])
            try connection.query(Self.learnHours)
            try connection.query(Self.dropOlder)
            try connection.query(Self.countReplaced)
            try connection.query(Self.replace(numbers))
            try connection.query(Self.keepHours)
            try connection.execute("TRUNCATE stage_clash, stage_known")
        }
        if case .new = numbers { try connection.query(Self.markNew) }
    }

    /// Runs a statement that ends in a list `gone` of (arrival_day, event_type, model_id) and counts these as superseded.
    static func supersede(_ gone: String) -> String { count("superseded", gone) }

    static func count(_ column: String, _ gone: String) -> String {
        """
        \(gone), counted AS (
            SELECT arrival_day, event_type, model_id, count(*) AS n FROM gone GROUP BY 1, 2, 3
        )
        UPDATE nadi_store.outcome_arrival AS a SET \(column) = a.\(column) + c.n FROM counted AS c
        WHERE a.arrival_day = c.arrival_day AND a.event_type = c.event_type AND a.model_id = c.model_id
        """
    }

    /// The winner learns the hour from the one that knows it.
    private static let dropRepeats = supersede(
        """
        WITH repeated AS (
            SELECT \(key.joined(separator: ", ")) FROM stage_outcome GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1
        ), ranked AS (
            SELECT s.ctid AS place,
                row_number() OVER (PARTITION BY \(key.map { "s.\($0)" }.joined(separator: ", "))
                    ORDER BY ROW(\(rank("s"))) DESC, s.segment_id DESC, s.line DESC) AS number,
                first_value(s.prediction_hour) OVER known AS hour, first_value(s.hour_is_exact) OVER known AS is_exact
            FROM stage_outcome AS s JOIN repeated USING (\(key.joined(separator: ", ")))
            WINDOW known AS (PARTITION BY \(key.map { "s.\($0)" }.joined(separator: ", "))
                ORDER BY s.hour_is_exact DESC, ROW(\(rank("s"))) DESC, s.segment_id DESC, s.line DESC)
        ), learnt AS (
            UPDATE stage_outcome AS s SET prediction_hour = r.hour, hour_is_exact = true
            FROM ranked AS r WHERE s.ctid = r.place AND r.number = 1 AND r.is_exact AND NOT s.hour_is_exact
        ), gone AS (
            DELETE FROM stage_outcome AS s USING ranked AS r WHERE s.ctid = r.place AND r.number > 1
            RETURNING s.arrival_day, s.event_type, s.model_id
        )
        """)

    private static let findClashes = """
        INSERT INTO stage_clash
        SELECT s.ctid, ROW(\(rank("s"))) > ROW(\(rank("o"))), o.arrival_day, o.event_type, o.prediction_day, o.model_id,
               o.prediction_hour, o.hour_is_exact, o.outcome_no
        FROM stage_known AS k JOIN stage_outcome AS s ON s.ctid = k.place
        JOIN nadi_store.outcome AS o ON o.prediction_day = s.prediction_day AND \(sameOutcome("s", "o"))
        WHERE o.prediction_day = ANY ($1::date[])
        """

    private static let knownDays = """
        SELECT DISTINCT s.prediction_day::text FROM stage_known AS k JOIN stage_outcome AS s ON s.ctid = k.place
        """

    /// Rows that stay learn the hour from older ones that know it.
    private static let learnHours = """
        WITH learnt AS (
            UPDATE nadi_store.outcome AS o SET prediction_hour = s.prediction_hour, hour_is_exact = true, unmatched = false,
                outcome_no = nextval('nadi_store.outcome_number')
            FROM stage_clash AS c JOIN stage_outcome AS s ON s.ctid = c.place
            WHERE NOT c.wins AND s.hour_is_exact AND NOT c.hour_is_exact AND s.prediction_hour <> c.prediction_hour
              AND o.prediction_day = c.prediction_day AND o.model_id = c.model_id AND o.prediction_hour = c.prediction_hour
              AND o.outcome_no = c.outcome_no AND o.prediction_id = s.prediction_id
            RETURNING o.model_id, s.prediction_hour AS new, c.prediction_hour AS old
        )
        INSERT INTO stage_mark (model_id, hour, waiting)
        SELECT model_id, new, count(*) FROM learnt GROUP BY 1, 2
        UNION ALL SELECT model_id, old, count(*) FROM learnt GROUP BY 1, 2
        """

    private static let dropOlder = supersede(
        """
        WITH gone AS (
            DELETE FROM stage_outcome AS s USING stage_clash AS c WHERE s.ctid = c.place AND NOT c.wins
            RETURNING s.arrival_day, s.event_type, s.model_id
        )
        """)

    private static let countReplaced = supersede(
        """
        WITH marked AS (
            INSERT INTO stage_mark (model_id, hour, waiting)
            SELECT c.model_id, c.prediction_hour, count(*) FROM stage_clash AS c JOIN stage_outcome AS s ON s.ctid = c.place
            WHERE c.wins AND c.prediction_hour <> s.prediction_hour GROUP BY 1, 2
        ), gone AS (
            SELECT arrival_day, event_type, model_id FROM stage_clash WHERE wins
        )
        """)

    /// A correction that does not know the hour keeps the one that is known for what it corrects.
    private static let keepHours = """
        UPDATE stage_outcome AS s SET prediction_hour = c.prediction_hour, hour_is_exact = true
        FROM stage_clash AS c WHERE s.ctid = c.place AND c.wins AND c.hour_is_exact AND NOT s.hour_is_exact
        """

    private static func number(_ numbers: Numbers) -> String {
        switch numbers {
        case .new: "nextval('nadi_store.outcome_number')"
        case .kept: "s.outcome_no"
        }
    }

    /// Inserts the rows of keys that are new, day by day, so that each index is written at one place; the others' places go to
    /// `stage_known`.
    private static func insert(_ numbers: Numbers) -> String {
        """
        WITH put AS (
            INSERT INTO nadi_store.outcome (\(list(columns)), outcome_no, unmatched, checksum)
            SELECT \(list(columns)), \(number(numbers)), false, \(checksum) FROM stage_outcome AS s
            ORDER BY prediction_day, prediction_id, model_id, event_type, name
            ON CONFLICT DO NOTHING RETURNING segment_id, line
        )
        INSERT INTO stage_known
        SELECT s.ctid FROM stage_outcome AS s LEFT JOIN put AS p ON p.segment_id = s.segment_id AND p.line = s.line
        WHERE p.line IS NULL
        """
    }

    /// Puts the rows that win in the place of those they meet; the hour is the one that is known.
    private static func replace(_ numbers: Numbers) -> String {
        let said = saidColumns.filter { !key.contains($0) }
        return """
            UPDATE nadi_store.outcome AS o
            SET \(said.map { "\($0) = s.\($0)" }.joined(separator: ", ")),
                prediction_hour = CASE WHEN c.hour_is_exact AND NOT s.hour_is_exact THEN c.prediction_hour ELSE s.prediction_hour END,
                hour_is_exact = c.hour_is_exact OR s.hour_is_exact, outcome_no = \(number(numbers)), unmatched = false,
                checksum = hash_record_extended(ROW(\(list(saidColumns, of: "s"))), 0)
            FROM stage_clash AS c JOIN stage_outcome AS s ON s.ctid = c.place
            WHERE c.wins AND o.prediction_day = c.prediction_day AND \(sameOutcome("s", "o"))
            """
    }

    private static let markNew = """
        INSERT INTO stage_mark (model_id, hour, waiting)
        SELECT s.model_id, s.prediction_hour, count(*) FROM stage_outcome AS s WHERE s.prediction_hour IS NOT NULL GROUP BY 1, 2
        """
}
