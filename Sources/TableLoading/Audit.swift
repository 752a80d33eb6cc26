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
        try await listing.compare { bucket.add($0) }
        let found = bucket
        let settings = settings
        return try await database.run { connection in
            try connection.transaction {
                try connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                var report = AuditReport()
                let context = AuditContext(connection: connection, now_ms: now_ms, settings: settings)
                try context.objects(found, &report)
                try context.writers(found, &report)
                try context.hosts(found, &report)
                try context.ledger(&report)
                try context.hours(&report)
                try context.days(&report)
                try context.outcomes(&report)
                try context.others(&report)
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
    var unknown: [ObjectListing.Entry] = []
    var missing: [String] = []
    var unknownLines: Int64 = 0
    /// Hosts with objects that the ledger does not know.
    var hosts: Set<String> = []

    mutating func add(_ difference: ObjectListing.Difference) {
        switch difference {
        case .unknown(let entry):
            unknown.append(entry)
            unknownLines += Int64(entry.lines)
            let parts = entry.key.split(separator: "/")
            if parts.count >= 2 { hosts.insert(String(parts[parts.count - 2])) }
        case .missing(let key): missing.append(key)
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
    }
}
