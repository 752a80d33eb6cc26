internal import DurableIO
internal import Synchronization

/// A bucket of an S3-compatible store: libcurl, signature V4 of our own, real payload hashes, one request per call
/// (listings over 1,000 entries take more).
///
/// A missing bucket is told by every call but `head`, whose answers have no body: there it looks like a missing object.
package final class S3Store: ObjectStore {
    /// What is learnt while running.
    private struct Learnt {
        /// What to add to our clock to get the store's, seconds.
        var clockOffset_s: Int64 = 0
        /// Whether a PUT with a wrong SHA-256 was refused; nil while that was not tried.
        var checksSHA256: Bool?
        /// Whether PUTs must do without `x-amz-checksum-sha256`.
        var refusesChecksums = false
        /// How far the store's clock was ahead of ours at its last answer, seconds.
        var clockDifference_s: Int64?
        var signingKey: (secret: String, day: String, key: [UInt8])?
    }

    private let endpoint: S3Endpoint
    private let signer: SignatureV4
    private let credentialsProvider: any CredentialsProvider
    private let transport: HTTPTransport
    private let http: HTTPSettings
    private let maxObjectBytes: Int
    private let encryption: ServerSideEncryption
    private let clock: @Sendable () -> Int64
    private let learnt = Mutex(Learnt())

    /// Connects to nothing yet.
    ///
    /// - Parameters:
    ///   - endpoint: where the bucket is.
    ///   - region: the region to sign for.
    ///   - credentials: who we are.
    ///   - http: limits of the connections.
    ///   - maxObjectBytes: what `get` may return.
    ///   - encryption: what PUTs ask for.
    ///   - clock: seconds since the epoch; nil for this host's.
    package init(
        endpoint: S3Endpoint, region: String, credentials: any CredentialsProvider, http: HTTPSettings = HTTPSettings(),
        maxObjectBytes: Int = 1 << 30, encryption: ServerSideEncryption = .bucketDefault,
        clock: (@Sendable () -> Int64)? = nil
    ) throws(StorageError) {
        self.endpoint = endpoint
        signer = SignatureV4(region: region)
        credentialsProvider = credentials
        self.http = http
        self.maxObjectBytes = maxObjectBytes
        self.encryption = encryption
        self.clock = clock ?? { CivilTime.now() }
        transport = try HTTPTransport(http)
    }

    /// What is added to this host's clock when requests are signed, seconds: not 0 once the store has found it wrong.
    package var clockOffset_s: Int64 { learnt.withLock { $0.clockOffset_s } }

    /// How far the store's clock is ahead of ours by its last answer's `Date`, seconds; nil before the first.
    package var clockDifference_s: Int64? { learnt.withLock { $0.clockDifference_s } }

    package func put(_ key: String, _ body: [UInt8], _ options: PutOptions) async throws -> PutReceipt {
        try StorageError.checkKey(key, operation: "PUT")
        let sha256 = options.sha256 ?? SHA256.hash(body)
        // A server that is not known to look at it would take a wrong one.
        if checksSHA256 != true, options.sha256 != nil, sha256 != SHA256.hash(body) {
            throw StorageError(
                .badDigest, operation: "PUT \(key)", message: "the body's SHA-256 is not the one given")
        }
        var call = Call(.put, key: key)
        call.body = body
        call.payloadHash = hex(sha256)
        call.headers = [("content-type", options.contentType), ("x-amz-checksum-sha256", base64(sha256))]
        call.headers += encryption.headers
        if options.isTrial, checksSHA256 == nil { try await tryChecksum(call) }
        if learnt.withLock({ $0.refusesChecksums }) { call = call.claiming(sha256: nil) }
        if options.ifAbsent { call.headers.append(("if-none-match", "*")) }
        // The one checksum that stores of every age check.
        if checksSHA256 == false { call.headers.append(("content-md5", base64(MD5.hash(body)))) }
        let response: HTTPResponse
        do {
            response = try await performPut(call)
        } catch let error as StorageError where options.ifAbsent && error.kind == .preconditionFailed {
            return PutReceipt(etag: nil, alreadyExisted: true)
        }
        try refuseErrorBody(response, call)
        guard response["etag"] != nil || response.body.isEmpty else {
            throw invalid(call, response, "the answer to the PUT is a page, and not a store's")
        }
        return PutReceipt(etag: response["etag"].map(unquoted), alreadyExisted: false)
    }

    package func head(_ key: String) async throws -> ObjectInfo? {
        try StorageError.checkKey(key, operation: "HEAD")
        var call = Call(.head, key: key)
        call.headers = [("x-amz-checksum-mode", "ENABLED")]
        let response: HTTPResponse
        do {
            response = try await perform(call)
        } catch let error as StorageError where error.kind == .notFound {
            return nil
        }
        guard let size = response["content-length"].flatMap({ Int($0) }), size >= 0 else {
            throw invalid(call, response, "the answer does not say the object's size")
        }
        // A checksum of parts (`...-2`) says nothing about the whole.
        let isWhole = response["x-amz-checksum-type"].map { $0 == "FULL_OBJECT" } ?? true
        let sha256 = response["x-amz-checksum-sha256"].flatMap { bytes(base64: $0) }
        return ObjectInfo(
            key: key, size: size, etag: response["etag"].map(unquoted),
            modified_ms: response["last-modified"].flatMap { CivilTime.seconds(http: $0) }.map { $0 * 1000 } ?? 0,
            // A store that keeps a checksum without looking at it proves nothing by repeating it.
            sha256: isWhole && checksSHA256 == true && sha256?.count == 32 ? sha256 : nil)
    }

    /// Whether the server refuses a PUT whose `x-amz-checksum-sha256` is wrong; nil until a PUT with `isTrial` tried it.
    ///
    /// Where it does not, PUTs carry the MD5 too, and `head` gives no SHA-256.
    package private(set) var checksSHA256: Bool? {
        get { learnt.withLock { $0.checksSHA256 } }
        set { learnt.withLock { $0.checksSHA256 = newValue } }
    }

    /// Sends a PUT with the checksum of other bytes.
    ///
    /// - Throws: only where there is no answer at all; whatever else the server has against it is no reason not to go on.
    private func tryChecksum(_ call: Call) async throws {
        do {
            checksSHA256 = try await !isAccepted(call.claiming(sha256: SHA256.hash([])))
        } catch let error as StorageError where error.status != 0 {
            return
        }
    }

    /// A PUT, and once more without the checksum where the server says that it does not know such a thing.
    private func performPut(_ call: Call) async throws -> HTTPResponse {
        do {
            return try await perform(call)
        } catch let error as StorageError
            where error.code == "NotImplemented" && !learnt.withLock({ $0.refusesChecksums })
        {
            var plain = call.claiming(sha256: nil)
            plain.headers.removeAll { $0.name == "content-md5" }
            plain.headers.append(("content-md5", base64(MD5.hash(call.body))))
            let response = try await perform(plain)
            learnt.withLock { learnt in
                learnt.refusesChecksums = true
                learnt.checksSHA256 = false
            }
            return response
        }
    }

    /// Whether a PUT that is wrong somewhere is accepted all the same.
    ///
    /// - Throws: what has nothing to do with it: no answer, no right to PUT, and so on.
    func isAccepted(_ call: Call) async throws -> Bool {
        do {
            try refuseErrorBody(try await perform(call), call)
            return true
        } catch let error as StorageError
            where error.kind == .badDigest || error.status == 400 && error.kind == .unknown
        {
            return false
        }
    }

    package func get(_ key: String, range: Range<Int>?) async throws -> [UInt8] {
        try StorageError.checkKey(key, operation: "GET")
        var call = Call(.get, key: key)
        call.responseLimit = maxObjectBytes
        call.expectedBytes = maxObjectBytes
        if let range {
            precondition(range.lowerBound >= 0, "a range must not begin before the object")
            guard !range.isEmpty else { return [] }
            call.expectedBytes = range.count
            call.headers = [("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")]
        }
        let response = try await perform(call)
        if response["etag"] == nil, response["last-modified"] == nil { try refuseErrorBody(response, call) }
        guard let range else { return response.body }
        // rclone says 200 and sends the part all the same; its Content-Range tells.
        if response.status == 206 || response["content-range"] != nil {
            guard response.body.count <= range.count, startOfRange(response).map({ $0 == range.lowerBound }) ?? true
            else {
                throw invalid(call, response, "the answer is another range than was asked for")
            }
            return response.body
        }
        // A store that ignores ranges sends the whole object (some cut it to the range and still say 200).
        if response.body.count <= range.count, range.lowerBound > 0 {
            throw invalid(call, response, "the answer to a range is neither partial nor whole")
        }
        guard range.lowerBound < response.body.count else {
            throw StorageError(
                .rangeNotSatisfiable, operation: call.description, status: response.status,
                message: "the range begins at or after the object's end")
        }
        return Array(response.body[range.clamped(to: 0..<response.body.count)])
    }

    package func list(prefix: String, startAfter: String?, limit: Int) async throws -> ObjectPage {
        var page = ObjectPage(objects: [], isTruncated: false)
        var token: String?
        var circle = ListingGuard()
        var emptyPages = 0
        while page.objects.count < limit {
            var call = Call(.get, key: nil)
            call.responseLimit = 16 << 20
            call.query = [
                ("list-type", "2"), ("encoding-type", "url"), ("max-keys", "\(min(1000, limit - page.objects.count))"),
                ("prefix", prefix),
            ]
            if let token {
                call.query.append(("continuation-token", token))
            } else if let startAfter {
                call.query.append(("start-after", startAfter))
            }
            let (response, document) = try await listing(call, prefix: prefix)
            page.objects += document.objects
            page.isTruncated = document.isTruncated
            guard document.isTruncated else { break }
            // A page without entries is allowed (the store skipped deleted ones), but not page after page for ever.
            emptyPages = document.objects.isEmpty ? emptyPages + 1 : 0
            guard let next = document.continuationToken, emptyPages < 1000, circle.advance(to: next) else {
                throw invalid(call, response, "the listing says there is more, but not how to get it")
            }
            token = next
        }
        if page.objects.count > limit {
            page.objects.removeLast(page.objects.count - limit)
            page.isTruncated = true
        }
        return page
    }

    /// One page, as the store gives it.
    private func listing(_ call: Call, prefix: String) async throws -> (HTTPResponse, S3ListDocument) {
        let response: HTTPResponse
        do {
            response = try await perform(call)
        } catch let error as StorageError where error.kind == .tooLarge {
            // No page of 1,000 entries is that large: the answer is broken, and may be better the next time.
            throw StorageError(
                .invalidResponse, operation: error.operation, status: error.status, message: error.message)
        }
        do throws(XMLScanner.Malformed) {
            let document = try S3ListDocument(response.body)
            if let stranger = document.objects.first(where: { !$0.key.utf8.starts(with: prefix.utf8) }) {
                throw XMLScanner.Malformed(
                    reason: "the listing holds \(plain(stranger.key)), which was not asked for", offset: 0)
            }
            return (response, document)
        } catch {
            try refuseErrorBody(response, call)
            throw invalid(call, response, "\(error.reason) (at byte \(error.offset))")
        }
    }

    package func delete(_ key: String) async throws {
        try StorageError.checkKey(key, operation: "DELETE")
        let call = Call(.delete, key: key)
        do {
            try refuseErrorBody(try await perform(call), call)
        } catch let error as StorageError where error.kind == .notFound {
            return
        }
    }

    /// One request, and once more where the first answer taught us what was wrong with it: the store's clock, or that
    /// the credentials were replaced meanwhile.
    private func perform(_ call: Call) async throws -> HTTPResponse {
        var usedOffset_s = clockOffset_s
        var used = try await credentialsProvider.credentials()
        var repeats = 0
        while true {
            let response = try await send(call, used, date: clock() + usedOffset_s)
            let isRefusal = [400, 401, 403].contains(response.status)
            learnClock(response, isRefusal: isRefusal)
            if (200..<300).contains(response.status) { return response }
            let error = StorageError(response, call: call, endpoint: endpoint)
            guard isRefusal else { throw error }
            // The answer to a HEAD has no error code: it may mean an expired token.
            let isUncertain = call.method == .head && error.kind != .credentials
            if error.kind == .credentials || isUncertain {
                credentialsProvider.refused(used, isCertain: !isUncertain || response.status == 400)
            }
            repeats += 1
            guard repeats <= 2 else { throw error }
            let newOffset_s = clockOffset_s
            let new: Credentials
            do {
                new = try await credentialsProvider.credentials()
            } catch {
                throw error
            }
            guard newOffset_s != usedOffset_s || new != used else { throw error }
            (usedOffset_s, used) = (newOffset_s, new)
        }
    }

    /// One request, signed for another time, from which nothing is learnt.
    func sendOnce(_ call: Call, clockShift_s: Int64) async throws -> HTTPResponse {
        try await send(call, try await credentialsProvider.credentials(), date: clock() + clockOffset_s + clockShift_s)
    }

    private func send(_ call: Call, _ credentials: Credentials, date: Int64) async throws -> HTTPResponse {
        let path = endpoint.path(call.key)
        let signed = SignatureV4.Request(
            method: call.method.rawValue, path: path, query: call.query,
            headers: [("host", endpoint.host)] + call.headers, payloadHash: call.payloadHash)
        let headers = signer.headers(
            signed, credentials: credentials, date: date,
            key: signingKey(credentials, CivilTime(seconds: date).basicDate))
        let query = SignatureV4.canonicalQuery(call.query)
        let size = Double(max(call.body.count, call.expectedBytes))
        let request = HTTPRequest(
            method: call.method,
            url: "\(endpoint.scheme)://\(endpoint.host)\(PercentEncoding.encode(path, keepingSlash: true))"
                + (query.isEmpty ? "" : "?\(query)"),
            headers: headers, body: call.body, responseLimit: call.responseLimit,
            timeout_s: http.requestTimeout_s + size / http.slowestSpeed)
        do {
            return try await transport.send(request)
        } catch let failure as TransportFailure {
            throw StorageError(failure, call: call, endpoint: endpoint, responseLimit: call.responseLimit)
        }
    }

    /// Some stores and proxies report a failure with status 200.
    private func refuseErrorBody(_ response: HTTPResponse, _ call: Call) throws(StorageError) {
        guard !response.body.isEmpty, response.body.count < 65_536, S3ErrorDocument(response.body) != nil else {
            return
        }
        throw StorageError(response, call: call, endpoint: endpoint)
    }

    private func invalid(_ call: Call, _ response: HTTPResponse, _ message: String) -> StorageError {
        StorageError(
            .invalidResponse, operation: call.description, status: response.status, message: message,
            remedy:
                "check that \(endpoint.scheme)://\(endpoint.host) is an S3-compatible store and no proxy stands between",
            requestID: response["x-amz-request-id"])
    }

    private func signingKey(_ credentials: Credentials, _ day: String) -> [UInt8] {
        learnt.withLock { learnt in
            if let known = learnt.signingKey, known.secret == credentials.secretAccessKey, known.day == day {
                return known.key
            }
            let key = signer.signingKey(secret: credentials.secretAccessKey, day: day)
            learnt.signingKey = (credentials.secretAccessKey, day, key)
            return key
        }
    }

    /// Takes note of the store's clock; after a refusal, if it is minutes off ours, signs by the store's from now on.
    private func learnClock(_ response: HTTPResponse, isRefusal: Bool) {
        guard let date = response["date"].flatMap({ CivilTime.seconds(http: $0) }) else { return }
        let difference = date - clock()
        learnt.withLock { learnt in
            learnt.clockDifference_s = difference
            if isRefusal, abs(difference - learnt.clockOffset_s) > 240 { learnt.clockOffset_s = difference }
        }
    }

    static func payloadHash(_ body: [UInt8]) -> String { hex(SHA256.hash(body)) }

    /// `bytes 5-9/100` begins at 5.
    private func startOfRange(_ response: HTTPResponse) -> Int? {
        response["content-range"].flatMap { text in
            text.split(separator: " ").last?.split(separator: "-").first.flatMap { Int($0) }
        }
    }
}
