/// Where credentials come from.
///
/// One provider serves a store for its whole life and gives the credentials of the moment.
package protocol CredentialsProvider: Sendable {
    /// Which source it is, for messages: never holds a secret.
    var name: String { get }

    /// The credentials to sign the next request with; called for each request, so it must be cheap when nothing changed.
    func credentials() async throws(StorageError) -> Credentials

    /// Says that the store did not accept these: whatever is cached must be fetched again.
    ///
    /// - Parameter isCertain: false where the answer has no error code (HEAD), so that it may as well mean that the
    ///   credentials are good and not allowed to do this.
    func refused(_ credentials: Credentials, isCertain: Bool)
}

/// Fixed credentials, for tests and programs that have them already.
package struct StaticCredentials: CredentialsProvider {
    package let name: String
    private let value: Credentials

    /// Always gives `value`.
    package init(_ value: Credentials, name: String = "the configuration") {
        self.value = value
        self.name = name
    }

    package func credentials() async throws(StorageError) -> Credentials { value }
    package func refused(_ credentials: Credentials, isCertain: Bool) {}
}

/// Credentials with the time at which they end.
package struct TemporaryCredentials: Hashable, Sendable {
    /// What to sign with.
    package let credentials: Credentials
    /// When they end, seconds since the epoch by the issuer's clock; nil if never.
    package let expires_s: Int64?

    /// Makes them from their parts.
    package init(_ credentials: Credentials, expires_s: Int64?) {
        self.credentials = credentials
        self.expires_s = expires_s
    }
}

/// A service or program that hands out temporary credentials.
package protocol CredentialsSource: Sendable {
    /// Which source it is, for messages: never holds a secret.
    var name: String { get }

    /// Asks for new credentials, in seconds and not minutes.
    func fetch() async throws(StorageError) -> TemporaryCredentials
}
