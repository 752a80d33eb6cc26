import DurableIO
import FoundationEssentials
import ObjectStorage
import TestSupport
import Testing

@Suite struct SignatureV4Tests {
    struct Examples: Decodable {
        struct Example: Decodable {
            let name, method, path, body, canonicalHash, signedHeaders, signature: String
            let query: [[String]]
            let headers: [[String]]
        }

        let accessKeyID, secretAccessKey, region: String
        let date: Int64
        let examples: [Example]
    }

    @Test func awsPublishedExamples() throws {
        let file = try DurableFile.read(path: Fixtures.path("sigv4/aws-examples.json"))
        let data = try JSONDecoder().decode(Examples.self, from: Data(file))
        #expect(data.examples.count == 4)
        let credentials = try Credentials(
            accessKeyID: data.accessKeyID, secretAccessKey: data.secretAccessKey, source: "the test")
        for example in data.examples {
            let request = SignatureV4.Request(
                method: example.method, path: example.path, query: example.query.map { ($0[0], $0[1]) },
                headers: example.headers.map { ($0[0], $0[1]) },
                payloadHash: hex(SHA256.hash(Array(example.body.utf8))))
            let headers = SignatureV4(region: data.region).headers(
                request, credentials: credentials, date: data.date)
            var canonical = request
            canonical.headers = headers.filter { $0.name != "authorization" }
            #expect(
                hex(SHA256.hash(Array(SignatureV4.canonicalRequest(canonical).utf8))) == example.canonicalHash,
                "\(example.name)")
            #expect(
                headers.first { $0.name == "authorization" }?.value
                    == "AWS4-HMAC-SHA256 Credential=\(data.accessKeyID)/20130524/us-east-1/s3/aws4_request, "
                    + "SignedHeaders=\(example.signedHeaders), Signature=\(example.signature)", "\(example.name)")
        }
    }

    struct Asked: Codable {
        var method, host, key: String
        var query: [[String]]
        var headers: [[String]]
        var body, accessKeyID, secretAccessKey: String
        var sessionToken: String?
        var region: String
        var date: Int64
    }

    struct Answered: Decodable {
        let url, authorization: String
        let headers: [String: String]
    }

    static func random(_ generator: inout SeededGenerator) -> Asked {
        let letters = Array("abcXYZ019-._~ =+@&%/$!*'(),:;?#[]\"<>|^`{}äß水🐟é")
        func pick<Element>(_ choices: [Element]) -> Element {
            choices[Int.random(in: choices.indices, using: &generator)]
        }
        func text(_ lengths: ClosedRange<Int>) -> String {
            String((0..<Int.random(in: lengths, using: &generator)).map { _ in pick(letters) })
        }
        var asked = Asked(
            method: pick(["GET", "PUT", "HEAD", "DELETE"]),
            host: pick(["bucket.s3.eu-central-1.amazonaws.com", "127.0.0.1:9000", "s3.example.org"]),
            key: text(1...40), query: [], headers: [],
            body: base64(generator.bytes(Int.random(in: 0...50, using: &generator))), accessKeyID: "AKIDEXAMPLE",
            secretAccessKey: "s/e+c=r\(generator.next())",
            sessionToken: Bool.random(using: &generator) ? "token+/==\(generator.next())" : nil,
            region: pick(["us-east-1", "eu-central-1"]),
            date: Int64.random(in: 0...4_000_000_000, using: &generator))
        // A path that begins with two slashes would be another host to a URL parser.
        while asked.key.hasPrefix("/") { asked.key.removeFirst() }
        for _ in 0..<Int.random(in: 0...4, using: &generator) {
            asked.query.append([text(1...8), text(0...12)])
        }
        for name in ["Range", "X-Amz-Meta-Test", "x-amz-meta-test-two", "Content-Type", "If-None-Match", "Expect"]
        where Bool.random(using: &generator) {
            asked.headers.append([name, "  a  b\(generator.next() % 1000)   c=d, e "])
        }
        return asked
    }

    @Test(.enabled(if: TestServers.python != nil, "set NADI_TEST_PYTHON to a Python with botocore, or use Tests/run"))
    func aThousandRandomRequestsAreSignedAsBotocoreDoes() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let asked = (0..<1000).map { _ in Self.random(&generator) }
        let folder = try ScratchFolder()
        try DurableFile.replace(path: folder["requests.json"], bytes: Array(try JSONEncoder().encode(asked)))
        let python = try ChildProcess(
            try #require(TestServers.python),
            [Fixtures.path("sigv4/sign_with_botocore.py"), folder["requests.json"], folder["answers.json"]],
            output: folder["output"])
        let status = python.wait()
        let output = String(decoding: try DurableFile.read(path: folder["output"]), as: UTF8.self)
        try #require(status == 0, "\(output)")
        let file = try DurableFile.read(path: folder["answers.json"])
        let answers = try JSONDecoder().decode([Answered].self, from: Data(file))
        try #require(answers.count == asked.count)
        for (asked, answer) in zip(asked, answers) {
            let credentials = try Credentials(
                accessKeyID: asked.accessKeyID, secretAccessKey: asked.secretAccessKey,
                sessionToken: asked.sessionToken, source: "the test")
            let body = try #require(bytes(base64: asked.body))
            let query = asked.query.map { (name: $0[0], value: $0[1]) }
            let request = SignatureV4.Request(
                method: asked.method, path: "/\(asked.key)", query: query,
                headers: asked.headers.map { ($0[0], $0[1]) } + [("Host", asked.host)],
                payloadHash: hex(SHA256.hash(body)))
            let headers = SignatureV4(region: asked.region).headers(
                request, credentials: credentials, date: asked.date)
            let mine = headers.first { $0.name == "authorization" }?.value
            #expect(mine == answer.authorization, "seed \(seed): \(asked)")
            #expect(headers.first { $0.name == "x-amz-date" }?.value == answer.headers["x-amz-date"])
        }
    }

    @Test func theDaysKeyGivesTheSameSignature() throws {
        let credentials = try Credentials(accessKeyID: "A", secretAccessKey: "B", source: "the test")
        let signer = SignatureV4(region: "us-east-1")
        let request = SignatureV4.Request(
            method: "GET", path: "/", query: [], headers: [("host", "h")], payloadHash: "0")
        let key = signer.signingKey(secret: "B", day: "20130524")
        let with = signer.headers(request, credentials: credentials, date: 1_369_353_600, key: key)
        let without = signer.headers(request, credentials: credentials, date: 1_369_353_600)
        #expect(with.map(\.value) == without.map(\.value))
    }
}
