/// Which kind of failure an answer or a missing answer means.
///
/// Whatever the table does not know is `unknown`, and repeated.
enum S3ErrorTable {
    /// By libcurl's code.
    static let curl: [UInt32: StorageError.Kind] = [
        1: .configuration, 3: .configuration, 5: .unreachable, 6: .unreachable, 7: .unreachable, 18: .unreachable,
        28: .timeout, 35: .unreachable, 43: .configuration, 52: .unreachable, 53: .tls, 54: .tls, 55: .unreachable,
        56: .unreachable, 58: .tls, 59: .tls, 60: .tls, 64: .tls, 65: .unreachable, 66: .tls, 77: .tls,
        80: .unreachable,
        82: .tls, 83: .tls, 90: .tls, 91: .tls, 92: .unreachable, 97: .unreachable,
    ]

    /// By the store's error code, which says more than the status.
    static let code: [String: StorageError.Kind] = [
        "AccessDenied": .accessDenied, "AllAccessDisabled": .accessDenied, "AccountProblem": .accessDenied,
        "AuthorizationHeaderMalformed": .wrongRegion, "BadDigest": .badDigest, "BandwidthLimitExceeded": .throttled,
        "BucketAlreadyOwnedByYou": .conflict, "ClientDisconnected": .unreachable,
        "ConditionalRequestConflict": .conflict, "ContentSHA256Mismatch": .badDigest, "EntityTooLarge": .tooLarge,
        "ExpiredToken": .credentials, "ExpiredTokenException": .credentials,
        "IllegalLocationConstraintException": .wrongRegion, "IncompleteBody": .unreachable,
        "InternalError": .server, "InternalFailure": .server, "InvalidClientTokenId": .credentials,
        "InvalidAccessKeyId": .credentials, "InvalidBucketName": .configuration,
        "InvalidDigest": .badDigest, "InvalidRange": .rangeNotSatisfiable, "InvalidSecurity": .credentials,
        "InvalidToken": .credentials, "InvalidURI": .invalidKey, "KeyTooLongError": .invalidKey,
        "KMS.KMSInternalException": .server, "KMS.ThrottlingException": .throttled,
        "NoSuchBucket": .noSuchBucket, "NoSuchKey": .notFound, "OperationAborted": .conflict,
        "PermanentRedirect": .wrongRegion, "PreconditionFailed": .preconditionFailed, "QuotaExceeded": .storageFull,
        "RequestExpired": .clockSkew, "RequestLimitExceeded": .throttled, "RequestTimeTooSkewed": .clockSkew,
        "RequestTimeout": .timeout, "ServerBusy": .throttled, "ServiceUnavailable": .server,
        "SignatureDoesNotMatch": .credentials, "SlowDown": .throttled, "SlowDownRead": .throttled,
        "SlowDownWrite": .throttled, "TemporaryRedirect": .wrongRegion, "Throttling": .throttled,
        "ThrottlingException": .throttled, "TokenRefreshRequired": .credentials, "TooManyRequests": .throttled,
        "UnauthorizedAccess": .credentials, "XAmzContentChecksumMismatch": .badDigest,
        "XAmzContentSHA256Mismatch": .badDigest, "XMinioInvalidObjectName": .invalidKey,
        "XMinioStorageFull": .storageFull,
    ]

    /// By the HTTP status.
    static let status: [Int: StorageError.Kind] = [
        301: .wrongRegion, 302: .wrongRegion, 304: .preconditionFailed, 307: .wrongRegion, 308: .wrongRegion,
        401: .credentials, 403: .accessDenied, 404: .notFound, 408: .timeout, 409: .conflict, 412: .preconditionFailed,
        413: .tooLarge, 416: .rangeNotSatisfiable, 429: .throttled, 499: .unreachable, 507: .storageFull,
    ]

    /// By the part of the code before a dot: what `KMS.DisabledException` and its kin name is mended in the key service.
    static let family: [String: StorageError.Kind] = ["KMS": .accessDenied]

    /// The kind of an answer that is no success.
    static func kind(status: Int, code: String) -> StorageError.Kind {
        self.code[code] ?? family[code.split(separator: ".").first.map(String.init) ?? ""]
            ?? self.status[status] ?? ((500..<600).contains(status) ? .server : .unknown)
    }
}
