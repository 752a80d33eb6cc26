/// Sends HTTP/1.1 requests over libcurl's multi interface, on one thread of its own; one attempt each, no redirects.
///
/// Connections are kept and used again. The thread ends when the last reference goes.
final class HTTPTransport: Sendable {
    private let loop: CurlLoop

    /// Starts the thread.
    init(_ settings: HTTPSettings) throws(StorageError) {
        loop = try CurlLoop(settings)
    }

    deinit {
        loop.stop()
    }

    /// Sends a request and waits for the whole answer, whatever its status.
    ///
    /// - Throws: `TransportFailure`, or `CancellationError` at once when the task is cancelled.
    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        let transfer = CurlTransfer(request)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                loop.post(.start(transfer, continuation))
            }
        } onCancel: {
            loop.post(.cancel(transfer))
        }
    }
}
