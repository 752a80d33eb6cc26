internal import EventModel
package import ObjectStorage
package import TableStorage

/// What must be right before anything can be loaded, one line each with its mend.
package struct Check: Sendable {
    /// One thing that was looked at.
    package struct Item: Sendable {
        package enum Verdict: String, Sendable { case ok = "ok", warning = "WARNING", failed = "FAILED" }
        package let verdict: Verdict
        package let text: String
        package let remedy: String?
    }

    package private(set) var items: [Item] = []

    /// Whether nothing failed.
    package var isClean: Bool { !items.contains { $0.verdict == .failed } }

    package init() {}

    /// The lines for people.
    package var text: String {
        items.map { item in
            let remedy = item.remedy.map { "\n         \($0)" } ?? ""
            return "\(item.verdict.rawValue.padded(9))\(item.text)\(remedy)\n"
        }.joined()
    }

    /// Looks at the database: reachable, version, schema, rights, clock, partitions, outcomes without time.
    package mutating func database(_ connectionString: String, migrations: Migrations?, now_ms: Int64) {
        let connection: Connection
        do {
            connection = try Connection(connectionString, ConnectionOptions(applicationName: "nadi-check"))
        } catch {
            fail("\(error)", "See `database` in the configuration, PGHOST, ~/.pgpass")
            return
        }
        do {
            let row = try connection.query(
                "SELECT current_database(), current_user, (extract(epoch FROM clock_timestamp()) * 1000)::bigint")[0]
            ok("database \(row.text(0)) as \(row.text(1))")
            if connection.serverVersion < 150_000 {
                fail("PostgreSQL \(connection.serverVersion / 10_000) is too old", "Use PostgreSQL 15 or later")
            } else {
                ok("PostgreSQL \(connection.serverVersion / 10_000).\(connection.serverVersion % 10_000)")
            }
            let skew = abs(row.integer(2) - now_ms)
            if skew > 60_000 {
                warn("the database's clock differs by \(skew / 1000) s", "Synchronise the clocks (NTP)")
            } else {
                ok("the database's clock agrees")
            }
            if let migrations {
                do {
                    try migrations.requireCurrent(connection)
                    ok("schema is current (\(migrations.steps.last?.name ?? "none"))")
                } catch let error as MigrationError {
                    fail(error.message, error.remedy)
                    return
                }
            }
            try rights(connection)
            try partitions(connection, now_ms: now_ms)
            try outcomes(connection)
        } catch {
            fail("\(error)", "Mend this first")
        }
    }

    private mutating func rights(_ connection: Connection) throws {
        let missing = try connection.query(
            """
            SELECT string_agg(c.relname, ', ' ORDER BY c.relname) FROM pg_class AS c
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = 'nadi_store' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND c.relname NOT IN ('schema_migration', 'score_edge', 'edge_set')
              AND NOT has_table_privilege(c.oid, 'INSERT')
            """)[0].optionalText(0)
        if let missing {
            fail("no right to write \(missing)", "GRANT nadi_loader TO the loader's user, as an administrator")
        } else {
            ok("may write all tables")
        }
        if try !connection.query("SELECT has_database_privilege(current_database(), 'TEMP')")[0].boolean(0) {
            fail("no right to make temporary tables", "GRANT TEMP ON DATABASE to the loader's user")
        }
    }

    private mutating func partitions(_ connection: Connection, now_ms: Int64) throws {
        for parent in ["request_minute", "resource_minute", "reject_line", "outcome"] {
            let count = try connection.query(
                "SELECT count(*) FROM pg_inherits WHERE inhparent = format('nadi_store.%I', $1::text)::regclass",
                [.text(parent)])[0].integer(0)
            if count > 800 { warn("\(parent) has \(count) partitions", "Does `nadi load` run, and reach its end?") }
        }
        do {
            _ = try connection.transaction {
                try connection.query(
                    "SELECT nadi_store.ensure_partition('request_minute', $1::date)",
                    [.text(LoadClock.dayText(now_ms))])
            }
            ok("may make daily partitions")
        } catch let error as DatabaseError {
            fail("no partition can be made: \(error.message)", "GRANT nadi_loader TO the loader's user")
        }
    }

    private mutating func outcomes(_ connection: Connection) throws {
        let row = try connection.query(
            """
            SELECT coalesce(sum(lines), 0)::bigint, coalesce(sum(untimed), 0)::bigint FROM nadi_store.outcome_arrival
            WHERE arrival_day > current_date - 7
            """)[0]
        let (all, unknown) = (row.integer(0), row.integer(1))
        if unknown * 10 > all {
            warn(
                "\(unknown) of \(all) outcomes of the last 7 days carry neither prediction_time nor a UUIDv7 id",
                "Send prediction_time with outcomes: without it they wait for the daily sweep of the archive")
        } else if all > 0 {
            ok("outcomes know their prediction's hour (\(all - unknown) of \(all) in 7 days)")
        }
        let beyond = try connection.query(
            """
            SELECT coalesce(sum(a.lines), 0)::bigint FROM nadi_store.outcome_arrival AS a JOIN nadi_store.model AS m USING (model_id)
            WHERE m.model_name = $1 AND a.arrival_day > current_date - 7
            """, [.text(Admission.other)])[0].integer(0)
        if beyond > 0 {
            warn(
                "\(beyond) outcomes of the last 7 days are of models beyond the cap and join with nothing",
                "Raise `caps.models`: what comes from then on joins")
        }
    }

    /// Looks at the store: reachable, may list and read.
    package mutating func store(_ store: any ObjectStore, prefix: String) async {
        do {
            let page = try await store.list(prefix: prefix.isEmpty ? "" : prefix + "/", startAfter: nil, limit: 10)
            ok("store lists (\(page.objects.count)\(page.isTruncated ? "+" : "") keys under '\(prefix)')")
            if let first = page.objects.first {
                _ = try await store.get(first.key, range: 0..<min(1, max(1, first.size)))
                ok("store reads \(first.key)")
            }
        } catch {
            fail("\(error)", "The loader needs ListBucket and GetObject on the prefix")
        }
    }

    private mutating func ok(_ text: String) { items.append(Item(verdict: .ok, text: text, remedy: nil)) }
    private mutating func warn(_ text: String, _ remedy: String) {
        items.append(Item(verdict: .warning, text: text, remedy: remedy))
    }
    private mutating func fail(_ text: String, _ remedy: String) {
        items.append(Item(verdict: .failed, text: text, remedy: remedy))
    }
}
