import EventModel
package import Logging
package import ObjectStorage
package import ServiceSupport

/// Everything the shipper can be told, as `deploy/config/shipper.yaml` shows and explains it.
package struct ShipperConfiguration: Sendable {
    /// The host's name in normal form.
    package var host: String
    /// The directories that writers write to.
    package var spools: [String]
    /// Where the state of foreign logs is kept.
    package var stateDirectory: String
    /// Where objects go.
    package var store: StoreConfiguration
    /// The numbers that decide.
    package var machine: ShipperStateMachine.Configuration
    /// How long a writer must have been silent to count as dead, milliseconds.
    package var deadAfter_ms: Int64
    /// Foreign logs.
    package var streams: [StreamConfiguration]
    /// Where the admin pages are served; nil for nowhere.
    package var admin: HostAddress?
    /// Messages below it are not written.
    package var logLevel: Logger.Level

    /// What stands before `events/` in keys.
    package var prefix: String { store.prefix }

    private static let keys = [
        "host", "spool", "state", "store", "bundle", "poll", "dead_after", "report_every", "stop_within", "retry",
        "streams", "admin", "log_level",
    ]

    /// Reads a configuration file.
    ///
    /// - Throws: ``ConfigurationError`` that names the line and what would be right.
    package init(_ document: ConfigurationDocument, environment: [String: String]) throws(ConfigurationError) {
        let root = try document.root("shipper", keys: ShipperConfiguration.keys)
        host = try ShipperConfiguration.host(root)
        spools = (try root.strings("spool") ?? ["/var/spool/nadi"]).map(ShipperConfiguration.trimmed)
        guard !spools.isEmpty, Set(spools).count == spools.count else {
            throw root.error("spool", "must name at least one directory, and each only once")
        }
        for spool in spools where !spool.hasPrefix("/") {
            throw root.error("spool", "must be absolute: '\(spool)' is not")
        }
        stateDirectory = ShipperConfiguration.trimmed(try root.string("state") ?? "/var/lib/nadi")
        store = try ShipperConfiguration.store(root)
        var machine = ShipperStateMachine.Configuration()
        if let bundle = try root.section("bundle", keys: ["size", "age"]) {
            machine.bundleBytes = try bundle.bytes("size", in: (64 << 10)...(16 << 20)) ?? machine.bundleBytes
            machine.bundleAge_ms =
                try bundle.duration("age", in: .milliseconds(100) ... .seconds(3_600))?.milliseconds
                ?? machine.bundleAge_ms
        }
        machine.poll_ms =
            try root.duration("poll", in: .milliseconds(50) ... .seconds(60))?.milliseconds ?? machine.poll_ms
        machine.report_ms =
            try root.duration("report_every", in: .milliseconds(200) ... .seconds(300))?.milliseconds
            ?? machine.report_ms
        machine.stop_ms =
            try root.duration("stop_within", in: .seconds(1) ... .seconds(600))?.milliseconds ?? machine.stop_ms
        if let retry = try root.section("retry", keys: ["first", "longest"]) {
            let range: ClosedRange<Duration> = .milliseconds(10) ... .seconds(3_600)
            machine.backoff.base = try retry.duration("first", in: range) ?? machine.backoff.base
            machine.backoff.cap = try retry.duration("longest", in: range) ?? machine.backoff.cap
        }
        deadAfter_ms =
            try root.duration("dead_after", in: .milliseconds(100) ... .seconds(86_400))?.milliseconds
            ?? EventLimits.deadAge_ms
        streams = try StreamConfiguration.streams(root)
        if !streams.isEmpty { machine.foreignPoll_ms = max(machine.poll_ms, min(5_000, machine.poll_ms * 5)) }
        self.machine = machine
        switch try root.string("admin") ?? "127.0.0.1:9464" {
        case "off": admin = nil
        case let text:
            guard let address = HostAddress(text) else {
                throw root.error("admin", "is '\(text)'; it must be an address such as 127.0.0.1:9464, or off")
            }
            admin = address
        }
        let levels = Logger.Level.allCases.map(\.rawValue)
        logLevel = try root.choice("log_level", of: levels).flatMap { Logger.Level(rawValue: $0) } ?? .info
    }

    /// This configuration with what of a new one can take effect at once.
    ///
    /// - Returns: the configuration, and the keys that differ and need a restart.
    func merged(with new: ShipperConfiguration) -> (configuration: ShipperConfiguration, late: [String]) {
        var merged = new
        var late: [String] = []
        func keep<Value: Equatable>(_ key: String, _ path: WritableKeyPath<ShipperConfiguration, Value>) {
            if merged[keyPath: path] != self[keyPath: path] { late.append(key) }
            merged[keyPath: path] = self[keyPath: path]
        }
        keep("host", \.host)
        keep("spool", \.spools)
        keep("state", \.stateDirectory)
        keep("store.url", \.store.url)
        keep("dead_after", \.deadAfter_ms)
        keep("admin", \.admin)
        merged.machine.isOnce = machine.isOnce
        return (merged, late)
    }

    private static func host(_ root: ConfigurationSection) throws(ConfigurationError) -> String {
        guard let text = try root.string("host"), !text.isEmpty else { return HostName.current() }
        let name = HostName.normalise(text)
        guard name == text.lowercased() else {
            throw root.error("host", "is '\(text)'; use at most 64 letters, digits, '.' and '-', such as '\(name)'")
        }
        return name
    }

    private static func store(_ root: ConfigurationSection) throws(ConfigurationError) -> StoreConfiguration {
        let keys = [
            "url", "region", "endpoint", "addressing", "credentials_file", "profile", "ca_bundle", "encryption",
            "kms_key_id", "bucket_key",
        ]
        guard let section = try root.section("store", keys: keys) else { throw root.missing("store") }
        let url = try section.requiredString("url")
        guard url.hasPrefix("s3://") || url.hasPrefix("file:///") || url.hasPrefix("/") else {
            throw section.error("url", "is '\(url)'; write s3://bucket/prefix or file:///folder")
        }
        let words = S3Endpoint.Addressing.allCases.map(\.rawValue)
        var http = HTTPSettings()
        http.caFile = try section.string("ca_bundle").flatMap { $0.isEmpty ? nil : $0 }
        func text(_ key: String) throws(ConfigurationError) -> String? {
            guard let text = try section.string(key), !text.isEmpty else { return nil }
            return text
        }
        return StoreConfiguration(
            url: url, region: try text("region"), endpoint: try text("endpoint"),
            addressing: try section.choice("addressing", of: words).flatMap(S3Endpoint.Addressing.init) ?? .auto,
            credentialsFile: try text("credentials_file"), profile: try text("profile"), http: http,
            encryption: try encryption(section))
    }

    private static func encryption(
        _ section: ConfigurationSection
    ) throws(ConfigurationError) -> ServerSideEncryption {
        let keyID = try section.string("kms_key_id").flatMap { $0.isEmpty ? nil : $0 }
        let word = try section.choice("encryption", of: ["off", "s3", "kms"])
        let bucketKey = try section.bool("bucket_key") ?? false
        do throws(StorageError) {
            return try ServerSideEncryption(word, keyID: keyID, bucketKey: bucketKey)
        } catch {
            throw section.error("encryption", "\(error.message): \(error.remedy)")
        }
    }

    static func trimmed(_ path: String) -> String {
        var path = path[...]
        while path.count > 1, path.hasSuffix("/") { path = path.dropLast() }
        return String(path)
    }
}
