import DurableIO
import ObjectStorage
import TestSupport
import Testing

/// The table of what is repeated, row by row through real answers; whatever is not in it is kept and repeated.
@Suite(.timeLimit(.minutes(5))) struct RetryTableTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let status: Int
        let code: String
        let kind: StorageError.Kind
        let retry: RetryAdvice
        var testDescription: String { "\(status) \(code)" }

        init(_ status: Int, _ code: String, _ kind: StorageError.Kind, _ retry: RetryAdvice) {
            (self.status, self.code, self.kind, self.retry) = (status, code, kind, retry)
        }
    }

    static let rows: [Row] = [
        // The store is busy or ill.
        Row(429, "", .throttled, .soon), Row(429, "TooManyRequests", .throttled, .soon),
        Row(503, "SlowDown", .throttled, .soon), Row(503, "SlowDownWrite", .throttled, .soon),
        Row(503, "ServiceUnavailable", .server, .soon), Row(503, "RequestLimitExceeded", .throttled, .soon),
        Row(400, "Throttling", .throttled, .soon),
        Row(500, "InternalError", .server, .soon), Row(500, "", .server, .soon), Row(502, "", .server, .soon),
        Row(503, "", .server, .soon), Row(504, "", .server, .soon), Row(599, "Whatever", .server, .soon),
        // The request came in pieces, late or not at all.
        Row(400, "RequestTimeout", .timeout, .soon), Row(408, "", .timeout, .soon),
        Row(400, "IncompleteBody", .unreachable, .soon), Row(499, "", .unreachable, .soon),
        Row(499, "ClientDisconnected", .unreachable, .soon),
        Row(400, "BadDigest", .badDigest, .soon), Row(400, "XAmzContentSHA256Mismatch", .badDigest, .soon),
        Row(400, "XAmzContentChecksumMismatch", .badDigest, .soon), Row(400, "InvalidDigest", .badDigest, .soon),
        // Somebody else writes the same.
        Row(409, "OperationAborted", .conflict, .soon), Row(409, "ConditionalRequestConflict", .conflict, .soon),
        Row(409, "", .conflict, .soon),
        // Somebody must mend something: an alarm, and at long intervals for ever.
        Row(400, "ExpiredToken", .credentials, .slowly), Row(403, "InvalidAccessKeyId", .credentials, .slowly),
        Row(403, "SignatureDoesNotMatch", .credentials, .slowly), Row(400, "InvalidToken", .credentials, .slowly),
        Row(401, "", .credentials, .slowly), Row(403, "ExpiredToken", .credentials, .slowly),
        Row(403, "AccessDenied", .accessDenied, .slowly), Row(403, "AllAccessDisabled", .accessDenied, .slowly),
        Row(403, "", .accessDenied, .slowly), Row(400, "KMS.DisabledException", .accessDenied, .slowly),
        Row(400, "KMS.NotFoundException", .accessDenied, .slowly),
        Row(400, "KMS.ThrottlingException", .throttled, .soon),
        Row(404, "NoSuchBucket", .noSuchBucket, .slowly),
        Row(301, "PermanentRedirect", .wrongRegion, .slowly), Row(307, "TemporaryRedirect", .wrongRegion, .slowly),
        Row(307, "", .wrongRegion, .slowly), Row(308, "", .wrongRegion, .slowly),
        Row(400, "AuthorizationHeaderMalformed", .wrongRegion, .slowly),
        Row(400, "IllegalLocationConstraintException", .wrongRegion, .slowly),
        Row(507, "", .storageFull, .slowly), Row(507, "XMinioStorageFull", .storageFull, .slowly),
        Row(403, "QuotaExceeded", .storageFull, .slowly),
        // Nobody knows: kept, repeated.
        Row(400, "", .unknown, .slowly), Row(418, "Teapot", .unknown, .slowly), Row(200, "Teapot", .unknown, .slowly),
        Row(405, "MethodNotAllowed", .unknown, .slowly), Row(451, "", .unknown, .slowly),
        // Facts about the object, for the caller to handle.
        Row(404, "NoSuchKey", .notFound, .never), Row(412, "PreconditionFailed", .preconditionFailed, .never),
        Row(413, "EntityTooLarge", .tooLarge, .never), Row(400, "KeyTooLongError", .invalidKey, .never),
    ]

    @Test(arguments: rows) func aRow(row: Row) async throws {
        let body = row.code.isEmpty ? "" : FaultTests.errorBody(row.code)
        let server = try ScriptedServer([.answer(row.status, ["location": "http://127.0.0.1:1/elsewhere"], body)])
        let store = try FaultTests.store(server.endpoint)
        let error = await storageError { _ = try await store.put("k", [1], PutOptions()) }
        #expect(error?.kind == row.kind && error?.kind.retry == row.retry && error?.status == row.status)
        #expect(error?.isRetryable == (row.retry != .never))
        // One attempt, nowhere else.
        #expect(server.requests.count == 1)
    }

    @Test(arguments: [1, 5, 6, 7, 18, 28, 35, 52, 55, 56, 65, 92, 9999]) func whatEndsATransferIsNeverFinal(code: Int) {
        let kind = S3Store.kind(ofTransferError: UInt32(code))
        #expect(kind.retry != .never)
        if ![1, 9999].contains(code) { #expect(kind.retry == .soon) }
    }

    @Test(arguments: [60, 77, 58, 59, 83, 3, 43]) func certificatesAndMistakesRaiseAnAlarm(code: Int) {
        #expect(S3Store.kind(ofTransferError: UInt32(code)).retry == .slowly)
    }

    /// In seconds and as a date, on any failure that has it.
    @Test(arguments: [429, 503, 500]) func theStoreSaysWhenToComeBack(status: Int) async throws {
        let server = try ScriptedServer([
            .answer(status, ["retry-after": "120"]),
            .answer(
                status, ["retry-after": "Mon, 23 Nov 2026 04:36:12 GMT", "date": "Mon, 23 Nov 2026 04:34:12 GMT"]),
            .answer(status, ["retry-after": "Mon, 23 Nov 2020 04:36:12 GMT", "date": "Mon, 23 Nov 2026 04:34:12 GMT"]),
            .answer(status, ["retry-after": "1e300"]), .answer(status, ["retry-after": "-5"]),
            .answer(status, ["retry-after": "nan"]),
        ])
        let store = try FaultTests.store(server.endpoint)
        for expected in [120, 120, 0, 86_400, 0, nil] as [Double?] {
            let error = await storageError { _ = try await store.put("k", [1], PutOptions()) }
            #expect(error?.retryAfter_s == expected && error?.isRetryable == true)
        }
    }

    /// Each way in which a store names the right region.
    @Test func theRightRegionIsNamed() async throws {
        func document(_ code: String) -> String {
            "<Error><Code>\(code)</Code><Message>the region 'us-east-1' is wrong; expecting 'eu-north-1'</Message>"
                + "<Region>eu-north-1</Region></Error>"
        }
        let server = try ScriptedServer([
            .answer(400, [:], document("AuthorizationHeaderMalformed")),
            .answer(301, ["x-amz-bucket-region": "eu-north-1", "location": "http://127.0.0.1:1/"]),
            .answer(
                307, ["x-amz-bucket-region": "eu-north-1", "location": "http://127.0.0.1:1/"],
                document("TemporaryRedirect")),
        ])
        let store = try FaultTests.store(server.endpoint)
        for _ in 0..<3 {
            let error = await storageError { _ = try await store.put("k", [1], PutOptions()) }
            #expect(error?.kind == .wrongRegion)
            #expect(error?.remedy == "the bucket's region is eu-north-1: set AWS_REGION to it")
        }
        // Nor for the other requests is a redirect followed.
        let other = try ScriptedServer([.answer(301, ["location": server.endpoint + "/b/k"])])
        let elsewhere = try FaultTests.store(other.endpoint)
        for request in [
            { _ = try await elsewhere.get("k") }, { _ = try await elsewhere.head("k") },
            { _ = try await elsewhere.list(prefix: "", startAfter: nil, limit: 1) },
            { try await elsewhere.delete("k") },
        ] as [@Sendable () async throws -> Void] {
            #expect(await storageError(request)?.kind == .wrongRegion)
        }
        #expect(other.requests.count == 4 && server.requests.count == 3)
    }

    /// What a store says ends up in logs: one line, of bounded length, however long and wild it is.
    @Test func aStoresWordsAreOneShortLine() async throws {
        let wild = "a\nb\r\n\u{1B}[31m" + String(repeating: "x", count: 100_000)
        let server = try ScriptedServer([
            .answer(
                400, [:],
                "<Error><Code>\(wild)</Code><Message>\(wild.dropFirst(1))</Message></Error>".replacing(
                    "\u{1B}", with: "&#x9;"))
        ])
        let error = await storageError { _ = try await FaultTests.store(server.endpoint).get("k") }
        let text = error?.description ?? ""
        #expect(!text.isEmpty && text.utf8.count < 2000)
        #expect(!text.unicodeScalars.contains { $0.value < 0x20 })
    }

    @Test func aStallInTheMiddleOfABodyEnds() async throws {
        let server = try ScriptedServer([.drip(1_000_000)])
        var http = HTTPSettings()
        http.stallTime_s = 1
        let store = try FaultTests.store(server.endpoint, http: http)
        let error = await storageError { _ = try await store.get("k") }
        #expect(error?.kind == .timeout && error?.kind.retry == .soon && error?.code == "curl 28")
    }
}
