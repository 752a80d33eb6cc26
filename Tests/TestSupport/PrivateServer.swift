internal import DurableIO

/// A server of a test's own, which it may stop and start again, through `deploy/servers`.
package final class PrivateServer: Sendable {
    private let folder: String
    private let arguments: [String]
    private let script: String
    /// What the server said of itself when it first started.
    package let values: [String: String]

    /// Starts `postgres`, or `seaweedfs` with a bucket, in a folder.
    package init(_ kind: String, in folder: String, _ arguments: String...) throws {
        self.folder = folder
        script = DurableFile.folder(of: DurableFile.folder(of: DurableFile.folder(of: #filePath))) + "/deploy/servers"
        self.arguments = ["start", kind, folder, "0"] + arguments
        values = try Self.start(script, self.arguments, folder)
    }

    deinit { stop() }

    /// Starts it again with the same data on the same port.
    package func start() throws {
        _ = try Self.start(script, arguments, folder)
    }

    /// Stops it; its data stays.
    package func stop() {
        _ = try? ChildProcess(script, ["stop", folder]).wait()
    }

    private static func start(_ script: String, _ arguments: [String], _ folder: String) throws -> [String: String] {
        let output = folder + "-" + TestServers.randomName("answer")
        var environment: [String: String] = [:]
        if let folder = TestServers.variable("NADI_VENV") { environment["NADI_VENV"] = folder }
        let child = try ChildProcess(script, arguments, environment: environment, output: output)
        let status = child.wait()
        let text = String(decoding: try DurableFile.read(path: output), as: UTF8.self)
        guard status == 0 else { throw ServerError(text: text) }
        var values: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
        }
        return values
    }
}

/// What `deploy/servers` said when it failed.
package struct ServerError: Error, CustomStringConvertible {
    let text: String

    package var description: String { "deploy/servers: \(text)" }
}
