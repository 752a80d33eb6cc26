import EventModel
import EventWriting
import Glibc

/// Does what the lines of a FIFO say, so that a test can kill, freeze and starve a writer at the moment it wants.
///
///     log N            append N events and flush; prints each id for which flush was true
///     append N BYTES   append N events with so long a text; prints `accepted` and how many
///     wrong N          append N events that break the schema
///     huge N           append N events over 1 MiB
///     flush            prints `flushed` or `not flushed`
///     status           prints `counts`, then appended, written and the five numbers of dropped
///     name             prints `name` and the writer's
///     fork FIFO OUTPUT go on in a forked child with another FIFO, its output in a file; prints `child` and its pid
///     closefds         close every descriptor above 2, as daemons do; those of the FIFO stay
///     chdir PATH       change the working directory
///     close            prints `closed` or `not closed`
///     exit             end at once, without closing
/// `ok` follows whatever each prints.
///
/// `Tests/Programs/event_writer_probe.py` obeys the same commands.
final class Commands {
    private let log: EventWriter
    private var input: Int32
    private var output: Int32 = 1
    private var number = 0

    init(_ log: EventWriter, fifo: String) {
        self.log = log
        input = Self.open(fifo)
    }

    /// Opened for writing too, so that it never ends.
    private static func open(_ fifo: String) -> Int32 {
        let file = Glibc.open(fifo, O_RDWR | O_CLOEXEC)
        if file < 0 { fail("\(fifo): \(String(cString: strerror(errno)))") }
        return file
    }

    func obey() -> Never {
        while true {
            let words = readLine().split(separator: " ").map(String.init)
            guard let command = words.first else { continue }
            let count = words.count > 1 ? Int(words[1]) ?? 0 : 0
            switch command {
            case "log": logEvents(count)
            case "append": append(count, bytes: words.count > 2 ? Int(words[2]) ?? 0 : 0)
            case "wrong": for _ in 0..<count { log.append(.prediction(model: "", version: "1")) }
            case "huge":
                let text = String(repeating: "x", count: 1 << 20)
                for _ in 0..<count { log.append(.prediction(model: "probe", version: "1", prediction: .text(text))) }
            case "flush": say(log.flush() ? "flushed" : "not flushed", to: output)
            case "status": printStatus()
            case "name": say("name \(log.status.writer ?? "-")", to: output)
            case "fork": fork(words[1], words[2])
            case "closefds": for file in 3..<Int32(1024) where file != input && file != output { Glibc.close(file) }
            case "chdir": if chdir(words[1]) != 0 { fail("chdir \(words[1])") }
            case "close": say(log.close() ? "closed" : "not closed", to: output)
            case "exit": _exit(0)
            default: fail("not a command: \(command)")
            }
            say("ok", to: output)
        }
    }

    private func readLine() -> String {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while true {
            let count = read(input, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else { fail("the FIFO ended") }
            if byte == 0x0A { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
    }

    private func event(bytes: Int = 0) -> Prediction {
        number += 1
        return .prediction(
            model: "probe", version: "1", prediction: .text(String(repeating: "x", count: bytes)),
            features: ["number": .integer(number)], latency_seconds: 0.001)
    }

    private func logEvents(_ count: Int) {
        let ids = (0..<count).compactMap { _ in log.append(event())?.description }
        if log.flush() { for id in ids { say(id, to: output) } }
    }

    private func append(_ count: Int, bytes: Int) {
        var accepted = 0
        for _ in 0..<count where log.append(event(bytes: bytes)) != nil { accepted += 1 }
        say("accepted \(accepted)", to: output)
    }

    private func printStatus() {
        let counts = log.status.counts
        let dropped = counts.dropped.entries.map { "\($0.count)" }.joined(separator: " ")
        say("counts \(counts.appended) \(counts.written) \(dropped)", to: output)
    }

    private func fork(_ fifo: String, _ path: String) {
        let child = forkProcess()
        if child > 0 {
            say("child \(child)", to: output)
            return
        }
        guard child == 0 else { fail("fork") }
        input = Self.open(fifo)
        output = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        say("forked", to: output)
    }
}
