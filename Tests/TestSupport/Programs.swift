internal import DurableIO
internal import Glibc

/// Files that tests share, and programs that they run.
package enum Fixtures {
    /// The path of a file below `Tests/Fixtures`.
    package static func path(_ name: String, from file: String = #filePath) -> String {
        let support = DurableFile.folder(of: file)
        return "\(DurableFile.folder(of: support))/Fixtures/\(name)"
    }
}

/// The package's own programs, as they were built for the tests.
package enum BuiltPrograms {
    /// The path of a program of this package: the debug build, which comes with the tests.
    package static func debug(_ name: String) -> String {
        "\(TestServers.variable("NADI_TEST_BINARIES") ?? "\(root)/.build/debug")/\(name)"
    }

    /// The path of `nadi`, `nadi-shipper` or `event-writer-probe` as users have it (release, static Swift libraries), for
    /// tests that look at speed or memory. `Tests/run` builds these; without them, the debug build.
    package static func release(_ name: String) -> String {
        TestServers.variable("NADI_TEST_RELEASE_BINARIES").map { "\($0)/\(name)" } ?? debug(name)
    }

    /// Whether `release` gives release builds.
    package static var areReleased: Bool { TestServers.variable("NADI_TEST_RELEASE_BINARIES") != nil }

    /// The repository's folder.
    package static var root: String { DurableFile.folder(of: DurableFile.folder(of: DurableFile.folder(of: #filePath))) }
}

/// A child process, killed when the last reference goes.
package final class ChildProcess: @unchecked Sendable {
    /// Its number.
    package let processID: Int32
    private var status: Int32?

    /// Starts a program found by its path or in PATH, with PATH, HOME, TMPDIR and `environment`; its output is appended to
    /// the file `output`, or goes nowhere.
    package init(
        _ program: String, _ arguments: [String], environment added: [String: String] = [:], output: String? = nil
    ) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output ?? "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var number: pid_t = 0
        let environment =
            ["PATH", "HOME", "TMPDIR"].compactMap { name in
                TestServers.variable(name).map { "\(name)=\($0)" }
            } + added.map { "\($0.key)=\($0.value)" }
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) }
        variables.append(nil)
        defer { for variable in variables { free(variable) } }
        let code = posix_spawnp(&number, program, &actions, nil, words, variables)
        guard code == 0 else { throw SystemError(operation: "start", path: program, code: code) }
        processID = number
    }

    deinit {
        if status == nil {
            kill(processID, SIGKILL)
            waitpid(processID, nil, 0)
        }
    }

    /// Sends a signal, for example `SIGTERM`; nothing once its end was awaited.
    package func send(_ signal: Int32) {
        if status == nil { kill(processID, signal) }
    }

    /// Whether it has ended by now.
    package func hasEnded() -> Bool {
        var word: Int32 = 0
        if status == nil, waitpid(processID, &word, WNOHANG) == processID { status = Self.status(word) }
        return status != nil
    }

    /// Waits for its end without holding a thread: the exit status, or 128 and the signal's number.
    package func end() async throws -> Int32 {
        while status == nil {
            var word: Int32 = 0
            if waitpid(processID, &word, WNOHANG) == processID {
                status = Self.status(word)
            } else {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        return wait()
    }

    /// Waits for its end: the exit status, or 128 and the signal's number.
    package func wait() -> Int32 {
        if let status { return status }
        var word: Int32 = 0
        while waitpid(processID, &word, 0) < 0, errno == EINTR {}
        let code = Self.status(word)
        status = code
        return code
    }

    private static func status(_ word: Int32) -> Int32 { word & 0x7F == 0 ? word >> 8 & 0xFF : 128 + word & 0x7F }
}
