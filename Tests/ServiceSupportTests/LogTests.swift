import Logging
import Synchronization
import Testing

@testable import ServiceSupport

@Suite struct LogTests {
    @Test func linesHaveAPriorityUnderJournaldAndATimeElsewhere() {
        let metadata: Logger.Metadata = ["key": "a b", "n": "3", "empty": ""]
        #expect(
            LogLine.text(.journal, level: .warning, time_ms: 0, message: "m", metadata: metadata)
                == "<4>m empty=\"\" key=\"a b\" n=3\n")
        #expect(
            LogLine.text(.plain, level: .error, time_ms: 1_700_000_000_123, message: "m", metadata: [:])
                == "2023-11-14T22:13:20.123Z error: m\n")
    }

    @Test func noInputForgesALine() {
        let text = LogLine.text(
            .journal, level: .info, time_ms: 0, message: "a\n<0>b", metadata: ["k": "x\r\n\u{1B}[2J\"y"])
        #expect(text == "<6>a\\n<0>b k=\"x\\r\\n?[2J\\\"y\"\n")
        #expect(text.count { $0.isNewline } == 1)
    }

    @Test func repeatsAreCountedNotWritten() {
        let lines = Mutex<[String]>([])
        let writer = LogWriter(style: .journal) { line in lines.withLock { $0.append(line) } }
        for second in 0..<10 {
            writer.write(level: .error, message: "no", metadata: [:], monotonic_ns: Int64(second) * 1_000_000_000)
        }
        writer.write(level: .error, message: "no", metadata: ["file": "b"], monotonic_ns: 0)
        writer.write(level: .error, message: "no", metadata: [:], monotonic_ns: 31_000_000_000)
        #expect(lines.withLock { $0 } == ["<3>no\n", "<3>no file=b\n", "<3>no (and 9 times more since then)\n"])
    }
}
