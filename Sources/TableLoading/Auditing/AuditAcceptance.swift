internal import EventModel
internal import ObjectStorage
internal import TableStorage

/// What people accept, and take back: nothing of it is ever deleted.
extension Audit {
    /// An acceptance, as it is listed.
    package struct Acceptance: Sendable {
        package let finding: String
        package let evidence: String
        package let lines: Int64?
        package let reason: String
        /// Who accepted it, and when.
        package let accepted: String
        /// Who withdrew that, and when; nil where it holds.
        package let withdrawn: String?
    }

    /// Accepts failures of the present audit.
    ///
    /// A poisoned object's loss no longer holds back `nadi.complete_until`.
    /// - Parameters:
    ///   - ids: names that the audit gives.
    ///   - by: who, beside the database's user.
    /// - Throws: ``LoadError`` with ``LoadError/Code/configuration`` for a name that the audit does not have now.
    package func accept(_ ids: [String], reason: String, by person: String = "", now_ms: Int64) async throws {
        let report = try await run(now_ms: now_ms)
        var findings: [AuditReport.Finding] = []
        for id in ids {
            guard let finding = report.findings.first(where: { $0.id == id && $0.isFailure }) else {
                let open = report.open.prefix(5).map(\.id).joined(separator: ", ")
                throw LoadError(
                    .configuration, "the audit has no failure '\(id)'",
                    remedy: open.isEmpty ? "It is clean" : "Copy a name from its report, such as \(open)")
            }
            findings.append(finding)
        }
        let chosen = findings
        try await database.run { connection in
            try connection.transaction {
                for one in chosen {
                    try connection.query(
                        """
                        INSERT INTO nadi_store.accepted_loss AS a (finding, host, writer, lines, evidence, reason, accepted_by)
                        VALUES ($1, $2, $3, $4::bigint, $5, $6, \(Self.person))
                        ON CONFLICT (finding) WHERE withdrawn_at IS NULL DO UPDATE SET reason = EXCLUDED.reason,
                            accepted_by = EXCLUDED.accepted_by, accepted_at = now(), evidence = EXCLUDED.evidence
                        """,
                        [
                            .text(one.id), .text(one.host), .text(one.writer), .optional(one.lines.map(String.init)),
                            .text(one.text), .text(reason), .text(person),
                        ])
                    if one.kind == "poisoned" {
                        try connection.query(
                            """
                            UPDATE nadi_store.object SET state = 'lost'
                            WHERE object_key = $1 AND state = 'poisoned' AND (lease_until IS NULL OR lease_until < now())
                            """, [.text(String(one.id.dropFirst("poisoned:".count)))])
                    }
                }
            }
        }
    }

    /// Withdraws an acceptance: the finding is a failure again, if it is still there.
    /// - Throws: ``LoadError`` with ``LoadError/Code/configuration`` where nothing of that name is accepted.
    package func withdraw(_ id: String, by person: String = "") async throws {
        try await database.run { connection in
            try connection.transaction {
                let changed = try connection.query(
                    """
                    UPDATE nadi_store.accepted_loss SET withdrawn_at = now(), withdrawn_by = \(Self.person("$2"))
                    WHERE finding = $1 AND withdrawn_at IS NULL
                    """, [.text(id), .text(person)]
                ).changedRows
                guard changed == 1 else {
                    throw LoadError(
                        .configuration, "nothing named '\(id)' is accepted", remedy: "See `nadi audit --accepted`")
                }
                try connection.query(
                    """
                    UPDATE nadi_store.object SET state = 'poisoned', next_attempt_at = NULL
                    WHERE object_key = $1 AND state = 'lost' AND loaded_at IS NULL
                    """, [.text(String(id.drop { $0 != ":" }.dropFirst()))])
            }
        }
    }

    /// All acceptances there ever were, oldest first.
    package func acceptances() async throws -> [Acceptance] {
        try await database.run { connection in
            try connection.query(
                """
                SELECT finding, evidence, lines, reason, accepted_by, accepted_at, withdrawn_by, withdrawn_at
                FROM nadi_store.accepted_loss ORDER BY acceptance_id
                """
            ).rows.map { row in
                Acceptance(
                    finding: row.text(0), evidence: row.text(1), lines: row.optionalInteger(2), reason: row.text(3),
                    accepted: "by \(row.text(4)) at \(Timestamp.format(row.time(5)))",
                    withdrawn: row.optionalTime(7).map { "by \(row.text(6)) at \(Timestamp.format($0))" })
            }
        }
    }

    private static let person = person("$7")

    private static func person(_ parameter: String) -> String {
        "CASE WHEN \(parameter) = '' THEN session_user ELSE \(parameter) || ' (database user ' || session_user || ')' END"
    }
}
