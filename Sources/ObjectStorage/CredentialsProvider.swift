internal import Synchronization

/// Where credentials come from.
///
/// One provider serves a store for its whole life and gives the credentials of the moment.
package protocol CredentialsProvider: Sendable {
    /// Which source it is, for messages: never holds a secret.
    var name: String { get }

    /// The credentials to sign the next request with; called for each request, so it must be cheap when nothing changed.
    func credentials() async throws(StorageError) -> Credentials

    /// Says that the store did not accept these: whatever is cached must be fetched again.
    func refused(_ credentials: Credentials)
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
    package func refused(_ credentials: Credentials) {}
}

/// The sources in AWS's order: the first that has credentials at all serves for good.
///
/// Today: the environment (`AWS_ACCESS_KEY_ID` and its kin), then a profile in the shared credentials and configuration files.
package enum CredentialsChain {
    /// Chooses the source.
    ///
    /// - Parameters:
    ///   - environment: the variables.
    ///   - files: the files and the profile in them.
    /// - Throws: `StorageError` of kind `configuration` that names every place that was looked at.
    package static func provider(
        environment: Environment, files: SharedFiles
    ) throws(StorageError) -> any CredentialsProvider {
        // A profile that was asked for by the configuration beats the environment.
        if !files.isExplicit, let fixed = try fromEnvironment(environment) { return fixed }
        let shared = SharedFileCredentials(files)
        if try shared.readIfPresent() { return shared }
        throw StorageError(
            .configuration, operation: "find credentials",
            message: "neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor profile \(files.profile) in "
                + "\(files.paths.joined(separator: " or ")) gives any",
            remedy: "set the variables, or name the file and the profile in the configuration")
    }

    private static func fromEnvironment(_ environment: Environment) throws(StorageError) -> StaticCredentials? {
        guard let id = environment["AWS_ACCESS_KEY_ID"] else { return nil }
        let source = "the environment"
        guard let secret = environment["AWS_SECRET_ACCESS_KEY"] else {
            throw StorageError(
                .configuration, operation: "find credentials",
                message: "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not", remedy: "set both or neither")
        }
        let value = try Credentials(
            accessKeyID: id, secretAccessKey: secret, sessionToken: environment["AWS_SESSION_TOKEN"], source: source)
        return StaticCredentials(value, name: source)
    }
}
