/// The endpoint that a container is given for its credentials: Amazon ECS, EKS Pod Identity, and what imitates them.
///
/// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` (at 169.254.170.2) or `AWS_CONTAINER_CREDENTIALS_FULL_URI`, with the token of
/// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` (read each time) or `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
package struct ContainerCredentials: CredentialsSource {
    /// Hosts that are this machine or the container's agent, so that credentials may pass unencrypted.
    private static let nearHosts: Set<String> = [
        "localhost", "169.254.170.2", "169.254.170.23", "[::1]", "[fd00:ec2::23]",
    ]
    private static let operation = "fetch the container's credentials"

    private enum Token: Sendable {
        case none
        case file(String)
        case text(String)
    }

    package let name: String
    private let url: String
    private let token: Token

    /// Reads the variables.
    ///
    /// - Parameters:
    ///   - environment: the variables.
    ///   - agent: where the relative form is.
    /// - Returns: nil where neither variable is set.
    /// - Throws: `StorageError` of kind `configuration` for an address that credentials must not be fetched from.
    package init?(environment: Environment, agent: String = "http://169.254.170.2") throws(StorageError) {
        if let relative = environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] {
            url = agent + (relative.hasPrefix("/") ? relative : "/\(relative)")
        } else if let full = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] {
            url = trim(full)
            try Self.check(url)
        } else {
            return nil
        }
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Self.refuse("holds a space or a control character", "write a URL")
        }
        if let path = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] {
            token = .file(path)
        } else if let text = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"] {
            token = .text(text)
        } else {
            token = .none
        }
        name = "the container's endpoint"
    }

    package func fetch() async throws(StorageError) -> TemporaryCredentials {
        let authorization: String? =
            switch token {
            case .none: nil
            case .file(let path): try CredentialService.token(file: path, operation: Self.operation)
            case .text(let text):
                try CredentialService.token(
                    text, source: "AWS_CONTAINER_AUTHORIZATION_TOKEN", operation: Self.operation)
            }
        let response = try await CredentialService.send(
            .get, url,
            headers: [("accept", "application/json")] + (authorization.map { [("authorization", $0)] } ?? []),
            http: CredentialService.nearby(), operation: Self.operation)
        guard response.status == 200 else {
            throw StorageError(
                (500..<600).contains(response.status) || response.status == 429 ? .server : .credentials,
                operation: Self.operation, status: response.status,
                message: "\(name) answered \(CredentialService.reason(response))",
                remedy: "check the role of the task or pod, and the authorization token")
        }
        return try CredentialService.read(json: response.body, source: name, operation: Self.operation)
    }

    private static func check(_ url: String) throws(StorageError) {
        let lower = url.lowercased()
        if lower.hasPrefix("https://") { return }
        guard lower.hasPrefix("http://") else { throw refuse("is no URL", "write http://... or https://...") }
        let authority = lower.dropFirst(7).prefix { !"/?#".contains($0) }
        guard !authority.contains("@") else { throw refuse("holds a user name", "write host and path only") }
        let host =
            authority.hasPrefix("[")
            ? String(authority.prefix { $0 != "]" }) + "]" : String(authority.prefix { $0 != ":" })
        guard nearHosts.contains(host) || isLoopback(host) else {
            throw refuse(
                "names \(plain(host)), which is neither this machine nor a container's agent",
                "use https:// for other hosts")
        }
    }

    /// Whether it is an address of 127.0.0.0/8, and no name that only begins like one.
    private static func isLoopback(_ host: String) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private static func refuse(_ message: String, _ remedy: String) -> StorageError {
        StorageError(
            .configuration, operation: operation, message: "AWS_CONTAINER_CREDENTIALS_FULL_URI \(message)",
            remedy: remedy)
    }
}
