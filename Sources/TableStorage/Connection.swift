internal import CLibPQ

/// One connection to PostgreSQL over libpq.
///
/// Every call blocks its thread, so that it belongs on a ``DatabaseThread``
/// (or on a program's main thread); it is not safe for use from two threads at once.
///
/// The connection string is libpq's own: a URI, keywords, a service, and what `PG*` variables, `~/.pgpass` and
/// `~/.pg_service.conf` add.
package final class Connection {
    private var handle: OpaquePointer?
    private let connectionString: String
    private let options: ConnectionOptions

    /// Connects and sets UTC, ISO dates and the timeouts.
    /// - Throws: ``DatabaseError``.
    package init(_ connectionString: String, _ options: ConnectionOptions = ConnectionOptions()) throws {
        self.connectionString = connectionString
        self.options = options
        try connect()
    }

    deinit { PQfinish(handle) }

    /// Closes the connection; harmless when repeated.
    package func close() {
        PQfinish(handle)
        handle = nil
    }

    /// Closes and connects again, after a lost connection.
    /// - Throws: ``DatabaseError``.
    package func reconnect() throws {
        close()
        try connect()
    }

    /// False once the server or the network has ended the connection and a call has noticed.
    package var isUsable: Bool { handle != nil && PQstatus(handle) == CONNECTION_OK }

    /// True between BEGIN and COMMIT or ROLLBACK.
    package var isInTransaction: Bool { handle != nil && PQtransactionStatus(handle) != PQTRANS_IDLE }

    /// The server's version as a number, for example 150020.
    package var serverVersion: Int { Int(PQserverVersion(handle)) }

    /// The server process that serves this connection.
    package var processIdentifier: Int { Int(PQbackendPID(handle)) }

    /// The database's name.
    package var database: String { PQdb(handle).map { String(cString: $0) } ?? "" }

    /// Runs one statement with its parameters in order.
    /// - Throws: ``DatabaseError``.
    @discardableResult
    package func query(_ statement: String, _ parameters: [SQLValue] = []) throws -> QueryResult {
        let live = try liveHandle(statement)
        var storage: [CChar] = []
        var offsets: [Int] = []
        for parameter in parameters {
            guard let text = parameter.wireText else {
                offsets.append(-1)
                continue
            }
            offsets.append(storage.count)
            storage.append(contentsOf: text.lazy.map { CChar(bitPattern: $0) })
            storage.append(0)
        }
        let result = storage.withUnsafeBufferPointer { bytes in
            let values = offsets.map { offset -> UnsafePointer<CChar>? in
                offset < 0 ? nil : bytes.baseAddress.map { $0 + offset }
            }
            return PQexecParams(live, statement, Int32(values.count), nil, values, nil, nil, 0)
        }
        return try check(result, statement)
    }

    /// Runs one or many statements without parameters: migrations and session settings.
    /// - Throws: ``DatabaseError``.
    package func execute(_ statements: String) throws {
        let live = try liveHandle(statements)
        _ = try check(PQexec(live, statements), statements)
    }

    /// Runs `body` between BEGIN and COMMIT; an error rolls back.
    ///
    /// When the connection breaks during COMMIT the error
    /// says ``DatabaseError/isCommitOutcomeUnknown``.
    /// - Throws: ``DatabaseError``, and what `body` throws.
    package func transaction<Result>(_ body: () throws -> Result) throws -> Result {
        try execute("BEGIN")
        let result: Result
        do {
            result = try body()
        } catch {
            if isUsable { try? execute("ROLLBACK") }
            throw error
        }
        do {
            let tag = try query("COMMIT")
            _ = tag
        } catch let error as DatabaseError where error.isConnectionLost {
            throw DatabaseError(
                sqlState: error.sqlState, message: error.message, detail: error.detail, remedy: error.remedy,
                operation: "COMMIT", isCommitOutcomeUnknown: true)
        }
        return result
    }

    /// Starts `COPY … FROM STDIN`; rows go through the writer.
    /// - Throws: ``DatabaseError``.
    package func copy(into table: String, columns: [String]) throws -> CopyWriter {
        let statement = "COPY \(table) (\(columns.joined(separator: ", "))) FROM STDIN"
        let live = try liveHandle(statement)
        guard let result = PQexec(live, statement) else { throw connectionError(statement) }
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_COPY_IN else { throw error(of: result, statement) }
        return CopyWriter(connection: self, statement: statement, columns: columns.count)
    }

    // MARK: For CopyReader and CopyWriter

    /// Hands out the messages of a `COPY … TO STDOUT`, whether it is the first with each.
    func withCopyOut(_ statement: String, _ body: (UnsafeBufferPointer<UInt8>, _ isFirst: Bool) -> Void) throws {
        let live = try liveHandle(statement)
        guard let result = PQexec(live, statement) else { throw connectionError(statement) }
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_COPY_OUT else { throw error(of: result, statement) }
        var isFirst = true
        while true {
            var message: UnsafeMutablePointer<CChar>?
            let length = PQgetCopyData(live, &message, 0)
            if length == -1 { break }
            guard length > 0, let message else { throw connectionError(statement) }
            message.withMemoryRebound(to: UInt8.self, capacity: Int(length)) { start in
                body(UnsafeBufferPointer(start: start, count: Int(length)), isFirst)
            }
            isFirst = false
            PQfreemem(message)
        }
        var failure: DatabaseError?
        while let result = PQgetResult(live) {
            if PQresultStatus(result) != PGRES_COMMAND_OK, failure == nil { failure = error(of: result, statement) }
            PQclear(result)
            if PQstatus(live) == CONNECTION_BAD { break }
        }
        if let failure { throw failure }
        if PQstatus(live) == CONNECTION_BAD { throw connectionError(statement) }
    }

    func putCopyData(_ bytes: UnsafeRawBufferPointer, _ statement: String) throws {
        let live = try liveHandle(statement)
        let start = bytes.bindMemory(to: CChar.self)
        if PQputCopyData(live, start.baseAddress, Int32(bytes.count)) != 1 { throw connectionError(statement) }
    }

    /// Ends the COPY, with `abort` as the reason not to keep it, and returns the rows the server took.
    func endCopy(abort: String?, _ statement: String) throws -> Int64 {
        let live = try liveHandle(statement)
        let ended = abort.map { PQputCopyEnd(live, $0) } ?? PQputCopyEnd(live, nil)
        if ended != 1 { throw connectionError(statement) }
        var rows: Int64 = 0
        var failure: DatabaseError?
        while let result = PQgetResult(live) {
            if PQresultStatus(result) == PGRES_COMMAND_OK {
                rows = PQcmdTuples(result).flatMap { Int64(String(cString: $0)) } ?? 0
            } else if failure == nil {
                failure = error(of: result, statement)
            }
            PQclear(result)
            if PQstatus(live) == CONNECTION_BAD { break }
        }
        if let failure, abort == nil { throw failure }
        if PQstatus(live) == CONNECTION_BAD { throw connectionError(statement) }
        return rows
    }

    // MARK: Details

    private func connect() throws {
        // Settings before dbname are defaults that the string may override; those after it hold.
        var settings: [(String, String)] = [
            ("connect_timeout", "10"), ("keepalives_idle", "30"), ("keepalives_interval", "10"),
            ("keepalives_count", "3"), ("tcp_user_timeout", "60000"),
            ("fallback_application_name", options.applicationName),
        ]
        if options.needsWritableServer { settings.append(("target_session_attrs", "read-write")) }
        settings.append(("dbname", connectionString))
        settings.append(("client_encoding", "UTF8"))
        let opened = withCStrings(settings.map(\.0)) { keywords in
            withCStrings(settings.map(\.1)) { values in PQconnectdbParams(keywords, values, 1) }
        }
        guard let opened else {
            throw DatabaseError(sqlState: "53200", message: "libpq is out of memory", operation: "connecting")
        }
        handle = opened
        guard PQstatus(opened) == CONNECTION_OK else {
            let failure = connectionError("connecting")
            close()
            throw failure
        }
        _ = PQsetNoticeProcessor(opened, { _, _ in }, nil)
        try execute(
            """
            SET TIME ZONE 'UTC'; SET datestyle = 'ISO, YMD'; SET bytea_output = 'hex';
            SET statement_timeout = '\(options.statementTimeout)s'; SET lock_timeout = '\(options.lockTimeout)s';
            SET idle_in_transaction_session_timeout = '\(options.idleTransactionTimeout)s'
            """)
    }

    private func liveHandle(_ statement: String) throws -> OpaquePointer {
        guard let handle else {
            throw DatabaseError(
                sqlState: "08003", message: "the connection is closed", operation: Self.headline(statement))
        }
        return handle
    }

    private func check(_ result: OpaquePointer?, _ statement: String) throws -> QueryResult {
        guard let result else { throw connectionError(statement) }
        switch PQresultStatus(result) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
            return QueryResult(result)
        default:
            defer { PQclear(result) }
            throw error(of: result, statement)
        }
    }

    private func error(of result: OpaquePointer, _ statement: String) -> DatabaseError {
        // PG_DIAG_* are character constants, which Swift imports as numbers.
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
        }
        let broken = PQstatus(handle) == CONNECTION_BAD
        let message = field("M") ?? PQresultErrorMessage(result).map { Self.oneLine(String(cString: $0)) } ?? "unknown"
        return DatabaseError(
            sqlState: field("C") ?? (broken ? "" : "XX000"), message: message, detail: field("D"), remedy: field("H"),
            operation: Self.headline(statement))
    }

    private func connectionError(_ statement: String) -> DatabaseError {
        let message = PQerrorMessage(handle).map { Self.oneLine(String(cString: $0)) } ?? "no connection"
        return DatabaseError(
            sqlState: "", message: message.isEmpty ? "the connection is lost" : message,
            remedy: statement == "connecting" ? Self.remedy(message) : nil,
            operation: Self.headline(statement))
    }

    private static func remedy(_ message: String) -> String {
        message.contains("read-only")
            ? "The server is a standby: name the primary, or all hosts of the cluster"
            : "See that the server runs and that the connection string (or PGHOST, PGSERVICE, ~/.pgpass) is right"
    }

    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: "; ")
    }

    /// The first 80 characters of a statement, on one line.
    private static func headline(_ statement: String) -> String {
        let line = statement.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return line.count > 80 ? String(line.prefix(80)) + "…" : line
    }
}

/// Calls `body` with a null-terminated array of C strings that live until it returns.
private func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
    var storage: [CChar] = []
    var offsets: [Int] = []
    for string in strings {
        offsets.append(storage.count)
        storage.append(contentsOf: string.utf8CString)
    }
    return storage.withUnsafeBufferPointer { bytes in
        var pointers = offsets.map { offset in bytes.baseAddress.map { $0 + offset } }
        pointers.append(nil)
        return pointers.withUnsafeBufferPointer { list in
            guard let start = list.baseAddress else { preconditionFailure("an array with a terminator has a start") }
            return body(start)
        }
    }
}
