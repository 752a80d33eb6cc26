extension StorageError {
    /// A kind of failure.
    ///
    /// The raw value is a stable word for logs and metric labels.
    package struct Kind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        package let rawValue: String
        package init(rawValue: String) { self.rawValue = rawValue }
        package var description: String { rawValue }

        /// No connection: name lookup, connect, or a connection that broke.
        package static let unreachable = Kind(rawValue: "unreachable")
        /// Too slow, by our limits or the store's.
        package static let timeout = Kind(rawValue: "timeout")
        /// The store's certificate is not trusted, or TLS cannot be set up.
        package static let tls = Kind(rawValue: "tls")
        /// The store asks for fewer requests: halve the number in flight.
        package static let throttled = Kind(rawValue: "throttled")
        /// The store has a failure of its own.
        package static let server = Kind(rawValue: "server")
        /// Our clock and the store's differ; the next call is signed with the store's time.
        package static let clockSkew = Kind(rawValue: "clock_skew")
        /// The store does not accept the credentials; they are read again before the next call.
        package static let credentials = Kind(rawValue: "credentials")
        /// The credentials are good, but not allowed to do this.
        package static let accessDenied = Kind(rawValue: "access_denied")
        /// There is no such bucket (or folder, for a directory store).
        package static let noSuchBucket = Kind(rawValue: "no_such_bucket")
        /// There is no such object.
        package static let notFound = Kind(rawValue: "not_found")
        /// The bucket is in another region or at another endpoint.
        package static let wrongRegion = Kind(rawValue: "wrong_region")
        /// Somebody else writes the same key at this moment.
        package static let conflict = Kind(rawValue: "conflict")
        /// A condition of the request does not hold.
        package static let preconditionFailed = Kind(rawValue: "precondition_failed")
        /// The bytes that arrived are not those that were announced.
        package static let badDigest = Kind(rawValue: "bad_digest")
        /// The range begins at or after the object's end.
        package static let rangeNotSatisfiable = Kind(rawValue: "range_not_satisfiable")
        /// The answer or the object is over a limit.
        package static let tooLarge = Kind(rawValue: "too_large")
        /// The store is full.
        package static let storageFull = Kind(rawValue: "storage_full")
        /// The answer is not what the protocol says.
        package static let invalidResponse = Kind(rawValue: "invalid_response")
        /// A key that this interface does not allow.
        package static let invalidKey = Kind(rawValue: "invalid_key")
        /// The configuration is wrong.
        package static let configuration = Kind(rawValue: "configuration")
        /// Anything else.
        package static let unknown = Kind(rawValue: "unknown")

        /// Whether and how a failure of this kind is worth repeating.
        ///
        /// Everything unknown is.
        package var retry: RetryAdvice {
            switch self {
            case .unreachable, .timeout, .throttled, .server, .clockSkew, .conflict, .badDigest, .invalidResponse: .soon
            case .notFound, .preconditionFailed, .rangeNotSatisfiable, .tooLarge, .invalidKey: .never
            default: .slowly
            }
        }

        /// What an operator can do.
        package var remedy: String {
            switch self {
            case .unreachable: "check the endpoint, the network and whether the store runs"
            case .timeout: "check the network's and the store's load"
            case .tls: "name the certificate authority's file (AWS_CA_BUNDLE) or mend the store's certificate"
            case .throttled, .server, .conflict, .invalidResponse:
                "it is tried again; if it stays, ask the store's operators"
            case .clockSkew: "set this host's clock by NTP"
            case .credentials: "check the access key, its secret and, for temporary ones, their expiry"
            case .accessDenied: "allow this action for these credentials on this bucket and prefix"
            case .noSuchBucket: "create the bucket or mend its name in the configuration"
            case .notFound: "check the key and the prefix"
            case .wrongRegion: "set the bucket's region (AWS_REGION) and endpoint in the configuration"
            case .badDigest: "the bytes changed on their way or in memory: check this host's memory and network"
            case .tooLarge: "raise the limit if an object may be this large"
            case .storageFull: "free space in the store"
            case .invalidKey: "use keys of letters, digits and ._-=/"
            case .configuration: "mend the configuration"
            default: ""
            }
        }
    }
}
