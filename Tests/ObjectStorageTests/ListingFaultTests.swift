import DurableIO
import ObjectStorage
import TestSupport
import Testing

/// Listings that go on for ever, are too large, or are no listings.
@Suite(.timeLimit(.minutes(5))) struct ListingFaultTests {
    static func page(_ keys: [String], next: String? = nil) -> String {
        let entries = keys.map { "<Contents><Key>\($0)</Key><Size>1</Size></Contents>" }.joined()
        let more = next.map { "<NextContinuationToken>\($0)</NextContinuationToken>" } ?? ""
        return "<ListBucketResult><IsTruncated>\(next != nil)</IsTruncated>\(more)\(entries)</ListBucketResult>"
    }

    static func token(_ request: ScriptedServer.Request) -> String? {
        request.target.split(separator: "&").first { $0.contains("continuation-token=") }?.split(separator: "=").last
            .map(String.init)
    }

    @Test(arguments: [1, 2, 7, 30]) func continuationTokensInACircle(length: Int) async throws {
        let server = try ScriptedServer([
            .route { request in
                let number = Self.token(request).flatMap { Int($0) } ?? 0
                return .answer(200, [:], Self.page(["k"], next: "\((number + 1) % length)"))
            }
        ])
        let store = try FaultTests.store(server.endpoint)
        let error = await storageError { _ = try await store.list(prefix: "", startAfter: nil, limit: .max) }
        #expect(error?.kind == .invalidResponse && error?.isRetryable == true)
        #expect(server.requests.count <= 4 * length + 4)
    }

    @Test func aStoreThatIgnoresWhereToGoOnFrom() async throws {
        let server = try ScriptedServer([.answer(200, [:], Self.page(["a", "b"], next: "t"))])
        let store = try FaultTests.store(server.endpoint)
        var seen = 0
        let error = await storageError {
            try await store.forEachObject(prefix: "", pageSize: 2) { _ in seen += 1 }
        }
        #expect(error?.kind == .invalidResponse && seen <= 4)
    }

    @Test func manyPagesEndAndEmptyOnesAreSkipped() async throws {
        let server = try ScriptedServer([
            .route { request in
                let number = Self.token(request).flatMap { Int($0) } ?? 0
                // Two of three pages are empty: the store skipped what was deleted.
                let keys = number % 3 == 0 ? ["k\(number)"] : []
                return .answer(200, [:], Self.page(keys, next: number < 600 ? "\(number + 1)" : nil))
            }
        ])
        let store = try FaultTests.store(server.endpoint)
        let page = try await store.list(prefix: "", startAfter: nil, limit: 100_000)
        #expect(page.objects.count == 201 && !page.isTruncated && server.requests.count == 601)
        let endless = try ScriptedServer([
            .route { .answer(200, [:], Self.page([], next: "\((Self.token($0).flatMap { Int($0) } ?? 0) + 1)")) }
        ])
        let error = await storageError {
            _ = try await FaultTests.store(endless.endpoint).list(prefix: "", startAfter: nil, limit: 1)
        }
        #expect(error?.kind == .invalidResponse && endless.requests.count == 1000)
    }

    @Test func aPageOfMoreThanWasAskedFor() async throws {
        let keys = (0..<2500).map { "k\(10_000 + $0)" }
        let server = try ScriptedServer([.answer(200, [:], Self.page(keys))])
        let store = try FaultTests.store(server.endpoint)
        #expect(try await store.list(prefix: "k", startAfter: nil, limit: 10_000).objects.map(\.key) == keys)
        let short = try await store.list(prefix: "k", startAfter: nil, limit: 1200)
        #expect(short.objects.map(\.key) == Array(keys[..<1200]) && short.isTruncated)
    }

    @Test func anAnswerThatIsTooLarge() async throws {
        let huge = "<ListBucketResult><IsTruncated>false</IsTruncated><X>" + String(repeating: "x", count: 17 << 20)
        let server = try ScriptedServer([.answer(200, [:], huge)])
        let error = await storageError {
            _ = try await FaultTests.store(server.endpoint).list(prefix: "", startAfter: nil, limit: 1)
        }
        // The listing may be better the next time; an object that is too large stays so.
        #expect(error?.kind == .invalidResponse && error?.isRetryable == true)
    }

    @Test func entitiesInKeysAndNoneOfTheirOwn() async throws {
        let server = try ScriptedServer([
            .answer(200, [:], Self.page(["a&amp;b", "c&lt;d&gt;", "e&#x26;&quot;", "f&apos;"])),
            .answer(200, [:], "<!DOCTYPE l [<!ENTITY x \"xxxxxxxxxx\">]><ListBucketResult/>"),
            .answer(200, [:], Self.page(["a&x;"])),
        ])
        let store = try FaultTests.store(server.endpoint)
        let page = try await store.list(prefix: "", startAfter: nil, limit: 10)
        #expect(page.objects.map(\.key) == ["a&b", "c<d>", "e&\"", "f'"])
        for _ in 0..<2 {
            let error = await storageError { _ = try await store.list(prefix: "", startAfter: nil, limit: 10) }
            #expect(error?.kind == .invalidResponse)
        }
    }

    @Test func aDocumentCannotFillTheMemory() {
        let many = Array(("<a>" + String(repeating: "<b/>", count: 70_000) + "</a>").utf8)
        let error = #expect(throws: XMLScanner.Malformed.self) { try S3ListDocument(many) }
        #expect(error?.reason.contains("65,536") == true)
    }

    /// What libFuzzer is given too: bytes in, a listing or a reason out.
    @Test func anyBytesGiveAListingOrAReason() throws {
        var generator = SeededGenerator(seed: 11)
        let whole = Array(Self.page(["p/a&amp;b", "p/c"], next: "t").utf8)
        #expect(try S3ListDocument(whole).objects.count == 2)
        var accepted = 0
        for _ in 0..<3000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                switch Int.random(in: 0..<3, using: &generator) {
                case 0:
                    bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(
                        in: 0 ... .max, using: &generator)
                case 1: bytes.removeSubrange(Int.random(in: bytes.indices, using: &generator)...)
                default: bytes += whole[Int.random(in: whole.indices, using: &generator)...]
                }
                if bytes.isEmpty { bytes = [60] }
            }
            if let listing = try? S3ListDocument(bytes) {
                accepted += 1
                #expect(listing.objects.allSatisfy { $0.size >= 0 })
            }
        }
        #expect(accepted < 3000)
    }
}
