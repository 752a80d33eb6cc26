internal import DurableIO

/// AWS's signature version 4 for S3, in its three stages: canonical request, string to sign, signature.
///
/// Pure: the date is a parameter. From
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>. Paths are encoded once and not
/// normalised, as S3 alone wants it.
package struct SignatureV4: Sendable {
    /// A request to be signed.
    package struct Request: Sendable {
        /// `GET`, `PUT` and so on.
        package var method: String
        /// The path, not encoded, beginning with a slash.
        package var path: String
        /// Query names and values, not encoded, in any order; a name without a value has an empty one.
        package var query: [(name: String, value: String)]
        /// Headers, `host` among them.
        ///
        /// All are signed but those in `unsignedHeaders`.
        package var headers: [(name: String, value: String)]
        /// The body's SHA-256 in hexadecimal.
        package var payloadHash: String

        /// Makes a request from its parts.
        package init(
            method: String, path: String, query: [(name: String, value: String)],
            headers: [(name: String, value: String)], payloadHash: String
        ) {
            self.method = method
            self.path = path
            self.query = query
            self.headers = headers
            self.payloadHash = payloadHash
        }
    }

    /// Headers that clients and proxies set or change on their own.
    static let unsignedHeaders: Set<String> = [
        "authorization", "connection", "content-length", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id",
    ]

    /// Such as `us-east-1`.
    package var region: String
    /// `s3`.
    package var service: String

    /// Signs for a service in a region.
    package init(region: String, service: String = "s3") {
        self.region = region
        self.service = service
    }

    /// The headers to send: those given, and date, payload hash, session token and `authorization`.
    ///
    /// - Parameters:
    ///   - request: what is sent.
    ///   - credentials: who sends it.
    ///   - date: seconds since the epoch; the store allows 15 minutes of difference.
    ///   - key: the day's key from `signingKey`, if it is at hand.
    package func headers(
        _ request: Request, credentials: Credentials, date: Int64, key: [UInt8]? = nil
    ) -> [(name: String, value: String)] {
        let time = CivilTime(seconds: date)
        var signed = request
        signed.headers = request.headers.map { ($0.name.lowercased(), $0.value) }
        if !signed.headers.contains(where: { $0.name == "date" }) {
            signed.headers.append(("x-amz-date", time.basicDateTime))
        }
        signed.headers.append(("x-amz-content-sha256", request.payloadHash))
        if let token = credentials.sessionToken { signed.headers.append(("x-amz-security-token", token)) }
        let text = stringToSign(canonicalRequest: Self.canonicalRequest(signed), time: time)
        let key = key ?? signingKey(secret: credentials.secretAccessKey, day: time.basicDate)
        let signature = hex(HMACSHA256.authenticate(key: key, message: Array(text.utf8)))
        let names = Self.canonicalHeaders(signed).map(\.name).joined(separator: ";")
        signed.headers.append(
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope(day: time.basicDate)), "
                    + "SignedHeaders=\(names), Signature=\(signature)"
            ))
        return signed.headers
    }

    /// Stage 1: the request in the one form that both sides derive.
    package static func canonicalRequest(_ request: Request) -> String {
        let headers = canonicalHeaders(request)
        let lines = [
            request.method,
            PercentEncoding.encode(request.path, keepingSlash: true),
            canonicalQuery(request.query),
            headers.map { "\($0.name):\($0.value)\n" }.joined(),
            headers.map(\.name).joined(separator: ";"),
            request.payloadHash,
        ]
        return lines.joined(separator: "\n")
    }

    /// Stage 2: what is signed.
    func stringToSign(canonicalRequest: String, time: CivilTime) -> String {
        let hash = hex(SHA256.hash(Array(canonicalRequest.utf8)))
        return "AWS4-HMAC-SHA256\n\(time.basicDateTime)\n\(scope(day: time.basicDate))\n\(hash)"
    }

    /// Stage 3: the key of one day (`20261123`), good for every request of that day.
    package func signingKey(secret: String, day: String) -> [UInt8] {
        [day, region, service, "aws4_request"].reduce(Array("AWS4\(secret)".utf8)) { key, part in
            HMACSHA256.authenticate(key: key, message: Array(part.utf8))
        }
    }

    /// The query as it is signed and sent: encoded, sorted by name, then by value.
    package static func canonicalQuery(_ query: [(name: String, value: String)]) -> String {
        let encoded = query.map { pair in
            (
                name: Array(PercentEncoding.encode(pair.name, keepingSlash: false).utf8),
                value: Array(PercentEncoding.encode(pair.value, keepingSlash: false).utf8)
            )
        }
        let sorted = encoded.sorted { left, right in
            left.name == right.name
                ? left.value.lexicographicallyPrecedes(right.value) : left.name.lexicographicallyPrecedes(right.name)
        }
        let pairs = sorted.map { String(decoding: $0.name + [UInt8(ascii: "=")] + $0.value, as: UTF8.self) }
        return pairs.joined(separator: "&")
    }

    private func scope(day: String) -> String { "\(day)/\(region)/\(service)/aws4_request" }

    /// Signed headers by lower-case name: values trimmed, inner spaces single, equal names joined.
    private static func canonicalHeaders(_ request: Request) -> [(name: String, value: String)] {
        var values: [String: [String]] = [:]
        for header in request.headers {
            let name = header.name.lowercased()
            if unsignedHeaders.contains(name) { continue }
            let words = header.value.split { $0 == " " || $0 == "\t" }
            values[name, default: []].append(words.joined(separator: " "))
        }
        let names = values.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return names.map { ($0, values[$0, default: []].joined(separator: ",")) }
    }
}
