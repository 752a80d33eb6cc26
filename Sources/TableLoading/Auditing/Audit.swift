internal import EventModel
package import ObjectStorage
package import TableStorage

/// Balances what was written, stored and counted: each side of an equation comes from another program's record.
///
/// Reads the whole ledger and all hours and days; changes nothing.
package struct Audit: Sendable {
    /// How long things may be on their way before they are missed, in milliseconds: a silent host, an object that is
    /// not loaded.
    package static let grace_ms: Int64 = 15 * 60_000
    /// How many findings of a kind are shown one by one.
    package static let shownFindings = 1000

    let store: any ObjectStore
    let database: DatabaseThread
    let settings: LoadSettings

    package init(store: any ObjectStore, database: DatabaseThread, settings: LoadSettings) {
        self.store = store
        self.database = database
        self.settings = settings
    }

    /// Audits everything as of `now_ms`.
    /// - Throws: `StorageError`, ``DatabaseError``.
    package func run(now_ms: Int64) async throws -> AuditReport {
        var bucket = AuditBucket()
        let listing = ObjectListing(store: store, database: database, prefix: settings.prefix)
        try await listing.compare { bucket.add($0, now_ms: now_ms) }
        let found = bucket
        let settings = settings
        return try await database.run { connection in
            try connection.transaction {
                try connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                var report = AuditReport()
                let context = AuditContext(connection: connection, now_ms: now_ms, settings: settings)
                let bucket = try context.withoutLoaded(found)
                try context.objects(bucket, &report)
                try context.writers(bucket, &report)
                try context.hosts(&report)
                try context.ledger(&report)
                try context.hours(&report)
                try context.days(&report)
                try context.outcomes(&report)
                try context.others(&report)
                context.balances(&report)
                try context.markAccepted(&report)
                return report
            }
        }
    }

    /// Records that a finding is accepted.
    package func accept(_ id: String, reason: String) async throws {
        try await database.run { connection in
            _ = try connection.query(
                """
                INSERT INTO nadi_store.accepted_loss (finding, reason) VALUES ($1, $2)
                ON CONFLICT (finding) DO UPDATE SET reason = EXCLUDED.reason, accepted_at = now()
                """, [.text(id), .text(reason)])
        }
    }
}

/// What the bucket's listing showed.
struct AuditBucket: Sendable {
    /// In the bucket, not in the ledger, longer than the grace.
    var unloaded: [ObjectListing.Entry] = []
    /// The same, within the grace: on their way.
    var arriving: [ObjectListing.Entry] = []
    var missing: [String] = []
    /// Recorded as gone, and there again.
    var restored: [String] = []

    mutating func add(_ difference: ObjectListing.Difference, now_ms: Int64) {
        switch difference {
        case .unknown(let entry) where now_ms - entry.modified_ms < Audit.grace_ms: arriving.append(entry)
        case .unknown(let entry): unloaded.append(entry)
        case .missing(let key): missing.append(key)
        case .restored(let key): restored.append(key)
        }
    }
}

/// One audit's reading of the database.
struct AuditContext {
    let connection: Connection
    let now_ms: Int64
    let settings: LoadSettings

    func fail(_ id: String, _ text: String, _ remedy: String, lines: Int64? = nil, _ report: inout AuditReport) {
        report.findings.append(
            AuditReport.Finding(id: id, text: text, remedy: remedy, lines: lines, isFailure: true, accepted: nil))
    }

    func note(_ id: String, _ text: String, lines: Int64? = nil, _ report: inout AuditReport) {
        report.findings.append(
            AuditReport.Finding(id: id, text: text, remedy: "", lines: lines, isFailure: false, accepted: nil))
    }

    func balance(
        _ name: String, _ left: (String, Int64), _ right: (String, Int64), mustBeEqual: Bool = true,
        _ report: inout AuditReport
    ) {
        report.balances.append(
            AuditReport.Balance(name: name, left: left, right: right, mustBeEqual: mustBeEqual))
    }

    /// Sums that must be equal and are not are findings of their own.
    func balances(_ report: inout AuditReport) {
        for balance in report.balances where !balance.isBalanced {
            fail(
                "balance:\(balance.name)",
                "\(balance.name): \(balance.left.lines) \(balance.left.source), \(balance.right.lines) "
                    + balance.right.source, "See the findings beside it; `nadi rebuild` derives rows again", &report)
        }
    }

    func markAccepted(_ report: inout AuditReport) throws {
        let rows = try connection.query(
            "SELECT finding, accepted_by, accepted_at, reason FROM nadi_store.accepted_loss"
        ).rows
        let accepted = Dictionary(
            uniqueKeysWithValues: rows.map { row in
                (row.text(0), "by \(row.text(1)) at \(Timestamp.format(row.time(2))): \(row.text(3))")
            })
        for index in report.findings.indices {
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
                    lines: rest.reduce(0) { $0 + ($1.lines ?? 0) }, isFailure: failing > 0, accepted: nil))
        }
        report.findings = shown
    }
}
