/// One HTTP request, complete and signed.
struct HTTPRequest: Sendable {
    enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
        case put = "PUT"
        case post = "POST"
        case delete = "DELETE"
    }

    var method: Method
    /// Absolute, encoded as it goes on the wire.
    var url: String
    var headers: [(name: String, value: String)]
    /// Sent with PUT and POST only.
    var body: [UInt8] = []
    /// The answer's body may have this many bytes.
    var responseLimit: Int
    /// From the first attempt to connect to the last byte of the answer, seconds.
    var timeout_s: Double
}

/// One HTTP answer.
struct HTTPResponse: Sendable {
    var status: Int
    /// Names in lower case, in the order they came.
    var headers: [(name: String, value: String)]
    var body: [UInt8]

    subscript(_ name: String) -> String? {
        headers.first { $0.name == name }?.value
    }
}

/// A transfer that brought no answer.
struct TransportFailure: Error {
    /// libcurl's code (`CURLcode`).
    var code: UInt32
    /// libcurl's words, with its detail.
    var message: String
    /// Whether the answer was cut off at `responseLimit`.
    var isTooLarge = false
}
