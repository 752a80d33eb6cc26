import DurableIO
import Glibc
import TestSupport
import Testing

/// A tmpfs over a folder of a test's own.
struct FullDisk {
    let path: String

    /// Whether this user may mount one.
    static var canMount: Bool {
        guard let folder = try? ScratchFolder(), mount("tmpfs", folder.path, "tmpfs", 0, "size=64k") == 0 else {
            return false
        }
        return umount2(folder.path, Int32(bitPattern: 2 /* MNT_DETACH */)) == 0
    }

    /// - Parameter options: such as `size=4m,nr_inodes=100`.
    init(on path: String, options: String) throws {
        self.path = path
        try #require(mount("tmpfs", path, "tmpfs", 0, "mode=777,\(options)") == 0)
    }

    /// Writes a file until not one byte is left.
    func fill() throws {
        let descriptor = open("\(path)/.filler", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        defer { close(descriptor) }
        for size in [65_536, 4_096, 1] {
            let block = [UInt8](repeating: 120, count: size)
            while write(descriptor, block, size) == size {}
        }
        try #require(errno == ENOSPC)
    }

    func remove() { umount2(path, Int32(bitPattern: 2 /* MNT_DETACH */)) }
}

/// Programs that tests need and that lie beside the tests' Python or in PATH.
enum ProgramPath {
    static func find(_ name: String) -> String? {
        var folders = (TestServers.variable("PATH") ?? "").split(separator: ":").map(String.init)
        if let venv = TestServers.variable("NADI_VENV") { folders.insert("\(venv)/bin", at: 0) }
        return folders.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }
}

/// A SeaweedFS of a test's own, with keys that may not do everything.
final class RestrictedStore {
    private let folder: String
    private let script: String
    private var values: [String: String] = [:]

    init(in folder: String) throws {
        self.folder = folder
        script = DurableFile.folder(of: DurableFile.folder(of: DurableFile.folder(of: #filePath))) + "/deploy/servers"
        let output = folder + "-answer"
        var environment: [String: String] = [:]
        if let venv = TestServers.variable("NADI_VENV") { environment["NADI_VENV"] = venv }
        let status = try ChildProcess(
            script, ["start", "seaweedfs", folder, "0", "restricted"], environment: environment, output: output
        ).wait()
        let text = String(decoding: try DurableFile.read(path: output), as: UTF8.self)
        try #require(status == 0, "\(text)")
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
        }
    }

    func stop() { _ = try? ChildProcess(script, ["stop", folder]).wait() }

    /// The store by the key of `WRITER` (may write only) or `LOADER` (may read and list only).
    func store(_ user: String) throws -> TestServers.S3 {
        TestServers.S3(
            endpoint: try #require(values["S3_ENDPOINT"]),
            accessKey: try #require(values["S3_\(user)_ACCESS_KEY"]),
            secretKey: try #require(values["S3_\(user)_SECRET_KEY"]), bucket: "restricted")
    }
}
