internal import DurableIO

extension S3Store {
    /// One request of S3's interface, before it is signed.
    struct Call: CustomStringConvertible {
        /// The SHA-256 of no bytes.
        static let emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

        var method: HTTPRequest.Method
        var key: String?
        var query: [(name: String, value: String)] = []
        var headers: [(name: String, value: String)] = []
        var body: [UInt8] = []
        var payloadHash = emptyHash
        /// Error documents need a few KiB.
        var responseLimit = 1 << 20
        /// What the answer may take time for.
        var expectedBytes = 1 << 20

        init(_ method: HTTPRequest.Method, key: String?) {
            self.method = method
            self.key = key
        }

        /// The same with another claim about the body, or none.
        func claiming(sha256: [UInt8]?) -> Call {
            var other = self
            other.headers.removeAll { $0.name == "x-amz-checksum-sha256" }
            guard let sha256 else { return other }
            other.headers.append(("x-amz-checksum-sha256", base64(sha256)))
            return other
        }

        var description: String {
            if let key { return "\(method.rawValue) \(key)" }
            return "LIST \(query.first { $0.name == "prefix" }?.value ?? "")"
        }
    }
}

extension S3Store {
    /// What a transfer that brought no answer means, by libcurl's code.
    package static func kind(ofTransferError code: UInt32) -> StorageError.Kind {
        S3ErrorTable.curl[code] ?? .unknown
    }
}

extension StorageError {
    /// A transfer that brought no answer.
    init(_ failure: TransportFailure, call: S3Store.Call, endpoint: S3Endpoint, responseLimit: Int) {
        if failure.isTooLarge {
            self.init(
                .tooLarge, operation: call.description, message: "the answer is over \(responseLimit) bytes")
            return
        }
        let kind = S3Store.kind(ofTransferError: failure.code)
        self.init(
            kind, operation: call.description, code: "curl \(failure.code)",
            message: "\(endpoint.scheme)://\(endpoint.host): \(failure.message)")
    }

    /// An answer that is no success, or a success with an error document.
    init(_ response: HTTPResponse, call: S3Store.Call, endpoint: S3Endpoint) {
        let document = S3ErrorDocument(response.body)
        let code = document?.code ?? ""
        let kind = S3ErrorTable.kind(status: response.status, code: code)
        let region = response["x-amz-bucket-region"].map(plain) ?? document?.region
        var message = document?.message ?? ""
        if message.isEmpty { message = "the store answered \(response.status)" }
        self.init(
            kind, operation: call.description, status: response.status, code: code, message: message,
            remedy: kind == .wrongRegion ? region.map { "the bucket's region is \($0): set AWS_REGION to it" } : nil,
            retryAfter_s: Self.retryAfter(response),
            requestID: response["x-amz-request-id"].map(plain) ?? document?.requestID)
    }

    /// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), a day at most.
    private static func retryAfter(_ response: HTTPResponse) -> Double? {
        guard let text = response["retry-after"] else { return nil }
        let seconds =
            Double(text)
            ?? CivilTime.seconds(http: text).map { date in
                Double(date - (response["date"].flatMap { CivilTime.seconds(http: $0) } ?? CivilTime.now()))
            }
        return seconds.flatMap { $0.isFinite ? min(max($0, 0), 86_400) : nil }
    }
}
