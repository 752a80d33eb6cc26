internal import DurableIO
internal import Synchronization

/// Credentials of a profile in AWS's shared files, resolved again when a file changed and after the store refused them.
///
/// A profile holds keys, or says how to get them: `role_arn` with `source_profile`, `credential_source` or
/// `web_identity_token_file`, or `credential_process`.
package final class ProfileCredentials: CredentialsProvider {
    private struct State {
        var fingerprint: [DirectoryEntry?]?
        var settings: [String: String]?
        var provider: (any CredentialsProvider)?
    }

    package let name: String
    private let files: SharedFiles
    private let resolver: ProfileResolver
    private let state = Mutex(State())

    /// Reads nothing yet.
    init(_ files: SharedFiles, resolver: ProfileResolver) {
        self.files = files
        self.resolver = resolver
        name = "profile \(files.profile) in \(files.paths.joined(separator: ", "))"
    }

    package func credentials() async throws(StorageError) -> Credentials {
        guard let provider = try current() else {
            throw StorageError(
                .configuration, operation: "read credentials", message: "\(name) holds no aws_access_key_id",
                remedy: "add aws_access_key_id and aws_secret_access_key to the profile")
        }
        return try await provider.credentials()
    }

    package func refused(_ credentials: Credentials, isCertain: Bool) {
        let provider = state.withLock { state in
            state.fingerprint = nil
            return state.provider
        }
        provider?.refused(credentials, isCertain: isCertain)
    }

    /// Whether the profile gives credentials now, and by what.
    func nameIfPresent() throws(StorageError) -> String? {
        try current()?.name
    }

    private func current() throws(StorageError) -> (any CredentialsProvider)? {
        let fingerprint = files.fingerprint()
        return try state.withLock { state throws(StorageError) -> (any CredentialsProvider)? in
            if state.fingerprint == fingerprint { return state.provider }
            let everything = try files.profiles()
            // A role keeps its credentials as long as nothing about any profile changed.
            let flat = everything.flatten()
            if state.settings != flat || state.provider == nil {
                state.provider = try resolver.provider(files.profile, in: everything, files: files)
                state.settings = flat
            }
            state.fingerprint = fingerprint
            return state.provider
        }
    }
}

/// All profiles of the shared files: settings by the profile's name.
struct Profiles {
    var settings: [String: [String: String]] = [:]

    subscript(_ name: String) -> [String: String]? { settings[name] }

    func flatten() -> [String: String] {
        var flat: [String: String] = [:]
        for (name, profile) in settings {
            flat["\(name)\n"] = ""
            for (key, value) in profile { flat["\(name)\n\(key)"] = value }
        }
        return flat
    }
}

/// Turns what a profile says into a provider.
struct ProfileResolver: Sendable {
    let environment: Environment
    /// Makes the token service of a region, or of this chain's own.
    let service: @Sendable (_ region: String?) throws(StorageError) -> SecurityTokenService

    /// The provider that a profile stands for, or nil where it holds no credentials.
    ///
    /// - Throws: `StorageError` of kind `configuration` for what cannot be done, by name.
    func provider(
        _ profile: String, in profiles: Profiles, files: SharedFiles, above: [String] = []
    ) throws(StorageError) -> (any CredentialsProvider)? {
        let settings = profiles[profile] ?? [:]
        let place = "profile \(profile) in \(files.paths.joined(separator: ", "))"
        func refuse(_ message: String, _ remedy: String) -> StorageError {
            StorageError(
                .configuration, operation: "read credentials", message: "\(place) \(message)", remedy: remedy)
        }
        guard above.count < 8 else { throw refuse("is part of a chain of more than eight profiles", "shorten it") }
        let isOwnSource = above.last == profile
        if let arn = settings["role_arn"], !isOwnSource {
            if settings["mfa_serial"] != nil {
                throw refuse("asks for a second factor (mfa_serial)", "use a role that a program may take on alone")
            }
            var role = AssumedRole.Role(
                arn: arn, sessionName: settings["role_session_name"] ?? SecurityTokenService.sessionName(environment),
                externalID: settings["external_id"])
            if let text = settings["duration_seconds"] {
                guard let seconds = Int(text), (900...43_200).contains(seconds) else {
                    throw refuse("has a duration_seconds that is not from 900 to 43200", "mend it or leave it out")
                }
                role.duration_s = seconds
            }
            let service = try service(settings["region"])
            if let tokenFile = settings["web_identity_token_file"] {
                return RefreshingCredentials(WebIdentityRole(role: role, tokenFile: tokenFile, service: service))
            }
            let base = try base(profile, settings, profiles, files, above, refuse)
            return RefreshingCredentials(AssumedRole(role: role, base: base, service: service))
        }
        if let id = settings["aws_access_key_id"] {
            let value = try Credentials(
                accessKeyID: id, secretAccessKey: settings["aws_secret_access_key"] ?? "",
                sessionToken: settings["aws_session_token"], source: place)
            return StaticCredentials(value, name: place)
        }
        if let command = settings["credential_process"] {
            return RefreshingCredentials(ProcessCredentials(command: command, profile: profile))
        }
        if settings["sso_session"] != nil || settings["sso_start_url"] != nil {
            throw refuse(
                "uses IAM Identity Center (sso_session), which needs a person at a browser",
                "use a role, keys, or credential_process")
        }
        return nil
    }

    /// What a role is taken on with.
    private func base(
        _ profile: String, _ settings: [String: String], _ profiles: Profiles, _ files: SharedFiles,
        _ above: [String], _ refuse: (String, String) -> StorageError
    ) throws(StorageError) -> any CredentialsProvider {
        if let source = settings["source_profile"] {
            guard profiles[source] != nil else {
                throw refuse("names the source_profile \(source), which is missing", "add it")
            }
            guard source == profile || !above.contains(source) else {
                throw refuse("is its own source_profile by a detour over \(source)", "end the chain in keys")
            }
            guard let base = try provider(source, in: profiles, files: files, above: above + [profile]) else {
                throw refuse("names the source_profile \(source), which holds no credentials", "add keys to it")
            }
            return base
        }
        switch settings["credential_source"] {
        case "Environment":
            if let own = try CredentialsChain.fromEnvironment(environment) { return own }
            throw refuse("takes its role on with the environment, which has no keys", "set AWS_ACCESS_KEY_ID")
        case "Ec2InstanceMetadata":
            return RefreshingCredentials(try InstanceCredentials(environment: environment))
        case "EcsContainer":
            if let own = try ContainerCredentials(environment: environment) { return RefreshingCredentials(own) }
            throw refuse(
                "takes its role on with the container's credentials, but there is no container's endpoint",
                "set AWS_CONTAINER_CREDENTIALS_FULL_URI")
        case let other?:
            throw refuse(
                "has an unknown credential_source \(plain(other))",
                "use Environment, Ec2InstanceMetadata or EcsContainer")
        case nil:
            throw refuse(
                "has a role_arn, but nothing to take the role on with",
                "add source_profile, credential_source or web_identity_token_file")
        }
    }
}
