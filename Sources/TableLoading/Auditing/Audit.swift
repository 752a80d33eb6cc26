internal import EventModel
package import ObjectStorage
package import TableStorage

/// Balances what was written, stored and counted: each side of an equation comes from another program's record.
///
/// Reads the hosts' reports, the bucket's listing, then the ledger and the tables in one snapshot, so that nothing that
/// is on its way is missed.
package struct Audit: Sendable {
    /// How long things may be on their way before they are missed, in milliseconds: a silent host, an object that is
    /// not loaded.
    package static let grace_ms: Int64 = 15 * 60_000
    /// How many findings of a kind are shown one by one.
    package static let shownFindings = 1000
    /// How many objects that were stored again are read to see whether they say the same.
    static let readObjects = 500

    let store: any ObjectStore
    let database: DatabaseThread
    let settings: LoadSettings

    package init(store: any ObjectStore, database: DatabaseThread, settings: LoadSettings) {
        self.store = store
        self.database = database
        self.settings = settings
    }

    /// Audits as of `now_ms`; an audit of everything is recorded for dashboards.
    /// - Throws: `StorageError`, ``DatabaseError``.
    package func run(_ scope: AuditScope = AuditScope(), now_ms: Int64) async throws -> AuditReport {
        let start = LoadClock.monotonic_s()
        let unreadable = try await HostReports(store: store, database: database, prefix: settings.prefix).refresh()
        let bucket = try await listed(scope, now_ms: now_ms)
        let settings = settings
        var report = try await database.run { connection in
            try connection.transaction {
                try connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                try connection.execute("SET LOCAL jit = off")
                var report = AuditReport(scope: scope)
                let context = AuditContext(connection: connection, now_ms: now_ms, settings: settings, scope: scope)
                let bucket = try context.withoutLoaded(bucket)
                for (key, reason) in unreadable {
                    context.fail(
                        "report:\(key)", "the host report \(key) cannot be read: \(reason)",
                        "Look at nadi-shipper on that host; it writes the report anew every 30 s", &report)
                }
                try context.objects(bucket, &report)
                try context.writers(bucket, &report)
                try context.hosts(&report)
                try context.ledger(&report)
                try context.rejects(&report)
                if scope.host == nil {
                    try context.checksums(&report)
                    try context.hours(&report)
                    try context.days(&report)
                    try context.outcomes(&report)
                }
                try context.balances(&report)
                try context.markAccepted(&report)
                return report
            }
        }
        report.seconds = LoadClock.monotonic_s() - start
        if scope.isEverything { try await record(report, now_ms: now_ms) }
        return report
    }

    private func listed(_ scope: AuditScope, now_ms: Int64) async throws -> AuditBucket {
        var bucket = AuditBucket()
        let listing = ObjectListing(store: store, database: database, prefix: settings.prefix)
        try await listing.compare(days: scope.days(now_ms: now_ms)) { bucket.add($0, scope, now_ms: now_ms) }
        let proof = ObjectProof(store: store, database: database)
        for index in bucket.changed.indices.prefix(Self.readObjects) {
            bucket.changed[index].fault = try await proof.fault(bucket.changed[index].entry.key)
            if bucket.changed[index].fault == nil { try await proof.accept(bucket.changed[index].entry) }
        }
        for index in bucket.changed.indices.dropFirst(Self.readObjects) {
            bucket.changed[index].fault = "it was stored again, and not read yet: so were many others"
        }
        return bucket
    }

    private func record(_ report: AuditReport, now_ms: Int64) async throws {
        try await database.run { connection in
            try connection.transaction {
                try connection.query(
                    """
                    INSERT INTO nadi_store.audit_run (audited_at, seconds, failures, accepted, notes, complete_until)
                    VALUES ($1, $2, $3, $4, $5, $6)
                    """,
                    [
                        .time(now_ms), .real(report.seconds), .integer(Int64(report.open.count)),
                        .integer(Int64(report.findings.count { $0.isFailure && $0.accepted != nil })),
                        .integer(Int64(report.findings.count { !$0.isFailure })), .optionalTime(report.completeUntil_ms),
                    ])
                try connection.query(
                    "DELETE FROM nadi_store.audit_run WHERE audited_at < $1", [.time(now_ms - 400 * LoadClock.day_ms)])
                // Two audits at once: one after the other.
                try connection.execute("LOCK TABLE nadi_store.audit_finding IN SHARE ROW EXCLUSIVE MODE")
                let findings = report.findings
                try connection.query(
                    "DELETE FROM nadi_store.audit_finding WHERE finding <> ALL ($1::text[])", [.texts(findings.map(\.id))])
                for one in findings {
                    try connection.query(
                        """
                        INSERT INTO nadi_store.audit_finding AS f (finding, kind, host, evidence, remedy, lines, is_failure,
                            is_accepted, first_seen_at, seen_at)
                        VALUES ($1, $2, $3, $4, $5, $6::bigint, $7, $8, $9, $9)
                        ON CONFLICT (finding) DO UPDATE SET evidence = EXCLUDED.evidence, remedy = EXCLUDED.remedy,
                            lines = EXCLUDED.lines, is_failure = EXCLUDED.is_failure,
                            is_accepted = EXCLUDED.is_accepted, seen_at = greatest(f.seen_at, EXCLUDED.seen_at)
                        """,
                        [
                            .text(one.id), .text(one.kind), .text(one.host), .text(one.text), .text(one.remedy),
                            .optional(one.lines.map(String.init)), .boolean(one.isFailure),
                            .boolean(one.accepted != nil), .time(now_ms),
                        ])
                }
            }
        }
    }
}

/// One audit's reading of the database.
struct AuditContext {
    let connection: Connection
    let now_ms: Int64
    let settings: LoadSettings
    let scope: AuditScope

    func fail(
        _ id: String, _ text: String, _ remedy: String, lines: Int64? = nil, host: String = "", writer: String = "",
        _ report: inout AuditReport
    ) {
        report.findings.append(
            AuditReport.Finding(
                id: id, text: text, remedy: remedy, lines: lines, isFailure: true, host: host, writer: writer))
    }

    func note(_ id: String, _ text: String, lines: Int64? = nil, host: String = "", _ report: inout AuditReport) {
        report.findings.append(
            AuditReport.Finding(id: id, text: text, remedy: "", lines: lines, isFailure: false, host: host, writer: ""))
    }

    /// Both sides of every equation, by the function that `nadi.audit_balance` shows; those that must be equal and are
    /// not are findings of their own.
    func balances(_ report: inout AuditReport) throws {
        let rows = try connection.query(
            """
            SELECT equation, left_name, left_count, right_name, right_count, is_exact, note
            FROM nadi_store.audit_equations($1, \(sqlBounds))
            """, [.optional(scope.host)]
        ).rows
        report.balances = rows.map { row in
            AuditReport.Balance(
                name: row.text(0), left: (row.text(1), row.integer(2)), right: (row.text(3), row.integer(4)),
                mustBeEqual: row.boolean(5), note: row.text(6))
        }
        for balance in report.balances where !balance.isBalanced {
            fail(
                "balance:\(balance.name)",
                "\(balance.name): \(balance.left.lines) \(balance.left.source), but \(balance.right.lines) "
                    + balance.right.source, "The findings beside it say where; mend those", &report)
        }
    }

    /// The scope's begin as an expression.
    var sqlFrom: String { scope.hours.map { "to_timestamp(\($0.lowerBound / 1000))" } ?? "'-infinity'::timestamptz" }
    /// The scope's bounds as expressions.
    var sqlBounds: String {
        sqlFrom + ", " + (scope.hours.map { "to_timestamp(\($0.upperBound / 1000))" } ?? "'infinity'::timestamptz")
    }

    func markAccepted(_ report: inout AuditReport) throws {
        let rows = try connection.query(
            """
            SELECT finding, accepted_by, accepted_at, reason FROM nadi_store.accepted_loss WHERE withdrawn_at IS NULL
            """
        ).rows
        let accepted = Dictionary(
            rows.map { row in
                (row.text(0), "by \(row.text(1)) at \(Timestamp.format(row.time(2))): \(row.text(3))")
            }, uniquingKeysWith: { first, _ in first })
        for index in report.findings.indices where report.findings[index].isFailure {
            report.findings[index].accepted = accepted[report.findings[index].id]
        }
        cut(&report)
    }

    /// Shows at most ``Audit/shownFindings`` of a kind, those that fail first: the rest is one finding that fails if any
    /// of them does.
    private func cut(_ report: inout AuditReport) {
        func fails(_ finding: AuditReport.Finding) -> Bool { finding.isFailure && finding.accepted == nil }
        var shown: [AuditReport.Finding] = []
        for (kind, all) in Dictionary(grouping: report.findings, by: \.kind).sorted(by: { $0.key < $1.key }) {
            let sorted = all.filter(fails) + all.filter { !fails($0) }
            shown += sorted.prefix(Audit.shownFindings)
            let rest = sorted.dropFirst(Audit.shownFindings)
            if rest.isEmpty { continue }
            let failing = rest.count(where: fails)
            shown.append(
                AuditReport.Finding(
                    id: "more:\(kind)", text: "\(rest.count) more of \(kind), \(failing) of them failures",
                    remedy: "Mend those above; the next audit shows the next ones",
                    lines: rest.reduce(0) { $0 + ($1.lines ?? 0) }, isFailure: failing > 0, host: "", writer: ""))
        }
        report.findings = shown
    }

    /// One finding for each row of a query.
    func each(
        _ statement: String, _ report: inout AuditReport, parameters: [SQLValue] = [],
        remedy: String = "A row was changed from outside: `nadi rebuild` derives it again from the bucket",
        _ describe: (QueryResult.Row) -> (id: String, text: String)
    ) throws {
        for row in try connection.query(statement, parameters).rows {
            let (id, text) = describe(row)
            fail(id, text, remedy, &report)
        }
    }
}
