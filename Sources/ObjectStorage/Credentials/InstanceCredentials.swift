/// The role of the machine, from EC2's instance metadata service, version 2 only: a token is asked for first, and version
/// 1, which hands credentials to whoever can make a program send a GET, is never used.
///
/// `AWS_EC2_METADATA_SERVICE_ENDPOINT`, `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` (`IPv4`, `IPv6`) and
/// `AWS_METADATA_SERVICE_TIMEOUT` (seconds for each of the three requests, 1 by default) are honoured.
package struct InstanceCredentials: CredentialsSource {
    private static let operation = "fetch the machine's credentials"
    private static let folder = "/latest/meta-data/iam/security-credentials/"

    package let name: String
    private let endpoint: String
    private let timeout_s: Double

    /// Reads the variables; asks nothing yet.
    ///
    /// - Throws: `StorageError` of kind `configuration` if the endpoint is no URL.
    package init(environment: Environment) throws(StorageError) {
        let mode = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.lowercased()
        let standard = mode == "ipv6" ? "http://[fd00:ec2::254]" : "http://169.254.169.254"
        let (scheme, host) = try S3Endpoint.split(environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] ?? standard)
        endpoint = "\(scheme)://\(host)"
        timeout_s = min(30, max(0.1, environment["AWS_METADATA_SERVICE_TIMEOUT"].flatMap { Double($0) } ?? 1))
        name = "the machine's role (instance metadata at \(endpoint))"
    }

    package func fetch() async throws(StorageError) -> TemporaryCredentials {
        let token = try await token()
        let roles = try await get(Self.folder, token, "the machine has no role: attach an instance profile to it")
        let role = trim(String(decoding: roles, as: UTF8.self).split(whereSeparator: \.isNewline).first ?? "")
        guard !role.isEmpty, role.utf8.count <= 256 else {
            throw failure(.credentials, 200, "it names no role", "attach an instance profile to the machine")
        }
        let path = Self.folder + PercentEncoding.encode(role, keepingSlash: false)
        let body = try await get(path, token, "check the machine's instance profile")
        return try CredentialService.read(json: body, source: name, operation: Self.operation)
    }

    private func token() async throws(StorageError) -> String {
        let response: HTTPResponse
        do {
            response = try await send(.put, "/latest/api/token", [("x-aws-ec2-metadata-token-ttl-seconds", "21600")])
        } catch {
            guard error.kind == .timeout || error.kind == .unreachable else { throw error }
            var error = error
            error.remedy =
                "if this is a machine of EC2, allow instance metadata; in a container raise its hop limit to 2 "
                + "(HttpPutResponseHopLimit); elsewhere give credentials by the environment or a file"
            throw error
        }
        guard response.status == 200 else {
            throw failure(
                .credentials, response.status, "the request for a token was answered with \(response.status)",
                response.status == 403
                    ? "instance metadata is switched off for this machine: switch it on, or give credentials otherwise"
                    : "version 2 of instance metadata is needed (IMDSv2)")
        }
        return try CredentialService.token(
            String(decoding: response.body, as: UTF8.self), source: name, operation: Self.operation)
    }

    private func get(_ path: String, _ token: String, _ remedy: String) async throws(StorageError) -> [UInt8] {
        let response = try await send(.get, path, [("x-aws-ec2-metadata-token", token)])
        guard response.status == 200 else {
            throw failure(
                (500..<600).contains(response.status) ? .server : .credentials, response.status,
                "\(path) was answered with \(CredentialService.reason(response))", remedy)
        }
        return response.body
    }

    private func send(
        _ method: HTTPRequest.Method, _ path: String, _ headers: [(name: String, value: String)]
    ) async throws(StorageError) -> HTTPResponse {
        try await CredentialService.send(
            method, endpoint + path, headers: headers, http: CredentialService.nearby(timeout_s: timeout_s),
            operation: Self.operation)
    }

    private func failure(
        _ kind: StorageError.Kind, _ status: Int, _ message: String, _ remedy: String
    ) -> StorageError {
        StorageError(
            kind, operation: Self.operation, status: status, message: "\(name): \(message)", remedy: remedy)
    }
}
