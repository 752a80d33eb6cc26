import Glibc
package import Logging
import Synchronization

/// Where a service's log goes: standard error, one line for each message.
///
/// Under journald (`JOURNAL_STREAM` names standard error) a line begins with `<N>`, the priority of syslog(3), and has
/// no time of its own; elsewhere it begins with the time in UTC. A line that repeats within 30 seconds is written once,
/// and then with the number of repeats.
package enum LogOutput {
    /// Sends every logger's messages there.
    ///
    /// To be called once, before the first logger is made.
    ///
    /// - Parameters:
    ///   - level: messages below it are not written.
    ///   - environment: the process's, for `JOURNAL_STREAM`.
    package static func bootstrap(level: Logger.Level, environment: [String: String]) {
        let style: LogLine.Style = isJournal(environment) ? .journal : .plain
        let writer = LogWriter(style: style) { StandardError.write($0) }
        setLevel(level)
        LoggingSystem.bootstrap { label in StandardErrorHandler(label: label, writer: writer) }
    }

    fileprivate static let level = Mutex(Logger.Level.info)

    /// Changes the level of every logger from now on.
    package static func setLevel(_ new: Logger.Level) { level.withLock { $0 = new } }

    /// Whether standard error is the stream that journald gave this process.
    static func isJournal(_ environment: [String: String]) -> Bool {
        guard let stream = environment["JOURNAL_STREAM"] else { return false }
        var status = stat()
        guard fstat(2, &status) == 0 else { return false }
        return stream == "\(status.st_dev):\(status.st_ino)"
    }
}

/// A line's text.
enum LogLine {
    enum Style { case plain, journal }

    static func text(
        _ style: Style, level: Logger.Level, time_ms: Int64, message: String, metadata: Logger.Metadata
    ) -> String {
        let pairs = metadata.sorted { $0.key < $1.key }.map { " \($0.key)=\(quoted("\($0.value)"))" }.joined()
        let body = oneLine(message) + pairs
        switch style {
        case .journal: return "<\(priority(level))>\(body)\n"
        case .plain: return "\(SystemTime.text(time_ms)) \(level.rawValue): \(body)\n"
        }
    }

    /// The priority of syslog(3).
    static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .critical: 2
        case .error: 3
        case .warning: 4
        case .notice: 5
        case .info: 6
        case .debug, .trace: 7
        }
    }

    private static func quoted(_ text: String) -> String {
        let isPlain = !text.isEmpty && text.unicodeScalars.allSatisfy { $0 > " " && $0 != "\"" && $0 != "=" }
        return isPlain ? text : "\"" + oneLine(text).replacing("\"", with: "\\\"") + "\""
    }

    /// The text with control characters made visible, so that no input can forge a line.
    private static func oneLine(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F: result += "?"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// Writes lines, leaving out those that repeat.
final class LogWriter: Sendable {
    private struct Repeats {
        var since_ns: Int64
        var count: Int
    }

    private let style: LogLine.Style
    private let output: @Sendable (String) -> Void
    private let recent = Mutex<[String: Repeats]>([:])
    private static let window_ns: Int64 = 30_000_000_000

    init(style: LogLine.Style, output: @escaping @Sendable (String) -> Void) {
        self.style = style
        self.output = output
    }

    func write(
        level: Logger.Level, message: String, metadata: Logger.Metadata, time_ms: Int64 = SystemTime.now_ms(),
        monotonic_ns: Int64 = SystemTime.monotonic_ns()
    ) {
        let key = LogLine.text(.journal, level: level, time_ms: 0, message: message, metadata: metadata)
        let repeats = recent.withLock { recent -> Int? in
            if recent.count > 1_000 {
                recent = recent.filter { monotonic_ns - $0.value.since_ns < LogWriter.window_ns }
            }
            if let known = recent[key], monotonic_ns - known.since_ns < LogWriter.window_ns {
                recent[key]?.count += 1
                return nil
            }
            let count = recent[key]?.count ?? 0
            recent[key] = Repeats(since_ns: monotonic_ns, count: 0)
            return count
        }
        guard let repeats else { return }
        let message = repeats == 0 ? message : "\(message) (and \(repeats) times more since then)"
        output(LogLine.text(style, level: level, time_ms: time_ms, message: message, metadata: metadata))
    }
}

/// The handler that swift-log calls.
private struct StandardErrorHandler: LogHandler {
    let label: String
    var logLevel: Logger.Level {
        get { own ?? LogOutput.level.withLock { $0 } }
        set { own = newValue }
    }
    var metadata: Logger.Metadata = [:]
    let writer: LogWriter
    private var own: Logger.Level?

    init(label: String, writer: LogWriter) {
        self.label = label
        self.writer = writer
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata
        if let more = event.metadata { all.merge(more) { $1 } }
        if let error = event.error { all["error"] = "\(error)" }
        writer.write(level: event.level, message: event.message.description, metadata: all)
    }
}
