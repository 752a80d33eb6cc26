/// A failed operation on a store: what kind of failure, in the store's words, and what to do about it.
///
/// Never holds credentials or signatures.
package struct StorageError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind, which decides about repeating.
    package var kind: Kind
    /// The operation and its object, such as `PUT events/a.zst`.
    package var operation: String
    /// The HTTP status, or 0 if there was no answer.
    package var status: Int
    /// The store's error code (`NoSuchBucket`), libcurl's (`curl 7`), errno's (`errno 28`), or empty.
    package var code: String
    /// The reason.
    package var message: String
    /// What an operator can do.
    package var remedy: String
    /// How long the store asked to be left alone, seconds, if it did.
    package var retryAfter_s: Double?
    /// The store's own number for the request, for its operators, if it gave one.
    package var requestID: String?

    /// Makes an error; the remedy is the kind's own where none is given.
    package init(
        _ kind: Kind, operation: String, status: Int = 0, code: String = "", message: String, remedy: String? = nil,
        retryAfter_s: Double? = nil, requestID: String? = nil
    ) {
        self.kind = kind
        self.operation = operation
        self.status = status
        self.code = code
        self.message = message
        self.remedy = remedy ?? kind.remedy
        self.retryAfter_s = retryAfter_s
        self.requestID = requestID
    }

    /// Whether the same call may succeed later.
    ///
    /// True for everything unknown.
    package var isRetryable: Bool { kind.retry != .never }

    package var description: String {
        var text = "\(operation) failed: \(message)"
        let facts = [
            kind.rawValue, status == 0 ? nil : "status \(status)", code.isEmpty ? nil : code,
            requestID.map { "request \($0)" },
        ]
        text += " (\(facts.compactMap { $0 }.joined(separator: ", ")))"
        return remedy.isEmpty ? text : "\(text): \(remedy)"
    }
}

/// When a failed operation is worth repeating.
package enum RetryAdvice: String, Hashable, Sendable {
    /// The failure passes by itself: repeat with short, growing delays.
    case soon
    /// Somebody must mend something: raise an alarm, and repeat at long intervals, for ever.
    case slowly
    /// It fails again as long as the call is the same: handle the answer.
    case never
}
