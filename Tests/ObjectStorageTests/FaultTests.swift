import DurableIO
import ObjectStorage
import TestSupport
import Testing

/// Stores and networks that misbehave.
@Suite(.timeLimit(.minutes(5))) struct FaultTests {
    static func store(
        _ endpoint: String, http: HTTPSettings = HTTPSettings(), credentials: (any CredentialsProvider)? = nil
    ) throws -> S3Store {
        try S3Store(
            endpoint: S3Endpoint(bucket: "b", region: "us-east-1", endpoint: endpoint), region: "us-east-1",
            credentials: try credentials
                ?? StaticCredentials(Credentials(accessKeyID: "A", secretAccessKey: "very-secret", source: "the test")),
            http: http)
    }

    static func errorBody(_ code: String, _ message: String = "In words.") -> String {
        "<?xml version=\"1.0\"?>\n<Error><Code>\(code)</Code><Message>\(message)</Message><RequestId>R1</RequestId></Error>"
    }

    @Test func connectionRefused() async throws {
        let store = try Self.store("http://127.0.0.1:\(ScriptedServer.freePort())")
        let error = await storageError { _ = try await store.put("k", [1], PutOptions()) }
        #expect(error?.kind == .unreachable && error?.code == "curl 7" && error?.isRetryable == true)
        #expect(error?.status == 0)
    }

    @Test func anUnknownHost() async throws {
        let store = try Self.store("http://no-such-host.invalid")
        let error = await storageError { _ = try await store.get("k") }
        // Where no name server answers, it takes the connect timeout.
        #expect(error?.kind == .unreachable || error?.kind == .timeout)
        #expect(error?.message.contains("no-such-host.invalid") == true)
    }

    @Test func cutConnections() async throws {
        let server = try ScriptedServer([
            .close, .bytesAndClose("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"),
            .bytesAndClose("rubbish\r\n"),
            .answer(200, ["etag": "\"1\""]),
        ])
        let store = try Self.store(server.endpoint)
        let first = await storageError { _ = try await store.get("k") }
        #expect(first?.kind == .unreachable && first?.code == "curl 52")
        let second = await storageError { _ = try await store.get("k") }
        #expect(second?.kind == .unreachable && second?.code == "curl 18")
        let third = await storageError { _ = try await store.get("k") }
        #expect(third != nil && third?.isRetryable == true)
        #expect(try await store.put("k", [1], PutOptions()).etag == "1")
    }

    @Test func aConnectionThatDiedWhileIdleIsReplacedAndTheBodySentAgain() async throws {
        let server = try ScriptedServer([.answerAndClose(200, ["etag": "\"1\""]), .answer(200, ["etag": "\"2\""])])
        let store = try Self.store(server.endpoint)
        let body = [UInt8](repeating: 7, count: 500_000)
        #expect(try await store.put("k", body, PutOptions()).etag == "1")
        #expect(try await store.put("k", body, PutOptions()).etag == "2")
        #expect(server.requests.map(\.body) == [body, body])
    }

    @Test func aConnectionThatDiesUnderARequestIsReplacedAndTheBodySentAgain() async throws {
        // The second request arrives whole on the kept connection, which is then closed without an answer.
        let server = try ScriptedServer([.answer(200, ["etag": "\"1\""]), .close, .answer(200, ["etag": "\"2\""])])
        let store = try Self.store(server.endpoint)
        let body = [UInt8](repeating: 7, count: 500_000)
        #expect(try await store.put("k", body, PutOptions()).etag == "1")
        #expect(try await store.put("k", body, PutOptions()).etag == "2")
        #expect(server.requests.map(\.body) == [body, body, body])
        #expect(server.requests.map(\.connection) == [1, 1, 2])
    }

    @Test func aSlowServer() async throws {
        let server = try ScriptedServer([.silence])
        var http = HTTPSettings()
        http.stallTime_s = 1
        let store = try Self.store(server.endpoint, http: http)
        let error = await storageError { _ = try await store.get("k", range: 0..<10) }
        #expect(error?.kind == .timeout && error?.isRetryable == true)
        http.stallTime_s = 30
        http.requestTimeout_s = 0.5
        http.slowestSpeed = 1e9
        let limited = try Self.store(server.endpoint, http: http)
        let second = await storageError { _ = try await limited.get("k", range: 0..<10) }
        #expect(second?.kind == .timeout && second?.code == "curl 28")
    }

    @Test func retryAfter() async throws {
        let server = try ScriptedServer([
            .answer(503, ["retry-after": "7"], Self.errorBody("SlowDown")),
            .answer(
                503,
                ["retry-after": "Mon, 23 Nov 2026 04:35:42 GMT", "date": "Mon, 23 Nov 2026 04:34:12 GMT"]),
            .answer(503, ["retry-after": "nonsense"]),
        ])
        let store = try Self.store(server.endpoint)
        let first = await storageError { _ = try await store.get("k") }
        #expect(first?.kind == .throttled && first?.retryAfter_s == 7 && first?.requestID == "R1")
        #expect(
            first?.description.hasPrefix("GET k failed: In words. (throttled, status 503, SlowDown, request R1)")
                == true)
        let second = await storageError { _ = try await store.get("k") }
        #expect(second?.kind == .server && second?.retryAfter_s == 90)
        let third = await storageError { _ = try await store.get("k") }
        #expect(third?.kind == .server && third?.retryAfter_s == nil && third?.isRetryable == true)
    }

    @Test func successWithAnErrorBody() async throws {
        let server = try ScriptedServer([.answer(200, [:], Self.errorBody("InternalError"))])
        let store = try Self.store(server.endpoint)
        for body in [
            { _ = try await store.put("k", [1], PutOptions()) }, { _ = try await store.get("k") },
            { _ = try await store.list(prefix: "", startAfter: nil, limit: 1) }, { try await store.delete("k") },
        ] as [@Sendable () async throws -> Void] {
            let error = await storageError(body)
            #expect(error?.kind == .server && error?.status == 200 && error?.code == "InternalError")
        }
    }

    @Test func aPageThatIsNoStores() async throws {
        let server = try ScriptedServer([.answer(200, [:], "<html><body>Please log in</body></html>")])
        let store = try Self.store(server.endpoint)
        let put = await storageError { _ = try await store.put("k", [1], PutOptions()) }
        #expect(put?.kind == .invalidResponse)
        let list = await storageError { _ = try await store.list(prefix: "", startAfter: nil, limit: 1) }
        #expect(list?.kind == .invalidResponse && list?.message.contains("<html>") == true)
    }

    @Test func listingsThatCannotBeTrusted() async throws {
        func listing(_ inner: String) -> ScriptedServer.Step {
            .answer(200, [:], "<ListBucketResult>\(inner)</ListBucketResult>")
        }
        let entry = "<Contents><Key>p/a</Key><Size>1</Size></Contents>"
        let server = try ScriptedServer([
            listing(entry),
            listing("<IsTruncated>true</IsTruncated>\(entry)"),
            listing("<IsTruncated>false</IsTruncated><Contents><Key>p/a</Key></Contents>"),
            listing("<IsTruncated>false</IsTruncated><Contents><Key>q/a</Key><Size>1</Size></Contents>"),
            .answer(200, [:], "<ListBucketResult><IsTruncated>false</IsTruncated>"),
            .answer(200, [:], "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult/>"),
            listing("<IsTruncated>false</IsTruncated>\(entry)"),
        ])
        let store = try Self.store(server.endpoint)
        for _ in 0..<6 {
            let error = await storageError { _ = try await store.list(prefix: "p/", startAfter: nil, limit: 1001) }
            #expect(error?.kind == .invalidResponse && error?.isRetryable == true)
        }
        #expect(try await store.list(prefix: "p/", startAfter: nil, limit: 1001).objects.map(\.key) == ["p/a"])
        #expect(server.requests[0].target == "/b?encoding-type=url&list-type=2&max-keys=1000&prefix=p%2F")
    }

    @Test func listingsOfOtherStores() async throws {
        let server = try ScriptedServer([
            .answer(
                200, [:],
                """
                <ListBucketResult><IsTruncated>false</IsTruncated>
                <Contents><Key>p/a</Key><Size>1</Size><ETag>"e"</ETag><LastModified>2013-05-24T00:00:00.123456Z</LastModified></Contents>
                <Contents><Key>p/b</Key><Size>2</Size><ETag>W/"f"</ETag><LastModified>2013-05-24T00:00:00.5Z</LastModified></Contents>
                <Contents><Key>p/c+%41</Key><Size>3</Size><LastModified>soon</LastModified></Contents>
                </ListBucketResult>
                """)
        ])
        let store = try Self.store(server.endpoint)
        let page = try await store.list(prefix: "p/", startAfter: nil, limit: 3)
        #expect(page.objects.map(\.modified_ms) == [1_369_353_600_123, 1_369_353_600_500, 0])
        #expect(page.objects.map(\.etag) == ["e", "f", nil])
        // Without `EncodingType` the keys are as they stand.
        #expect(page.objects.map(\.key) == ["p/a", "p/b", "p/c+%41"] && !page.isTruncated)
        // A store that sends more than was asked for.
        let short = try await store.list(prefix: "p/", startAfter: nil, limit: 2)
        #expect(short.objects.map(\.key) == ["p/a", "p/b"] && short.isTruncated)
    }

    @Test func aMediaTypeCannotSmuggleInAHeader() async throws {
        let server = try ScriptedServer([.answer(200, ["etag": "\"1\""])])
        let store = try Self.store(server.endpoint)
        let error = await storageError {
            _ = try await store.put("k", [1], PutOptions(contentType: "text/plain\r\nx-evil: 1"))
        }
        #expect(error?.kind == .configuration && server.requests.isEmpty)
        // The connection's handle is fit for the next request.
        #expect(try await store.put("k", [1], PutOptions()).etag == "1")
    }

    @Test func aRedirectIsNotFollowedAndNamesTheRegion() async throws {
        let server = try ScriptedServer([
            .answer(
                301, ["location": "http://127.0.0.1:1/x", "x-amz-bucket-region": "eu-west-2"],
                Self.errorBody("PermanentRedirect"))
        ])
        let error = await storageError { _ = try await Self.store(server.endpoint).get("k") }
        #expect(error?.kind == .wrongRegion)
        #expect(error?.remedy == "the bucket's region is eu-west-2: set AWS_REGION to it")
        #expect(server.requests.count == 1)
    }

    @Test func theStoresClockIsLearnt() async throws {
        let server = try ScriptedServer([
            .answer(403, ["date": "Fri, 24 May 2013 00:00:00 GMT"], Self.errorBody("RequestTimeTooSkewed")),
            .answer(200, ["etag": "\"1\""]),
        ])
        let store = try Self.store(server.endpoint)
        // One call: the refusal teaches the time, and the repetition is signed with it.
        _ = try await store.put("k", [1], PutOptions())
        #expect(store.clockOffset_s < -400_000_000 && store.clockDifference_s == store.clockOffset_s)
        #expect(server.requests.count == 2)
        #expect(server.requests[1].headers["x-amz-date"]?.hasPrefix("20130524T0000") == true)
    }

    @Test func whatIsSent() async throws {
        let server = try ScriptedServer([.answer(200, ["etag": "\"1\""])])
        let store = try Self.store(server.endpoint)
        _ = try await store.put("a b/ü", [1, 2, 3], PutOptions(contentType: "application/zstd", ifAbsent: true))
        let put = server.requests[0]
        #expect(put.method == "PUT" && put.target == "/b/a%20b/%C3%BC" && put.body == [1, 2, 3])
        #expect(put.headers["content-type"] == "application/zstd" && put.headers["content-length"] == "3")
        #expect(put.headers["x-amz-content-sha256"] == hex(SHA256.hash([1, 2, 3])))
        #expect(put.headers["x-amz-checksum-sha256"] == base64(SHA256.hash([1, 2, 3])))
        #expect(put.headers["if-none-match"] == "*" && put.headers["host"] == "127.0.0.1:\(server.port)")
        for absent in ["expect", "content-encoding", "transfer-encoding", "x-amz-decoded-content-length"] {
            #expect(put.headers[absent] == nil)
        }
        _ = try await store.put("large", [UInt8](repeating: 1, count: 1 << 20), PutOptions())
        #expect(server.requests[1].headers["expect"] == "100-continue")
        #expect(server.requests[1].body.count == 1 << 20)
        _ = try await store.head("k")
        #expect(server.requests[2].headers["x-amz-checksum-mode"] == "ENABLED")
        #expect(server.connections == 1)
    }

    @Test func whatHeadTells() async throws {
        let sum = base64(SHA256.hash([1]))
        let whole: ScriptedServer.Step = .answer(
            200,
            [
                "content-length": "1", "etag": "\"e\"", "x-amz-checksum-sha256": sum,
                "last-modified": "Fri, 24 May 2013 00:00:00 GMT",
            ])
        let server = try ScriptedServer([
            whole, .answer(400, [:], Self.errorBody("XAmzContentChecksumMismatch")), .answer(200, ["etag": "\"e\""]),
            whole,
            .answer(
                200, ["content-length": "1", "x-amz-checksum-sha256": sum, "x-amz-checksum-type": "COMPOSITE"]),
            .answer(200, ["content-length": "1", "x-amz-checksum-sha256": "AAAA-2"]),
            .answer(403), .answer(404),
        ])
        let store = try Self.store(server.endpoint)
        // A stored checksum counts once the server was seen to refuse a wrong one.
        #expect(try await store.head("k")?.sha256 == nil)
        _ = try await store.put("k", [1], PutOptions(isTrial: true))
        #expect(server.requests[1].headers["x-amz-checksum-sha256"] != sum)
        #expect(server.requests[2].headers["x-amz-checksum-sha256"] == sum)
        #expect(server.requests[2].headers["content-md5"] == nil && store.checksSHA256 == true)
        let info = try await store.head("k")
        #expect(
            info
                == ObjectInfo(
                    key: "k", size: 1, etag: "e", modified_ms: 1_369_353_600_000, sha256: SHA256.hash([1])))
        #expect(try await store.head("k")?.sha256 == nil)
        #expect(try await store.head("k")?.sha256 == nil)
        let error = await storageError { _ = try await store.head("k") }
        #expect(error?.kind == .accessDenied && error?.isRetryable == true)
        #expect(try await store.head("k") == nil)
    }

    @Test func aStoreThatTakesWrongChecksumsIsNotBelieved() async throws {
        let sum = base64(SHA256.hash([1]))
        let server = try ScriptedServer([
            .answer(200, ["etag": "\"e\""]), .answer(200, ["etag": "\"e\""]),
            .answer(200, ["content-length": "1", "x-amz-checksum-sha256": sum]), .answer(200, ["etag": "\"e\""]),
        ])
        let store = try Self.store(server.endpoint)
        _ = try await store.put("k", [1], PutOptions(isTrial: true))
        #expect(store.checksSHA256 == false)
        #expect(server.requests[1].headers["content-md5"] == base64(MD5.hash([1])))
        #expect(try await store.head("k")?.sha256 == nil)
        // It was tried once; from now on the MD5, which such stores do check, goes with every PUT.
        _ = try await store.put("l", [2], PutOptions(isTrial: true))
        #expect(server.requests.count == 4 && server.requests[3].headers["content-md5"] == base64(MD5.hash([2])))
    }

    @Test func aStoreThatKnowsNoChecksums() async throws {
        let server = try ScriptedServer([
            .route { request in
                request.headers["x-amz-checksum-sha256"] == nil
                    ? .answer(200, ["etag": "\"1\""]) : .answer(501, [:], Self.errorBody("NotImplemented"))
            }
        ])
        let store = try Self.store(server.endpoint)
        #expect(try await store.put("k", [1], PutOptions(ifAbsent: true)).etag == "1")
        #expect(server.requests.count == 2)
        #expect(server.requests[1].headers["content-md5"] == base64(MD5.hash([1])))
        #expect(server.requests[1].headers["if-none-match"] == "*")
        // It is known from then on.
        _ = try await store.put("k", [2], PutOptions(isTrial: true))
        #expect(server.requests.count == 3 && server.requests[2].headers["content-md5"] == base64(MD5.hash([2])))
    }

    @Test func aTrialThatTellsNothingDoesNotHoldUpThePut() async throws {
        let server = try ScriptedServer([.answer(500), .answer(200, ["etag": "\"1\""])])
        let store = try Self.store(server.endpoint)
        #expect(try await store.put("k", [1], PutOptions(isTrial: true)).etag == "1")
        #expect(store.checksSHA256 == nil && server.requests.count == 2)
    }

    @Test func oldStoresAnswerAConditionWith304() async throws {
        let server = try ScriptedServer([.answer(304), .answer(409, [:], Self.errorBody("ConditionalRequestConflict"))])
        let store = try Self.store(server.endpoint)
        #expect(try await store.put("k", [1], PutOptions(ifAbsent: true)).alreadyExisted)
        let error = await storageError { _ = try await store.put("k", [1], PutOptions(ifAbsent: true)) }
        #expect(error?.kind == .conflict && error?.isRetryable == true)
    }

    @Test func aStoreThatIgnoresRanges() async throws {
        let server = try ScriptedServer([.answer(200, ["etag": "\"1\""], "0123456789")])
        let store = try Self.store(server.endpoint)
        #expect(try await store.get("k", range: 2..<5) == Array("234".utf8))
        #expect(try await store.get("k", range: 0..<50) == Array("0123456789".utf8))
        let short = await storageError { _ = try await store.get("k", range: 20..<21) }
        #expect(short?.kind == .rangeNotSatisfiable)
        let doubtful = await storageError { _ = try await store.get("k", range: 5..<900) }
        #expect(doubtful?.kind == .invalidResponse)
        let other = try ScriptedServer([.answer(206, ["content-range": "bytes 0-2/10", "etag": "\"1\""], "012")])
        let shifted = await storageError { _ = try await Self.store(other.endpoint).get("k", range: 2..<5) }
        #expect(shifted?.kind == .invalidResponse && shifted?.isRetryable == true)
    }

    @Test func cancellingEndsAtOnce() async throws {
        let server = try ScriptedServer([.silence])
        let store = try Self.store(server.endpoint)
        let task = Task { try await store.get("k") }
        while server.requests.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
        let clock = ContinuousClock()
        let start = clock.now
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        // Of the 30 s after which a silent server is given up.
        #expect(clock.now - start < .seconds(15))
        let before = Task { try await store.get("k") }
        before.cancel()
        await #expect(throws: CancellationError.self) { try await before.value }
    }

    @Test func noMoreConnectionsThanAllowedAndTheyAreUsedAgain() async throws {
        let server = try ScriptedServer([.delayed(0.01, 200)])
        var http = HTTPSettings()
        http.maxConnections = 3
        let store = try Self.store(server.endpoint, http: http)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<40 { group.addTask { _ = try await store.put("k", [1], PutOptions()) } }
            try await group.waitForAll()
        }
        #expect(server.requests.count == 40)
        #expect(server.mostOpenConnections <= 3 && server.connections <= 3)
    }

    @Test func unknownAnswersAreRepeated() async throws {
        let server = try ScriptedServer([
            .answer(418, [:], Self.errorBody("Teapot")), .answer(400, [:], "not xml"), .answer(500),
            .answer(400, [:], Self.errorBody("RequestTimeout")), .answer(507, [:], Self.errorBody("XMinioStorageFull")),
        ])
        let store = try Self.store(server.endpoint)
        for kind in [.unknown, .unknown, .server, .timeout, .storageFull] as [StorageError.Kind] {
            let error = await storageError { _ = try await store.put("k", [1], PutOptions()) }
            #expect(error?.kind == kind && error?.isRetryable == true)
            #expect(error?.description.contains("very-secret") == false)
        }
    }
}
