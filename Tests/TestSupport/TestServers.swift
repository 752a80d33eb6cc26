internal import Glibc

/// The real servers that integration tests use, named by NADI_TEST_* variables; nil where these are not set.
///
/// Use: `@Test(.enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"))`.
package enum TestServers {
    /// An S3-compatible store and the bucket in it that tests may fill.
    package struct S3: Sendable {
        /// Such as `http://127.0.0.1:8333`.
        package let endpoint: String
        package let accessKey: String
        package let secretKey: String
        package let bucket: String
        /// The region to sign for.
        package var region = "us-east-1"
        /// Whether the bucket is named in the host (`bucket.host`) and not in the path.
        package var isVirtual = false

        /// A store that a test started itself.
        package init(endpoint: String, accessKey: String, secretKey: String, bucket: String) {
            self.endpoint = endpoint
            self.accessKey = accessKey
            self.secretKey = secretKey
            self.bucket = bucket
        }
    }

    /// The libpq URI of a PostgreSQL superuser, who makes a database for each suite.
    package static var postgres: String? { variable("NADI_TEST_POSTGRES") }

    /// The store of the tests.
    ///
    /// Use a prefix of your own in its bucket: `randomName`.
    package static var s3: S3? { s3("S3") }

    /// The server of `NADI_TEST_<name>_ENDPOINT`, `_BUCKET`, `_ACCESS_KEY`, `_SECRET_KEY`, and, where they are set,
    /// `_REGION` and `_ADDRESSING` (`path` or `virtual`).
    package static func s3(_ name: String) -> S3? {
        guard let endpoint = variable("NADI_TEST_\(name)_ENDPOINT"), let bucket = variable("NADI_TEST_\(name)_BUCKET"),
            let accessKey = variable("NADI_TEST_\(name)_ACCESS_KEY"),
            let secretKey = variable("NADI_TEST_\(name)_SECRET_KEY")
        else { return nil }
        var server = S3(endpoint: endpoint, accessKey: accessKey, secretKey: secretKey, bucket: bucket)
        server.region = variable("NADI_TEST_\(name)_REGION") ?? server.region
        server.isVirtual = variable("NADI_TEST_\(name)_ADDRESSING") == "virtual"
        return server
    }

    /// A Python that has botocore, for comparisons with it.
    package static var python: String? { variable("NADI_TEST_PYTHON") }

    /// A name nobody else uses: `<stem>-<16 hex digits>`.
    package static func randomName(_ stem: String) -> String {
        let digits = String(UInt64.random(in: 0...UInt64.max), radix: 16)
        return "\(stem)-\(String(repeating: "0", count: 16 - digits.count))\(digits)"
    }

    /// A variable of the environment that is set and not empty.
    package static func variable(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }
}
