internal import DurableIO
internal import Glibc

/// A control group with a memory limit, for programs that must do with so much: real, so it needs root.
package final class MemoryGroup: Sendable {
    private let path: String
    private let isUnified: Bool

    /// Where groups are made: the hierarchy of version 1, or the unified one if it has the memory controller; nil where
    /// this process may not.
    private static let root: (path: String, isUnified: Bool)? = {
        if access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0,
            access("/sys/fs/cgroup/memory", W_OK) == 0
        {
            return ("/sys/fs/cgroup/memory", false)
        }
        let control = "/sys/fs/cgroup/cgroup.subtree_control"
        guard let words = try? DurableFile.read(path: control),
            String(decoding: words, as: UTF8.self).split(whereSeparator: \.isWhitespace).contains("memory"),
            access("/sys/fs/cgroup", W_OK) == 0
        else { return nil }
        return ("/sys/fs/cgroup", true)
    }()

    /// Whether groups can be made here.
    package static let isPossible = root != nil && geteuid() == 0

    /// Makes a group whose processes may use so many bytes together, page cache included.
    package init(limit: Int) throws {
        let root = Self.root ?? ("", true)
        isUnified = root.isUnified
        path = "\(root.path)/nadi-test-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        guard mkdir(path, 0o755) == 0 else { throw SystemError.current("make a control group", path) }
        try write(isUnified ? "memory.max" : "memory.limit_in_bytes", "\(limit)")
        // Without it a limit would only fill the swap.
        try? write(isUnified ? "memory.swap.max" : "memory.memsw.limit_in_bytes", isUnified ? "0" : "\(limit)")
    }

    deinit {
        // A process that has just ended may still be listed.
        for _ in 0..<100 where rmdir(path) != 0 { usleep(20_000) }
    }

    /// The words that start a program in the group: `sh -c … program arguments…`.
    package func command(_ program: String, _ arguments: [String]) -> [String] {
        ["-c", "echo $$ > \(path)/cgroup.procs && exec \"$@\"", "sh", program] + arguments
    }

    /// How often the kernel killed a process of the group for want of memory.
    package var kills: Int {
        let name = isUnified ? "memory.events" : "memory.oom_control"
        guard let bytes = try? DurableFile.read(path: "\(path)/\(name)") else { return 0 }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix("oom_kill ") {
            return Int(line.dropFirst(9)) ?? 0
        }
        return 0
    }

    private func write(_ name: String, _ text: String) throws {
        let descriptor = open("\(path)/\(name)", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError.current("open", "\(path)/\(name)") }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw SystemError.current("write", "\(path)/\(name)")
        }
    }
}
