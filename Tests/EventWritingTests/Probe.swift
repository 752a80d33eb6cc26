import Glibc
import Testing

/// A run of the program `event-writer-probe`, which lies beside the tests' own.
final class Probe {
    let pid: pid_t
    private let outputPath: String

    init(_ spool: Spool, _ arguments: String...) throws {
        outputPath = spool.path + ".\(UInt64.random(in: 0...UInt64.max)).out"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        let all = [Self.path, spool.path] + arguments
        var argv: [UnsafeMutablePointer<CChar>?] = all.map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, Self.path, &actions, nil, &argv, environ)
        try #require(code == 0, "\(Self.path): \(String(cString: strerror(code)))")
        self.pid = pid
    }

    deinit { unlink(outputPath) }

    /// The program, in the folder of the running tests' program.
    static var path: String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let own = String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let fromProcess = own.split(separator: "/").dropLast().joined(separator: "/")
        for folder in ["/" + fromProcess, folderOfTests] where access(folder + "/event-writer-probe", X_OK) == 0 {
            return folder + "/event-writer-probe"
        }
        return "event-writer-probe"
    }

    /// The folder of the first argument that looks like the tests' bundle: the runner may be a helper program.
    private static var folderOfTests: String {
        for argument in CommandLine.arguments where argument.hasSuffix(".xctest") {
            return "/" + argument.split(separator: "/").dropLast().joined(separator: "/")
        }
        return "."
    }

    /// Lines that it has printed so far, whole ones.
    func output() throws -> [String] {
        let bytes = try readFile(outputPath)
        guard let end = bytes.lastIndex(of: 0x0A) else { return [] }
        return String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\n").map(String.init)
    }

    func kill(_ signal: Int32) { _ = Glibc.kill(pid, signal) }

    /// Waits for its end and returns the exit status, or 128 and the signal.
    func wait() -> Int {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status & 0x7F == 0 ? Int(status >> 8 & 0xFF) : 128 + Int(status & 0x7F)
    }
}
