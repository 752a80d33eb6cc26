/// The sources in AWS's order: the first that has credentials at all serves for good.
///
/// 1. a file or profile that the configuration names
/// 2. the environment (`AWS_ACCESS_KEY_ID` and its kin)
/// 3. a web identity (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`)
/// 4. the profile `AWS_PROFILE` (or `default`) in the shared credentials and configuration files
/// 5. the container's endpoint (`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or `_FULL_URI`)
/// 6. the machine's role (EC2 instance metadata, version 2), for AWS's own endpoints or where
///    `AWS_EC2_METADATA_SERVICE_ENDPOINT` is set, unless `AWS_EC2_METADATA_DISABLED` is `true`
package enum CredentialsChain {
    /// Chooses the source.
    ///
    /// Nothing is sent: what must be asked for over the network is asked for with the first request.
    /// - Parameters:
    ///   - environment: the variables.
    ///   - files: the files and the profile in them.
    ///   - region: the region of token services; else `AWS_REGION`, `AWS_DEFAULT_REGION`, `us-east-1`.
    ///   - endpoint: the store's own endpoint, whose token service is asked unless a variable says otherwise; nil for
    ///     AWS.
    ///   - http: certificates for token services.
    /// - Throws: `StorageError` of kind `configuration` that names every place that was looked at.
    package static func provider(
        environment: Environment, files: SharedFiles, region: String? = nil, endpoint: String? = nil,
        http: HTTPSettings = HTTPSettings()
    ) throws(StorageError) -> any CredentialsProvider {
        let region = region ?? environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? "us-east-1"
        let place = environment["AWS_ENDPOINT_URL_STS"] ?? environment["AWS_ENDPOINT_URL"] ?? endpoint
        let resolver = ProfileResolver(environment: environment) { (own) throws(StorageError) in
            try SecurityTokenService(endpoint: place, region: own ?? region, http: http)
        }
        let profile = ProfileCredentials(files, resolver: resolver)
        if files.isExplicit {
            if try profile.nameIfPresent() != nil { return profile }
            throw nothingFound("profile \(files.profile) in \(files.paths.joined(separator: " or ")) gives none")
        }
        if let fixed = try fromEnvironment(environment) { return fixed }
        if let role = try webIdentity(environment, resolver) { return RefreshingCredentials(role) }
        if try profile.nameIfPresent() != nil { return profile }
        var looked = [
            "AWS_ACCESS_KEY_ID is not set", "AWS_WEB_IDENTITY_TOKEN_FILE is not set",
            "profile \(files.profile) in \(files.paths.joined(separator: " or ")) gives none",
        ]
        if environment["AWS_PROFILE"] != nil { throw nothingFound(looked.joined(separator: "; ")) }
        if let container = try ContainerCredentials(environment: environment) {
            return RefreshingCredentials(container)
        }
        looked.append("there is no container's endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI)")
        if environment["AWS_EC2_METADATA_DISABLED"]?.lowercased() == "true" {
            looked.append("instance metadata is switched off (AWS_EC2_METADATA_DISABLED)")
        } else if endpoint.map(S3Endpoint.isAWS) ?? true || environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] != nil {
            return RefreshingCredentials(
                LastResort(source: try InstanceCredentials(environment: environment), looked: looked))
        } else {
            looked.append("a machine's role is of no use at the store's own endpoint")
        }
        throw nothingFound(looked.joined(separator: "; "))
    }

    /// The keys of the environment, if it has any.
    static func fromEnvironment(_ environment: Environment) throws(StorageError) -> StaticCredentials? {
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

    private static func webIdentity(
        _ environment: Environment, _ resolver: ProfileResolver
    ) throws(StorageError) -> WebIdentityRole? {
        guard let file = environment["AWS_WEB_IDENTITY_TOKEN_FILE"] else { return nil }
        guard let arn = environment["AWS_ROLE_ARN"] else {
            throw StorageError(
                .configuration, operation: "find credentials",
                message: "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not", remedy: "set both or neither")
        }
        let role = AssumedRole.Role(arn: arn, sessionName: SecurityTokenService.sessionName(environment))
        return WebIdentityRole(role: role, tokenFile: file, service: try resolver.service(nil))
    }

    private static func nothingFound(_ looked: String) -> StorageError {
        StorageError(
            .configuration, operation: "find credentials", message: looked,
            remedy: "set the variables, or name the file and the profile in the configuration")
    }

    /// The machine's role where nothing else was found: a failure names the other places too.
    private struct LastResort: CredentialsSource {
        let source: InstanceCredentials
        let looked: [String]

        var name: String { source.name }

        func fetch() async throws(StorageError) -> TemporaryCredentials {
            do {
                return try await source.fetch()
            } catch {
                var error = error
                error.message += "; before that: \(looked.joined(separator: "; "))"
                throw error
            }
        }
    }
}
