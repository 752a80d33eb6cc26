internal import EventModel
internal import Glibc
package import ObjectStorage
package import ServiceSupport

/// The loader's configuration file, `loader.yaml`.
package struct LoaderConfiguration: Sendable {
    /// Every key at the top of the file.
    package static let keys = [
        "database", "store", "slices", "caps", "batch", "retention", "join", "lease", "parallelism", "metrics_file",
        "mappings",
    ]

    /// libpq's connection string; empty leaves all to `PG*` variables.
    package var database: String
    package var store: StoreConfiguration
    package var settings: LoadSettings
    /// Where node_exporter's textfile collector reads metrics, a path that ends in `.prom`.
    package var metricsFile: String?
    /// The file's section of mappings, read by ``MappingConfiguration``.
    package let root: ConfigurationSection

    /// Reads a file.
    /// - Throws: `ConfigurationError` with the line at fault.
    package init(path: String, environment: [String: String]) throws(ConfigurationError) {
        try self.init(ConfigurationDocument(path: path, environment: environment))
    }

    /// Reads a document.
    package init(_ document: ConfigurationDocument) throws(ConfigurationError) {
        let root = try document.root("loader", keys: Self.keys)
        self.root = root
        database = try root.string("database") ?? ""
        store = try Self.store(root)
        metricsFile = try root.string("metrics_file").flatMap { $0.isEmpty ? nil : $0 }
        if let metricsFile, !metricsFile.hasSuffix(".prom") {
            throw root.error("metrics_file", "is '\(metricsFile)'; the collector reads files that end in .prom")
        }
        var settings = LoadSettings()
        settings.prefix = store.prefix
        settings.sliceTags = try root.strings("slices") ?? []
        for tag in settings.sliceTags where tag.isEmpty || tag == "all" || tag.utf8.count > 64 {
            throw root.error("slices", "names the tag '\(tag)'; a tag has 1 to 64 bytes and is not called all")
        }
        if let caps = try root.section(
            "caps", keys: ["models", "series", "features", "categories", "slice_values", "resources"])
        {
            settings.caps.models = try caps.integer("models", in: 1...100_000) ?? settings.caps.models
            settings.caps.seriesPerModel = try caps.integer("series", in: 1...1_000_000) ?? settings.caps.seriesPerModel
            settings.caps.featuresPerModel =
                try caps.integer("features", in: 1...100_000) ?? settings.caps.featuresPerModel
            settings.caps.categoriesPerFeature =
                try caps.integer("categories", in: 1...100_000) ?? settings.caps.categoriesPerFeature
            settings.caps.resources = try caps.integer("resources", in: 1...10_000_000) ?? settings.caps.resources
            settings.caps.sliceValues = try caps.integer("slice_values", in: 1...100_000) ?? settings.caps.sliceValues
        }
        if let batch = try root.section("batch", keys: ["objects", "raw_bytes", "lines"]) {
            settings.batch.objects = try batch.integer("objects", in: 1...100_000) ?? settings.batch.objects
            settings.batch.rawBytes = try batch.bytes("raw_bytes", in: 1...(1 << 36)) ?? settings.batch.rawBytes
            settings.batch.lines = try batch.integer("lines", in: 1...100_000_000) ?? settings.batch.lines
        }
        if let retention = try root.section("retention", keys: ["minute_days", "label_days", "archive_days"]) {
            settings.retention.minuteDays =
                Int64(try retention.integer("minute_days", in: 1...400) ?? Int(settings.retention.minuteDays))
            settings.retention.labelDays =
                Int64(try retention.integer("label_days", in: 1...36_500) ?? Int(settings.retention.labelDays))
            settings.retention.archiveDays =
                Int64(try retention.integer("archive_days", in: 1...36_500) ?? Int(settings.retention.archiveDays))
        }
        if let join = try root.section("join", keys: ["share", "age", "age_share", "hours_per_run"]) {
            settings.join.share = try join.number("share", in: 0...1) ?? settings.join.share
            let age = try join.duration("age", in: .zero ... .seconds(7 * 86_400))
            settings.join.age_s = age.map { $0.components.seconds } ?? settings.join.age_s
            settings.join.ageShare = try join.number("age_share", in: 0...1) ?? settings.join.ageShare
            settings.join.hoursPerRun = try join.integer("hours_per_run", in: 0...100_000) ?? settings.join.hoursPerRun
        }
        let lease = try root.duration("lease", in: .seconds(1) ... .seconds(86_400))
        settings.lease_s = lease.map { $0.components.seconds } ?? settings.lease_s
        settings.parallelism = try root.integer("parallelism", in: 0...1024) ?? 0
        if settings.parallelism == 0 {
            settings.parallelism = min(8, max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
        }
        settings.owner = "\(HostName.current())/\(getpid())/\(String(UInt32.random(in: 0 ... .max), radix: 16))"
        self.settings = settings
    }

    private static func store(_ root: ConfigurationSection) throws(ConfigurationError) -> StoreConfiguration {
        let keys = ["url", "region", "endpoint", "addressing", "credentials_file", "profile", "ca_bundle"]
        guard let section = try root.section("store", keys: keys) else { throw root.missing("store") }
        let url = try section.requiredString("url")
        guard url.hasPrefix("s3://") || url.hasPrefix("file:///") || url.hasPrefix("/") else {
            throw section.error("url", "is '\(url)'; write s3://bucket/prefix or file:///folder")
        }
        func text(_ key: String) throws(ConfigurationError) -> String? {
            guard let text = try section.string(key), !text.isEmpty else { return nil }
            return text
        }
        let words = S3Endpoint.Addressing.allCases.map(\.rawValue)
        var http = HTTPSettings()
        http.caFile = try text("ca_bundle")
        return StoreConfiguration(
            url: url, region: try text("region"), endpoint: try text("endpoint"),
            addressing: try section.choice("addressing", of: words).flatMap(S3Endpoint.Addressing.init) ?? .auto,
            credentialsFile: try text("credentials_file"), profile: try text("profile"), http: http,
            // Rebuilding and joining hold an object in memory: a larger one is set aside by name.
            maxObjectBytes: 256 << 20)
    }
}
