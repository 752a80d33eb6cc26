internal import DurableIO

/// What a configuration says of a store, and the store it means.
package struct StoreConfiguration: Hashable, Sendable {
    /// `s3://bucket/prefix`, or `file:///folder` (or an absolute path) for a directory store.
    package var url: String
    /// The region; else `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's, and for an own endpoint `us-east-1`.
    package var region: String?
    /// The store's URL; else `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, the profile's, AWS's.
    package var endpoint: String?
    /// How the bucket is named in requests.
    package var addressing: S3Endpoint.Addressing
    /// A file in the format of `~/.aws/credentials`.
    package var credentialsFile: String?
    /// The profile in it; else `AWS_PROFILE`, `default`.
    package var profile: String?
    /// Limits of the connections.
    ///
    /// Without a `caFile` there, `AWS_CA_BUNDLE` names it.
    package var http: HTTPSettings
    /// What one `get` may return, bytes.
    package var maxObjectBytes: Int
    /// How PUTs ask the store to encrypt.
    package var encryption: ServerSideEncryption

    /// Makes a configuration; what is left out is found as AWS's tools find it.
    package init(
        url: String, region: String? = nil, endpoint: String? = nil, addressing: S3Endpoint.Addressing = .auto,
        credentialsFile: String? = nil, profile: String? = nil, http: HTTPSettings = HTTPSettings(),
        maxObjectBytes: Int = 1 << 30, encryption: ServerSideEncryption = .bucketDefault
    ) {
        self.url = url
        self.region = region
        self.endpoint = endpoint
        self.addressing = addressing
        self.credentialsFile = credentialsFile
        self.profile = profile
        self.http = http
        self.maxObjectBytes = maxObjectBytes
        self.encryption = encryption
    }

    /// The part of keys that the URL names after the bucket, without slashes at its ends; empty for a directory store.
    package var prefix: String {
        guard url.hasPrefix("s3://") else { return "" }
        let parts = url.dropFirst(5).split(separator: "/", omittingEmptySubsequences: true)
        return parts.dropFirst().joined(separator: "/")
    }

    /// The store, ready to use.
    ///
    /// Nothing is sent yet.
    ///
    /// - Throws: `StorageError` of kind `configuration` (or `noSuchBucket` for a folder that is missing).
    package func makeStore(environment: Environment = .process) throws(StorageError) -> any ObjectStore {
        if url.hasPrefix("/") { return try DirectoryStore(url) }
        if url.hasPrefix("file:///") { return try DirectoryStore(String(url.dropFirst(7))) }
        guard url.hasPrefix("s3://"), let bucket = url.dropFirst(5).split(separator: "/").first,
            !url.hasPrefix("s3:///")
        else {
            throw StorageError(
                .configuration, operation: "configure the store", message: "`\(url)` is no store's address",
                remedy: "write s3://bucket/prefix or file:///folder")
        }
        let place = try place(environment)
        return try S3Store(
            endpoint: S3Endpoint(
                bucket: String(bucket), region: place.region, endpoint: place.endpoint, addressing: place.addressing),
            region: place.region, credentials: makeCredentials(environment: environment), http: place.http,
            maxObjectBytes: maxObjectBytes, encryption: encryption)
    }

    /// The credentials that `makeStore` uses, for a store of S3.
    ///
    /// Nothing is sent yet.
    package func makeCredentials(
        environment: Environment = .process
    ) throws(StorageError) -> any CredentialsProvider {
        let place = try place(environment)
        return try CredentialsChain.provider(
            environment: environment, files: place.files, region: place.region, endpoint: place.endpoint,
            http: place.http)
    }

    /// What the configuration leaves to the variables and the profile.
    private struct Place {
        var files: SharedFiles
        var endpoint: String?
        var region: String
        var addressing: S3Endpoint.Addressing
        var http: HTTPSettings
    }

    private func place(_ environment: Environment) throws(StorageError) -> Place {
        let files = SharedFiles(environment: environment, credentialsPath: credentialsFile, profile: profile)
        let settings = try files.settings()
        var endpoint = endpoint
        if endpoint == nil, environment["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"]?.lowercased() != "true" {
            endpoint =
                environment["AWS_ENDPOINT_URL_S3"] ?? environment["AWS_ENDPOINT_URL"] ?? settings["s3.endpoint_url"]
                ?? settings["endpoint_url"]
        }
        let region =
            region ?? environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? settings["region"]
            ?? (endpoint == nil ? nil : "us-east-1")
        guard let region else {
            throw StorageError(
                .configuration, operation: "configure the store", message: "the region of \(url) is not known",
                remedy: "set the region in the configuration or AWS_REGION")
        }
        let style = settings["s3.addressing_style"].flatMap(S3Endpoint.Addressing.init(rawValue:))
        var http = http
        http.caFile = http.caFile ?? environment["AWS_CA_BUNDLE"] ?? settings["ca_bundle"]
        return Place(
            files: files, endpoint: endpoint, region: region,
            addressing: addressing == .auto ? style ?? .auto : addressing, http: http)
    }
}
