import TableStorage
import TestSupport
import Testing

/// What the role of dashboards sees: everything in schema nadi explained, nothing else, and nothing to write.
@Suite(.enabled(if: Servers.postgres, "\(Servers.missing)")) struct ReaderTests {
    @Test func everyViewColumnAndFunctionIsExplained() throws {
        let database = try TestDatabase()
        let connection = try database.connect()
        let views = try connection.query(
            """
            SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c
            WHERE c.relnamespace = 'nadi'::regnamespace AND c.relkind IN ('v', 'r', 'm', 'p')
            """
        ).rows
        #expect(views.count >= 24)
        let columns = try connection.query(
            """
            SELECT c.relname || '.' || a.attname, col_description(c.oid, a.attnum), format_type(a.atttypid, NULL)
            FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relnamespace = 'nadi'::regnamespace AND c.relkind IN ('v', 'r', 'm', 'p') AND a.attnum > 0
            """
        ).rows
        #expect(columns.count > 200)
        let functions = try connection.query(
            """
            SELECT p.oid::regprocedure::text, obj_description(p.oid, 'pg_proc') FROM pg_proc p
            WHERE p.pronamespace IN ('nadi'::regnamespace, 'nadi_store'::regnamespace) AND p.proname NOT LIKE 'test%'
            """
        ).rows
        for row in views + columns {
            let comment = row.optionalText(1) ?? ""
            let sentence = comment.prefix { $0 != "." }
            #expect(!comment.isEmpty && comment.hasSuffix("."), "\(row.text(0)) has no comment")
            #expect(sentence.count <= 120, "\(row.text(0)): the first sentence has \(sentence.count) characters")
        }
        for row in functions {
            let comment = row.optionalText(1) ?? ""
            #expect(!row.text(0).hasPrefix("nadi.") || comment.hasSuffix("."), "\(row.text(0)) has no comment")
            let sentence = comment.prefix { $0 != "." }
            #expect(sentence.count <= 120, "\(row.text(0)): the first sentence has \(sentence.count) characters")
        }
        let plain: Set = [
            "text", "bigint", "integer", "double precision", "boolean", "timestamp with time zone", "date",
        ]
        for row in columns {
            #expect(plain.contains(row.text(2)), "\(row.text(0)) is \(row.text(2))")
            #expect(
                !row.text(0).hasSuffix("_lat") && !row.text(0).hasSuffix("_long"),
                "\(row.text(0)) reads as a coordinate")
        }
    }

    @Test func readersReadNothingElseAndWriteNothing() throws {
        let database = try TestDatabase()
        let reader = try database.connectAsReader()
        for statement in [
            "SELECT * FROM nadi_store.model", "SELECT * FROM nadi_store.reject_line",
            "SELECT nadi_store.bin_value(40000)",
            "SELECT * FROM nadi_store.request_rows('{1}', now(), now(), NULL, false)",
            "INSERT INTO nadi.model (model_name) VALUES ('m')", "UPDATE nadi.deployment SET actor = 'me'",
            "DELETE FROM nadi.model",
            "CREATE TABLE nadi.mine (a int)", "CREATE FUNCTION nadi.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ] {
            let error = #expect(throws: DatabaseError.self, "\(statement)") { try reader.query(statement) }
            // insufficient_privilege, read_only_sql_transaction, object_not_in_prerequisite_state
            #expect(["42501", "25006", "55000"].contains(error?.sqlState), "\(statement): \(error?.sqlState ?? "")")
        }
        // Also without the session's read-only setting, which a session may change.
        let writer = try database.connect()
        try writer.execute("SET ROLE nadi_reader")
        for statement in [
            "INSERT INTO nadi.model (model_name) VALUES ('m')", "DELETE FROM nadi.model",
            "CREATE TABLE nadi.mine (a int)",
        ] {
            let error = #expect(throws: DatabaseError.self, "\(statement)") { try writer.query(statement) }
            #expect(["42501", "55000"].contains(error?.sqlState), "\(statement): \(error?.sqlState ?? "")")
        }
        let settings = try database.connect().query(
            """
            SELECT unnest(s.setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
            WHERE d.datname = current_database() AND s.setrole = 'nadi_reader'::regrole ORDER BY 1
            """
        ).rows.map { $0.text(0) }
        #expect(settings.contains("default_transaction_read_only=on") && settings.contains("statement_timeout=15s"))
        #expect(settings.contains { $0.lowercased() == "timezone=utc" })
    }

    @Test func functionsReadOnlyWithTheirOwnersRights() throws {
        let database = try TestDatabase()
        let connection = try database.connect()
        let loose = try connection.query(
            """
            SELECT p.oid::regprocedure::text FROM pg_proc p
            WHERE p.pronamespace = 'nadi'::regnamespace
              AND (p.provolatile = 'v' OR p.proparallel <> 's' OR has_function_privilege('public', p.oid, 'EXECUTE')
                   OR p.prosecdef AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false))
            """
        ).rows.map { $0.text(0) }
        #expect(loose.isEmpty)
    }

    @Test func everyViewAndFunctionAnswersOnAnEmptyDatabase() throws {
        let database = try TestDatabase()
        let reader = try database.connectAsReader()
        let views = try database.connect().query(
            "SELECT relname FROM pg_class WHERE relnamespace = 'nadi'::regnamespace AND relkind = 'v'"
        ).rows.map { $0.text(0) }
        for view in views {
            let rows = try reader.query("SELECT * FROM nadi.\(view)").count
            if view == "complete_until" {
                #expect(rows == 1)
            } else if view == "retention" {
                #expect(rows > 40, "each table's row")
            } else if view != "audit_balance" {
                #expect(rows == 0, "\(view)")
            }
        }
        #expect(try reader.query("SELECT complete_until FROM nadi.complete_until").first?.optionalTime(0) == nil)
        #expect(try reader.query("SELECT bool_and(is_balanced) FROM nadi.audit_balance").first?.boolean(0) == true)
        let range = "'m', now() - interval '3 days', now()"
        for call in [
            "requests(\(range))", "latency_quantiles(\(range))", "latency_heatmap(\(range))",
            "feature_statistics(\(range))",
            "feature_histogram('m', 'f', now() - interval '3 days', now())", "class_mix(\(range))",
            "score_histogram(\(range))",
            "performance(\(range))", "performance(\(range), '1 hour')", "calibration(\(range))", "confusion(\(range))",
            "label_delay(\(range))", "outcome_rates(\(range))", "outcome_values(\(range))", "estimate_and_truth(\(range))",
            "compare_versions(\(range), '1', '2')", "drift_over_time(\(range))", "drift(\(range))", "drift(\(range), 'previous')",
            "drift_over_time(\(range), baseline => 'last_week')", "drift_bins('m', 'f', now() - interval '3 days', now())",
            "drift_between('m', now() - interval '3 days', now() - interval '2 days', now() - interval '1 day', now())",
        ] {
            let rows = try reader.query("SELECT * FROM nadi.\(call)").count
            let one = ["requests(\(range))", "performance(\(range))", "label_delay(\(range))"]
            #expect(rows == (one.contains(call) ? 1 : 0), "\(call)")
        }
        #expect(try reader.query("SELECT * FROM nadi.audit_periods(now() - interval '3 days', now())").count == 0)
        #expect(try reader.query("SELECT nadi.latency_quantile(0.5, \(range))").first?.optionalReal(0) == nil)
    }

    /// The page that teaches the views runs as it stands.
    @Test func everyExampleOfThePageRuns() throws {
        let database = try TestDatabase()
        let reader = try database.connectAsReader()
        let page = try Checkout.text("sql/README.md")
        var examples = 0
        for block in page.matches(of: /```sql\n([^`]*)```/) where !block.1.contains("CREATE ROLE") {
            for statement in block.1.split(separator: ";\n") where statement.contains("SELECT") {
                do { _ = try reader.query(String(statement)) } catch { Issue.record("\(error)\n\(statement)") }
                examples += 1
            }
        }
        #expect(examples >= 18)
    }
}
