import DurableIO
import ObjectStorage
import TestSupport
import Testing

@Suite struct ConfigurationTests {
    /// The target and host of a request to a scripted server that stands for an endpoint.
    @Test func bucketsAreNamedInThePathAtOwnEndpoints() async throws {
        let server = try ScriptedServer([.answer(404)])
        let environment = Environment([
            "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B", "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_ENDPOINT_URL_S3": server.endpoint + "/",
        ])
        let configuration = StoreConfiguration(url: "s3://bucket/deep//prefix/")
        #expect(configuration.prefix == "deep/prefix")
        let store = try configuration.makeStore(environment: environment)
        #expect(try await store.head("k") == nil)
        #expect(server.requests[0].target == "/bucket/k")
        #expect(server.requests[0].headers["authorization"]?.contains("/us-east-1/s3/aws4_request") == true)
    }

    @Test func directoryStores() async throws {
        let folder = try ScratchFolder()
        for url in [folder.path, "file://\(folder.path)", "file://\(folder.path)/"] {
            let store = try StoreConfiguration(url: url).makeStore(environment: Environment([:]))
            _ = try await store.put("a/b", [1], PutOptions())
            #expect(try DurableFile.read(path: folder["a/b"]) == [1])
            #expect(StoreConfiguration(url: url).prefix == "")
        }
        let error = #expect(throws: StorageError.self) {
            try StoreConfiguration(url: folder["none"]).makeStore(environment: Environment([:]))
        }
        #expect(error?.kind == .noSuchBucket)
    }

    @Test(arguments: [
        ("ftp://x", [:]), ("s3://", [:]), ("bucket", [:]),
        ("s3://bucket/p", [:]),
        ("s3://bucket/p", ["AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"]),
        ("s3://buck et/p", ["AWS_REGION": "eu-west-1"]),
        ("s3://bucket", ["AWS_ENDPOINT_URL": "127.0.0.1:9000"]),
        ("s3://bucket", ["AWS_ENDPOINT_URL": "http://127.0.0.1:9000/path"]),
        ("s3://bucket", ["AWS_ENDPOINT_URL": "http://"]),
    ]) func faultsAreNamed(url: String, variables: [String: String]) throws {
        let error = #expect(throws: StorageError.self) {
            try StoreConfiguration(url: url).makeStore(environment: Environment(variables))
        }
        #expect(error?.kind == .configuration && error?.remedy.isEmpty == false)
    }

    @Test func passwordsInAnEndpointAreNotRepeated() throws {
        let error = #expect(throws: StorageError.self) {
            try S3Endpoint(bucket: "b", region: "r", endpoint: "https://user:hunter2@host")
        }
        #expect(error?.description.contains("hunter2") == false)
    }

    struct Place: CustomStringConvertible {
        let bucket: String
        var region = "us-east-1"
        var endpoint: String?
        var addressing = S3Endpoint.Addressing.auto
        let expected: String
        var description: String { expected }
    }

    @Test(arguments: [
        Place(bucket: "b-1", expected: "https://b-1.s3.us-east-1.amazonaws.com/"),
        Place(bucket: "b.1", expected: "https://s3.us-east-1.amazonaws.com/b.1/"),
        Place(bucket: "Old_Name", expected: "https://s3.us-east-1.amazonaws.com/Old_Name/"),
        Place(bucket: "b", region: "cn-north-1", expected: "https://b.s3.cn-north-1.amazonaws.com.cn/"),
        Place(bucket: "b", addressing: .path, expected: "https://s3.us-east-1.amazonaws.com/b/"),
        Place(bucket: "b", endpoint: "HTTP://LocalHost:80/", expected: "http://localhost/b/"),
        Place(bucket: "b", endpoint: "https://[::1]:9000", expected: "https://[::1]:9000/b/"),
        Place(bucket: "b", endpoint: "https://r2.example:443", addressing: .virtual, expected: "https://b.r2.example/"),
    ]) func placesOfBuckets(place: Place) throws {
        let endpoint = try S3Endpoint(
            bucket: place.bucket, region: place.region, endpoint: place.endpoint, addressing: place.addressing)
        #expect("\(endpoint.scheme)://\(endpoint.host)\(endpoint.basePath)/" == place.expected)
    }
}
