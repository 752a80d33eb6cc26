internal import DurableIO
internal import Dispatch
internal import Glibc

/// A program named by a profile's `credential_process`, whose output is the credentials: IAM Roles Anywhere's helper,
/// password managers, and the like.
///
/// The command is the profile's: it is run by `/bin/sh`, with this process's environment and none of its descriptors. It
/// has 60 seconds; what it says on its standard error is thrown away, since it may hold secrets.
struct ProcessCredentials: CredentialsSource {
    private static let operation = "run credential_process"

    let name: String
    let command: String
    var timeout_s = 60.0

    init(command: String, profile: String, timeout_s: Double = 60) {
        self.command = command
        self.timeout_s = timeout_s
        name = "credential_process of profile \(profile)"
    }

    func fetch() async throws(StorageError) -> TemporaryCredentials {
        let (command, timeout_s) = (command, timeout_s)
        let result = await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(returning: Self.run(command, timeout_s: timeout_s))
            }
        }
        switch result {
        case .failure(let fault): throw failure(fault.reason)
        case .success(let output):
            return try CredentialService.read(json: output, source: name, operation: Self.operation)
        }
    }

    private struct Fault: Error {
        let reason: String
    }

    private func failure(_ reason: String) -> StorageError {
        StorageError(
            .credentials, operation: Self.operation, message: "\(name) \(reason)",
            remedy:
                "run the command by hand as this program's user; it must print JSON with AccessKeyId and SecretAccessKey"
        )
    }

    /// Runs the command to its end and collects what it prints, at most 64 KiB.
    private static func run(_ command: String, timeout_s: Double) -> Result<[UInt8], Fault> {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return .failure(Fault(reason: "cannot be started (errno \(errno))")) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        for entry in (try? DurableFile.list("/proc/self/fd")) ?? [] {
            if let descriptor = Int32(entry.name), descriptor > 2 {
                posix_spawn_file_actions_addclose(&actions, descriptor)
            }
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A group of its own, so that what the command started can be ended with it; signals as a program expects them.
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        var words: [UnsafeMutablePointer<CChar>?] = ["/bin/sh", "-c", command].map { (word: String) in strdup(word) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, "/bin/sh", &actions, &attributes, &words, environ)
        close(ends[1])
        guard code == 0 else { return .failure(Fault(reason: "cannot be started (errno \(code))")) }
        let (output, fault) = read(ends[0], until: monotonic_s() + timeout_s)
        if fault != nil { kill(-child, SIGKILL) }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        if let fault { return .failure(fault) }
        guard status & 0x7F == 0, status >> 8 & 0xFF == 0 else {
            return .failure(
                Fault(reason: "ended with status \(status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F)"))
        }
        return .success(output)
    }

    private static func read(_ descriptor: Int32, until end: Double) -> ([UInt8], Fault?) {
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let left = end - monotonic_s()
            guard left > 0 else { return (output, Fault(reason: "took too long")) }
            var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&watched, 1, Int32(min(left * 1000, 60_000)) + 1) > 0 else { continue }
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { return (output, nil) }
            guard count > 0 else {
                if errno == EINTR { continue }
                return (output, Fault(reason: "cannot be read (errno \(errno))"))
            }
            output += chunk[..<count]
            guard output.count <= 65_536 else { return (output, Fault(reason: "printed more than 64 KiB")) }
        }
    }

    private static func monotonic_s() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
