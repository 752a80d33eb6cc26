internal import DurableIO
internal import Synchronization

/// Credentials of a profile in AWS's shared files, read again when a file changed and after the store refused them.
package final class SharedFileCredentials: CredentialsProvider {
    private struct State {
        var fingerprint: [DirectoryEntry?]?
        var value: Credentials?
    }

    package let name: String
    private let files: SharedFiles
    private let state = Mutex(State())

    /// Reads nothing yet.
    package init(_ files: SharedFiles) {
        self.files = files
        name = "profile \(files.profile) in \(files.paths.joined(separator: ", "))"
    }

    package func credentials() async throws(StorageError) -> Credentials {
        guard let value = try current() else {
            throw StorageError(
                .configuration, operation: "read credentials", message: "\(name) holds no aws_access_key_id",
                remedy: "add aws_access_key_id and aws_secret_access_key to the profile")
        }
        return value
    }

    package func refused(_ credentials: Credentials) {
        state.withLock { $0.fingerprint = nil }
    }

    /// Whether the profile holds keys now.
    func readIfPresent() throws(StorageError) -> Bool {
        try current() != nil
    }

    private func current() throws(StorageError) -> Credentials? {
        let fingerprint = files.fingerprint()
        return try state.withLock { state throws(StorageError) -> Credentials? in
            if state.fingerprint == fingerprint { return state.value }
            state.value = try read()
            state.fingerprint = fingerprint
            return state.value
        }
    }

    private func read() throws(StorageError) -> Credentials? {
        let settings = try files.settings()
        guard let id = settings["aws_access_key_id"] else {
            let unsupported = ["role_arn", "credential_process", "sso_session", "sso_start_url"].first {
                settings[$0] != nil
            }
            if let unsupported {
                throw StorageError(
                    .configuration, operation: "read credentials",
                    message: "\(name) uses \(unsupported), which is not supported",
                    remedy: "put aws_access_key_id and aws_secret_access_key into the profile or the environment")
            }
            return nil
        }
        return try Credentials(
            accessKeyID: id, secretAccessKey: settings["aws_secret_access_key"] ?? "",
            sessionToken: settings["aws_session_token"], source: name)
    }
}
