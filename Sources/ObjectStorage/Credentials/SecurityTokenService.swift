internal import Glibc

/// AWS's Security Token Service, or a store's own: turns an identity into temporary credentials of a role.
///
/// <https://docs.aws.amazon.com/STS/latest/APIReference/>
struct SecurityTokenService: Sendable {
    /// `https://sts.eu-west-1.amazonaws.com`, or a store's endpoint.
    let endpoint: String
    private let host: String
    private let region: String
    private let http: HTTPSettings

    /// - Parameters:
    ///   - endpoint: a URL; nil for AWS's in the region.
    ///   - region: the region to sign for.
    ///   - http: certificates; its time limits are replaced.
    init(endpoint: String?, region: String, http: HTTPSettings) throws(StorageError) {
        let isChina = region.hasPrefix("cn-")
        let (scheme, host) = try S3Endpoint.split(
            endpoint ?? "https://sts.\(region).amazonaws.com\(isChina ? ".cn" : "")")
        self.endpoint = "\(scheme)://\(host)"
        self.host = host
        self.region = region
        var http = http
        http.connectTimeout_s = min(http.connectTimeout_s, 5)
        http.requestTimeout_s = 15
        http.maxConnections = 1
        self.http = http
    }

    /// One call, unsigned where there are no credentials to sign with.
    ///
    /// A clock that is off is learnt from the answer and the call repeated, once.
    func call(
        _ action: String, _ parameters: [(name: String, value: String)], signedBy credentials: Credentials?,
        source: String
    ) async throws(StorageError) -> TemporaryCredentials {
        let operation = "\(action) at \(endpoint)"
        let form = [("Action", action), ("Version", "2011-06-15")] + parameters
        let body = Array(SignatureV4.canonicalQuery(form).utf8)
        var offset_s: Int64 = 0
        for attempt in 0..<2 {
            let response = try await CredentialService.send(
                .post, endpoint + "/", headers: headers(body, credentials, CivilTime.now() + offset_s), body: body,
                http: http, operation: operation)
            if response.status == 200 { return try read(response, source, operation) }
            let date = response["date"].flatMap { CivilTime.seconds(http: $0) }
            if attempt == 0, credentials != nil, let difference = date.map({ $0 - CivilTime.now() }),
                abs(difference) > 240
            {
                offset_s = difference
                continue
            }
            throw failure(response, operation)
        }
        throw StorageError(.unknown, operation: operation, message: "no attempt was made")
    }

    private func headers(
        _ body: [UInt8], _ credentials: Credentials?, _ date: Int64
    ) -> [(name: String, value: String)] {
        let plain = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")]
        guard let credentials else { return plain }
        let request = SignatureV4.Request(
            method: "POST", path: "/", query: [], headers: [("host", host)] + plain,
            payloadHash: S3Store.payloadHash(body))
        return SignatureV4(region: region, service: "sts").headers(request, credentials: credentials, date: date)
    }

    private func read(
        _ response: HTTPResponse, _ source: String, _ operation: String
    ) throws(StorageError) -> TemporaryCredentials {
        guard let root = try? XMLElement(response.body), let found = root.first("Credentials"),
            let id = found["AccessKeyId"], let secret = found["SecretAccessKey"], let token = found["SessionToken"]
        else {
            throw StorageError(
                .invalidResponse, operation: operation, status: response.status,
                message: "the answer holds no credentials",
                remedy: "check that \(endpoint) is a security token service and no proxy stands between")
        }
        return try CredentialService.make(
            id: id, secret: secret, token: token, expiration: found["Expiration"], source: source,
            operation: operation)
    }

    private func failure(_ response: HTTPResponse, _ operation: String) -> StorageError {
        let error = (try? XMLElement(response.body))?.first("Error")
        let code = trim(error?["Code"] ?? "")
        let known: [String: StorageError.Kind] = [
            "AccessDenied": .accessDenied, "AccessDeniedException": .accessDenied, "IDPCommunicationError": .server,
            "Throttling": .throttled, "ThrottlingException": .throttled, "RequestLimitExceeded": .throttled,
            "InternalFailure": .server, "ServiceUnavailable": .server,
        ]
        let kind =
            known[code] ?? (response.status == 429 ? .throttled : response.status >= 500 ? .server : .credentials)
        let message = trim(error?["Message"] ?? "")
        return StorageError(
            kind, operation: operation, status: response.status, code: plain(code),
            message: message.isEmpty ? "the service answered \(response.status)" : plain(message),
            remedy: kind == .accessDenied || kind == .credentials
                ? "check the role's name, whom it trusts, and the credentials or token that ask for it" : nil)
    }

    /// A session name for the service's own log: `nadi-<host>`, of the letters it allows.
    static func sessionName(_ environment: Environment) -> String {
        if let name = environment["AWS_ROLE_SESSION_NAME"] { return name }
        var buffer = [CChar](repeating: 0, count: 256)
        gethostname(&buffer, buffer.count - 1)
        let host = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let allowed = host.filter { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        return "nadi-" + String(decoding: allowed.prefix(59), as: UTF8.self)
    }
}

/// A role that somebody with credentials of his own may take on (`AssumeRole`).
struct AssumedRole: CredentialsSource {
    let role: Role
    let base: any CredentialsProvider
    let service: SecurityTokenService

    /// What a profile or the environment says of a role.
    struct Role: Hashable, Sendable {
        var arn: String
        var sessionName: String
        var externalID: String?
        var duration_s: Int?

        var parameters: [(name: String, value: String)] {
            [("RoleArn", arn), ("RoleSessionName", sessionName)]
                + (duration_s.map { [("DurationSeconds", "\($0)")] } ?? [])
                + (externalID.map { [("ExternalId", $0)] } ?? [])
        }
    }

    var name: String { "role \(plain(role.arn)), taken on with \(base.name)" }

    func fetch() async throws(StorageError) -> TemporaryCredentials {
        let own = try await base.credentials()
        do {
            return try await service.call("AssumeRole", role.parameters, signedBy: own, source: name)
        } catch {
            if error.kind == .credentials || error.kind == .accessDenied { base.refused(own, isCertain: true) }
            throw error
        }
    }
}

/// A role that a token of another identity provider stands for (`AssumeRoleWithWebIdentity`): Kubernetes service accounts
/// of EKS, and what imitates them.
///
/// The token's file is read for each request, because it is replaced while the program runs.
struct WebIdentityRole: CredentialsSource {
    let role: AssumedRole.Role
    let tokenFile: String
    let service: SecurityTokenService

    var name: String { "role \(plain(role.arn)) by the web identity in \(tokenFile)" }

    func fetch() async throws(StorageError) -> TemporaryCredentials {
        let token = try CredentialService.token(file: tokenFile, operation: "fetch credentials of \(name)")
        return try await service.call(
            "AssumeRoleWithWebIdentity", role.parameters + [("WebIdentityToken", token)], signedBy: nil, source: name)
    }
}
