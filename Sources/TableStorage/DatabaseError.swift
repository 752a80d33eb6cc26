/// What PostgreSQL or libpq refused, with what to do about it.
package struct DatabaseError: Error, Sendable, CustomStringConvertible {
    /// Five characters of SQLSTATE; empty where libpq failed before the server could answer.
    package let sqlState: String
    /// The server's or libpq's text, one line.
    package let message: String
    /// The server's DETAIL, if any.
    package let detail: String?
    /// What to do, from the server's HINT or from us.
    package let remedy: String?
    /// What we were doing: the first line of the statement or "connecting".
    package let operation: String
    /// True when the connection broke after COMMIT was sent: the transaction may have happened or not.
    package let isCommitOutcomeUnknown: Bool

    package init(
        sqlState: String, message: String, detail: String? = nil, remedy: String? = nil, operation: String,
        isCommitOutcomeUnknown: Bool = false
    ) {
        self.sqlState = sqlState
        self.message = message
        self.detail = detail
        self.remedy = remedy
        self.operation = operation
        self.isCommitOutcomeUnknown = isCommitOutcomeUnknown
    }

    /// The connection is of no more use; another one may do.
    package var isConnectionLost: Bool {
        // 25P03, 25P04: the server ended a session whose transaction stood still.
        sqlState.isEmpty || sqlState.hasPrefix("08") || sqlState.hasPrefix("57P") || sqlState == "25P03"
            || sqlState == "25P04"
    }

    /// The same transaction may succeed when it is tried again: serialization failures, deadlocks, lock and statement
    /// timeouts, lost connections, a server that is starting, stopping or out of resources, a read-only standby.
    package var isRetryable: Bool {
        if isConnectionLost { return true }
        switch sqlState {
        case "40001", "40P01", "55P03", "57014", "25006": return true
        default: return sqlState.hasPrefix("53")
        }
    }

    package var description: String {
        var text = "PostgreSQL, \(operation): \(message)"
        if !sqlState.isEmpty { text += " (SQLSTATE \(sqlState))" }
        if let detail { text += "; \(detail)" }
        if let remedy { text += ". \(remedy)" }
        return text
    }
}
