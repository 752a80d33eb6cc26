import DurableIO
import Glibc
import TestSupport
import Testing

/// A writing process that does what a test tells it, through the Swift or the Python client.
final class WriterDriver: @unchecked Sendable {
    /// Which client it links.
    enum Client: String, Sendable, CaseIterable {
        case swift, python

        /// Those that can run here.
        static var available: [Client] { TestServers.python == nil ? [.swift] : [.swift, .python] }
    }

    /// Ids for which `flush` was true, in order.
    private(set) var promised: [String] = []
    private let process: ChildProcess?
    private let folder: String
    private let fifo: String
    private let input: Int32
    private let output: String
    private var seen = 0

    /// Starts a writer.
    ///
    /// - Parameters:
    ///   - options: of the program, such as `seal_age=0.5`.
    ///   - wrapper: a command that runs the program, such as `unshare --pid --fork`.
    ///   - environment: further variables.
    init(
        _ client: Client, spool: String, in folder: String, options: [String] = [], wrapper: [String] = [],
        environment: [String: String] = [:]
    ) throws {
        self.folder = folder
        (fifo, input, output) = try Self.makeChannel(folder)
        let tests = DurableFile.folder(of: DurableFile.folder(of: #filePath))
        let program =
            switch client {
            case .swift: [BuiltPrograms.debug("event-writer-probe"), spool, "0", "0"]
            case .python: [TestServers.python ?? "python3", tests + "/Programs/event_writer_probe.py", spool]
            }
        // What a faulty disk makes of its cache must not stay.
        let environment = environment.merging(["PYTHONDONTWRITEBYTECODE": "1"]) { first, _ in first }
        let words = wrapper + program + ["commands=\(fifo)", "host=testhost"] + options
        process = try ChildProcess(words[0], Array(words.dropFirst()), environment: environment, output: output)
    }

    /// A child that a writer forks.
    private init(in folder: String) throws {
        self.folder = folder
        (fifo, input, output) = try Self.makeChannel(folder)
        process = nil
    }

    private static func makeChannel(_ folder: String) throws -> (fifo: String, input: Int32, output: String) {
        let name = folder + "/" + TestServers.randomName("writer")
        try #require(mkfifo(name + ".in", 0o600) == 0)
        // Read too, so that it neither waits for the writer nor loses what that has not read yet.
        let input = open(name + ".in", O_RDWR | O_CLOEXEC)
        try #require(input >= 0)
        return (name + ".in", input, name + ".out")
    }

    /// Everything that it has printed.
    var log: String { (try? DurableFile.read(path: output)).map { String(decoding: $0, as: UTF8.self) } ?? "" }

    /// Does a command and returns what it printed.
    @discardableResult
    func run(_ command: String, seconds: Double = 30) async throws -> [String] {
        try write(command)
        return try await answer(to: command, seconds: seconds)
    }

    /// Gives a command without waiting for it.
    func write(_ command: String) throws {
        let bytes = Array((command + "\n").utf8)
        try #require(Glibc.write(input, bytes, bytes.count) == bytes.count)
    }

    /// Waits until a command has been done.
    func answer(to command: String, seconds: Double = 30) async throws -> [String] {
        var lines: [String] = []
        for _ in 0..<Int(seconds * 50) {
            lines = log.split(separator: "\n", omittingEmptySubsequences: true).map(String.init)
            if lines.dropFirst(seen).contains("ok") { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        let fresh = lines.dropFirst(seen)
        let end = try #require(fresh.firstIndex(of: "ok"), "\(command): \(log.suffix(2000))")
        let said = Array(fresh[..<end])
        seen = end + 1
        promised += said.filter { $0.utf8.count == 36 && $0.contains("-") }
        return said
    }

    /// Events, flushed; all of them must be promised.
    func log(_ count: Int) async throws {
        let before = promised.count
        try await run("log \(count)")
        try #require(promised.count == before + count, "\(log.suffix(2000))")
    }

    /// Events, one by one, until one is promised; how many that took.
    func logUntilPromised() async throws -> Int {
        let before = promised.count
        var tries = 0
        let isPromised = try await eventually {
            tries += 1
            try await run("log 1")
            return promised.count > before
        }
        try #require(isPromised, "\(log.suffix(2000))")
        return tries
    }

    /// The writer's name.
    func name() async throws -> String {
        String(try #require(try await run("name").first { $0.hasPrefix("name ") }).dropFirst(5))
    }

    /// Appended, written, and dropped: buffer_full, disk_full, io_error, too_large, invalid.
    func counts() async throws -> [Int] {
        let line = try #require(try await run("status").first { $0.hasPrefix("counts ") })
        return line.split(separator: " ").dropFirst().compactMap { Int($0) }
    }

    /// A forked child that obeys on its own.
    func fork() async throws -> (child: WriterDriver, processID: pid_t) {
        let child = try WriterDriver(in: folder)
        let said = try await run("fork \(child.fifo) \(child.output)")
        let number = try #require(said.first { $0.hasPrefix("child ") }.flatMap { pid_t($0.dropFirst(6)) })
        _ = try await child.answer(to: "fork")
        return (child, number)
    }

    /// Closes the writer and ends its process.
    func closeAndEnd() async throws {
        #expect(try await run("close").contains("closed"), "\(log.suffix(2000))")
        try write("exit")
        if let process { #expect(try await process.end() == 0) }
    }

    /// Its process, or that of the command that wraps it.
    var processID: pid_t { process?.processID ?? -1 }

    func send(_ signal: Int32) { process?.send(signal) }

    /// Kills it at once.
    func kill() async throws {
        process?.send(SIGKILL)
        _ = try await process?.end()
    }

    deinit { close(input) }
}
