internal import DurableIO
internal import EventModel

/// Requests to the services that hand out credentials: a connection of their own for each, never through a redirect.
enum CredentialService {
    /// Answers are a few KiB.
    static let responseLimit = 1 << 18

    /// Limits for services next door (a container's or a machine's): a dead one costs seconds, and a proxy is never asked
    /// for an address that only this host has.
    static func nearby(timeout_s: Double = 2) -> HTTPSettings {
        var http = HTTPSettings()
        http.connectTimeout_s = min(1, timeout_s)
        http.requestTimeout_s = timeout_s
        http.usesProxy = false
        http.maxConnections = 1
        return http
    }

    /// Sends one request.
    ///
    /// - Throws: `StorageError` if there is no answer; any status is an answer.
    static func send(
        _ method: HTTPRequest.Method, _ url: String, headers: [(name: String, value: String)] = [],
        body: [UInt8] = [], http: HTTPSettings, operation: String
    ) async throws(StorageError) -> HTTPResponse {
        let transport = try HTTPTransport(http)
        let request = HTTPRequest(
            method: method, url: url, headers: headers, body: body, responseLimit: responseLimit,
            timeout_s: http.requestTimeout_s)
        do {
            return try await transport.send(request)
        } catch let failure as TransportFailure {
            throw StorageError(
                S3Store.kind(ofTransferError: failure.code), operation: operation, code: "curl \(failure.code)",
                message: "\(url): \(failure.message)")
        } catch {
            throw StorageError(.unreachable, operation: operation, message: "the request was cancelled")
        }
    }

    /// Reads `{"AccessKeyId", "SecretAccessKey", "Token" or "SessionToken", "Expiration"}`.
    ///
    /// - Throws: `StorageError` of kind `credentials` that names the faulty part, never its content.
    static func read(json body: [UInt8], source: String, operation: String) throws(StorageError) -> TemporaryCredentials
    {
        func refuse(_ message: String) -> StorageError {
            StorageError(.credentials, operation: operation, message: "\(source) \(message)")
        }
        guard let document = JSONValue.parse(prefixOf: body), case .object = document else {
            throw refuse("answers with something that is no JSON object")
        }
        guard let id = document["AccessKeyId"]?.string, let secret = document["SecretAccessKey"]?.string else {
            throw refuse("answers without AccessKeyId and SecretAccessKey")
        }
        let token = document["Token"]?.string ?? document["SessionToken"]?.string
        return try make(
            id: id, secret: secret, token: token, expiration: document["Expiration"]?.string, source: source,
            operation: operation)
    }

    /// Puts temporary credentials together from the texts of an answer.
    static func make(
        id: String, secret: String, token: String?, expiration: String?, source: String, operation: String
    ) throws(StorageError) -> TemporaryCredentials {
        let credentials = try Credentials(
            accessKeyID: id, secretAccessKey: secret, sessionToken: token, source: source)
        guard let expiration, !trim(expiration).isEmpty else {
            return TemporaryCredentials(credentials, expires_s: nil)
        }
        guard let end_ms = CivilTime.milliseconds(iso: trim(expiration)) else {
            throw StorageError(
                .credentials, operation: operation, message: "\(source) answers with an Expiration that is no UTC time")
        }
        return TemporaryCredentials(credentials, expires_s: end_ms / 1000)
    }

    /// What a service says of a failure in JSON, in one short line.
    static func reason(_ response: HTTPResponse) -> String {
        let document = JSONValue.parse(prefixOf: response.body)
        let words = ["code", "Code", "message", "Message"].compactMap { document?[$0]?.string }
        return words.isEmpty
            ? "status \(response.status)" : plain("status \(response.status): \(words.joined(separator: " "))")
    }

    /// A file with a token: trimmed, one line of visible ASCII.
    static func token(file path: String, operation: String) throws(StorageError) -> String {
        let bytes: [UInt8]
        do {
            bytes = try DurableFile.read(path: path, limit: 1 << 16)
        } catch {
            throw StorageError(
                .configuration, operation: operation, code: "errno \(error.code)", message: error.description,
                remedy: "let this user read the token's file")
        }
        return try token(String(decoding: bytes, as: UTF8.self), source: "the file \(path)", operation: operation)
    }

    /// A token: trimmed, one line of visible ASCII.
    static func token(_ text: String, source: String, operation: String) throws(StorageError) -> String {
        let token = trim(text)
        guard !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw StorageError(
                .configuration, operation: operation,
                message: "the token from \(source) is empty, or holds a space or a control character",
                remedy: "write the token alone, on one line")
        }
        return token
    }
}

/// Text of others as one line for messages: control characters become spaces, at most 300 characters.
func plain(_ text: String) -> String {
    let breaks: Set<Unicode.GeneralCategory> = [.control, .lineSeparator, .paragraphSeparator]
    let scalars = text.unicodeScalars.prefix(300).map { breaks.contains($0.properties.generalCategory) ? " " : $0 }
    return String(String.UnicodeScalarView(scalars)) + (text.unicodeScalars.count > 300 ? "..." : "")
}
