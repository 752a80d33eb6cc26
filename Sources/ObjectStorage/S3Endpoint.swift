/// Where a bucket is: scheme, host, and how the bucket is named in a request.
package struct S3Endpoint: Hashable, Sendable {
    /// How the bucket is named.
    package enum Addressing: String, Hashable, Sendable, CaseIterable {
        /// Virtual-host for amazonaws.com where the name allows it, path otherwise.
        case auto
        /// `https://host/bucket/key`
        case path
        /// `https://bucket.host/key`
        case virtual
    }

    /// `http` or `https`.
    package let scheme: String
    /// Host and, if it is not the scheme's own, port: what the `host` header says.
    package let host: String
    /// What comes before `/key` in the path, not encoded: `/bucket` or nothing.
    package let basePath: String

    /// Makes out where a bucket is.
    ///
    /// - Parameters:
    ///   - bucket: the bucket's name.
    ///   - region: its region.
    ///   - endpoint: a URL of scheme, host and port, such as `http://127.0.0.1:8333`; nil for AWS.
    ///   - addressing: how the bucket is named.
    /// - Throws: `StorageError` of kind `configuration`.
    package init(
        bucket: String, region: String, endpoint: String? = nil, addressing: Addressing = .auto
    ) throws(StorageError) {
        func refuse(_ message: String, _ remedy: String) -> StorageError {
            StorageError(.configuration, operation: "configure the store", message: message, remedy: remedy)
        }
        let isBucketByte = { (byte: UInt8) in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard (1...255).contains(bucket.utf8.count), bucket.utf8.allSatisfy(isBucketByte), bucket != ".", bucket != ".."
        else { throw refuse("`\(bucket)` is no bucket name", "use letters, digits, dots and hyphens") }
        guard !region.isEmpty, region.utf8.allSatisfy(isBucketByte) else {
            throw refuse("`\(region)` is no region", "use a name such as us-east-1")
        }
        let isChina = region.hasPrefix("cn-")
        let url = endpoint ?? "https://s3.\(region).amazonaws.com\(isChina ? ".cn" : "")"
        let (scheme, host) = try Self.split(url)
        let isAWS = host.hasSuffix(".amazonaws.com") || host.hasSuffix(".amazonaws.com.cn")
        // A certificate for *.host does not cover a bucket name with a dot, and host names have no capitals.
        let fitsHost = bucket.utf8.allSatisfy {
            !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) && $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "_")
        }
        let isVirtual =
            switch addressing {
            case .auto: isAWS && fitsHost
            case .path: false
            case .virtual: true
            }
        self.scheme = scheme
        self.host = isVirtual ? "\(bucket).\(host)" : host
        basePath = isVirtual ? "" : "/\(bucket)"
    }

    /// The path of a key, or of the bucket, not encoded.
    func path(_ key: String?) -> String {
        guard let key else { return basePath.isEmpty ? "/" : basePath }
        return "\(basePath)/\(key)"
    }

    /// Whether an endpoint's URL is one of AWS's.
    static func isAWS(_ url: String) -> Bool {
        guard let host = (try? split(url))?.host else { return false }
        return host.hasSuffix(".amazonaws.com") || host.hasSuffix(".amazonaws.com.cn")
    }

    /// A URL's scheme, and its host with the port unless it is the scheme's own.
    static func split(_ url: String) throws(StorageError) -> (scheme: String, host: String) {
        func refuse(_ reason: String) -> StorageError {
            StorageError(
                .configuration, operation: "configure the store", message: "the endpoint `\(url)` \(reason)",
                remedy: "write scheme, host and port only, such as https://s3.example.org:9000")
        }
        let lower = url.lowercased()
        guard let scheme = ["http", "https"].first(where: { lower.hasPrefix("\($0)://") }) else {
            throw refuse("does not begin with http:// or https://")
        }
        var host = lower.dropFirst(scheme.count + 3)
        if host.hasSuffix("/") { host = host.dropLast() }
        guard !host.isEmpty, !host.contains("/"), !host.contains("?"), !host.contains("#") else {
            throw refuse("holds a path or a query, or no host")
        }
        guard !host.contains("@") else {
            throw StorageError(
                .configuration, operation: "configure the store", message: "the endpoint holds a user name or password",
                remedy: "give credentials by the environment or a credentials file")
        }
        guard host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw refuse("holds a space or a non-ASCII letter")
        }
        let defaultPort = scheme == "http" ? ":80" : ":443"
        if host.hasSuffix(defaultPort) { host = host.dropLast(defaultPort.count) }
        return (scheme, String(host))
    }
}
