internal import CCurl

/// One request on its way through libcurl: owns the easy handle's memory and collects the answer.
///
/// Made by the caller; after it was handed to the loop, only the loop's thread touches it. That, and that `request`
/// never changes, makes it safe to send.
final class CurlTransfer: @unchecked Sendable {
    let request: HTTPRequest
    var continuation: CheckedContinuation<HTTPResponse, any Error>?
    var isCancelled = false
    private(set) var isTooLarge = false
    /// Whether the answer's head came to its end: libcurl takes one that was cut within its headers for whole.
    private(set) var isHeadComplete = false

    private var sent = 0
    private var status = 0
    private var headers: [(name: String, value: String)] = []
    private var headerBytes = 0
    private var body: [UInt8] = []
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private let errorText: UnsafeMutablePointer<CChar>

    init(_ request: HTTPRequest) {
        self.request = request
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        curl_slist_free_all(headerList)
        errorText.deallocate()
    }

    var response: HTTPResponse { HTTPResponse(status: status, headers: headers, body: body) }

    /// The answer, or why there is none.
    func result(_ code: CURLcode) -> Result<HTTPResponse, any Error> {
        guard code == CURLE_OK else { return .failure(failure(code)) }
        guard isHeadComplete else {
            return .failure(
                TransportFailure(
                    code: CURLE_PARTIAL_FILE.rawValue, message: "the connection was closed within the answer's headers")
            )
        }
        return .success(response)
    }

    func failure(_ code: CURLcode) -> TransportFailure {
        let words = String(cString: curl_easy_strerror(code))
        let detail = String(cString: errorText)
        return TransportFailure(
            code: code.rawValue, message: detail.isEmpty ? words : detail, isTooLarge: isTooLarge)
    }

    /// Sets every option of the handle.
    ///
    /// The handle must not outlive this object.
    func configure(_ easy: UnsafeMutableRawPointer, _ settings: HTTPSettings) throws(TransportFailure) {
        let me = UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque())
        func long(_ option: CURLoption, _ value: Int) throws(TransportFailure) {
            try check(nadi_curl_setopt_long(easy, option, value))
        }
        func text(_ option: CURLoption, _ value: String) throws(TransportFailure) {
            try check(nadi_curl_setopt_pointer(easy, option, value))
        }
        try check(nadi_curl_setopt_pointer(easy, CURLOPT_ERRORBUFFER, errorText))
        try text(CURLOPT_URL, request.url)
        try text(CURLOPT_PROTOCOLS_STR, "http,https")
        try long(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        // The path is signed as it stands, and an answer from elsewhere is not the store's.
        try long(CURLOPT_PATH_AS_IS, 1)
        try long(CURLOPT_FOLLOWLOCATION, 0)
        // Error documents are wanted.
        try long(CURLOPT_FAILONERROR, 0)
        try long(CURLOPT_NOSIGNAL, 1)
        try long(CURLOPT_CONNECTTIMEOUT_MS, Int(settings.connectTimeout_s * 1000))
        try long(CURLOPT_LOW_SPEED_LIMIT, settings.stallSpeed)
        try long(CURLOPT_LOW_SPEED_TIME, settings.stallTime_s)
        try long(CURLOPT_TIMEOUT_MS, Int(min(request.timeout_s * 1000, 1e9)))
        try long(CURLOPT_TCP_KEEPALIVE, 1)
        try long(CURLOPT_TCP_KEEPIDLE, 30)
        try long(CURLOPT_TCP_KEEPINTVL, 10)
        try long(CURLOPT_MAXAGE_CONN, settings.maxIdle_s)
        try long(CURLOPT_MAXLIFETIME_CONN, settings.maxLifetime_s)
        try long(CURLOPT_BUFFERSIZE, 262_144)
        try long(CURLOPT_UPLOAD_BUFFERSIZE, 262_144)
        try long(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        try long(CURLOPT_SSL_VERIFYPEER, settings.verifyTLS ? 1 : 0)
        try long(CURLOPT_SSL_VERIFYHOST, settings.verifyTLS ? 2 : 0)
        if let caFile = settings.caFile { try text(CURLOPT_CAINFO, caFile) }
        try text(CURLOPT_USERAGENT, "nadi")
        if !settings.usesProxy { try text(CURLOPT_NOPROXY, "*") }

        try check(nadi_curl_setopt_pointer(easy, CURLOPT_WRITEDATA, me))
        try check(nadi_curl_setopt_write(easy, CURLOPT_WRITEFUNCTION, receiveBody))
        try check(nadi_curl_setopt_pointer(easy, CURLOPT_HEADERDATA, me))
        try check(nadi_curl_setopt_write(easy, CURLOPT_HEADERFUNCTION, receiveHeader))

        switch request.method {
        case .get: try long(CURLOPT_HTTPGET, 1)
        case .head: try long(CURLOPT_NOBODY, 1)
        case .delete: try text(CURLOPT_CUSTOMREQUEST, "DELETE")
        case .put, .post:
            try long(CURLOPT_UPLOAD, 1)
            if request.method == .post { try text(CURLOPT_CUSTOMREQUEST, "POST") }
            try check(nadi_curl_setopt_off(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(request.body.count)))
            try check(nadi_curl_setopt_pointer(easy, CURLOPT_READDATA, me))
            try check(nadi_curl_setopt_write(easy, CURLOPT_READFUNCTION, sendBody))
            try check(nadi_curl_setopt_pointer(easy, CURLOPT_SEEKDATA, me))
            try check(nadi_curl_setopt_seek(easy, CURLOPT_SEEKFUNCTION, seekRequestBody))
        }
        var lines = request.headers.map { "\($0.name): \($0.value)" }
        if request.method != .put || request.body.count < settings.expectContinueBytes { lines.append("Expect:") }
        for line in lines {
            // A line break in a value would smuggle in a header of its own.
            guard !line.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }),
                let longer = curl_slist_append(headerList, line)
            else { throw TransportFailure(code: CURLE_BAD_FUNCTION_ARGUMENT.rawValue, message: "a broken header") }
            headerList = longer
        }
        try check(nadi_curl_setopt_pointer(easy, CURLOPT_HTTPHEADER, headerList))
    }

    /// Takes one header line; false stops the transfer.
    fileprivate func takeHeader(_ bytes: UnsafeRawBufferPointer) -> Bool {
        headerBytes += bytes.count
        guard headerBytes <= 65_536 else { return false }
        let line = trim(String(decoding: bytes, as: UTF8.self))
        if line.hasPrefix("HTTP/") {
            // A new answer: what came before was an interim one (100 Continue).
            let words = line.split(separator: " ")
            status = words.count > 1 ? Int(words[1]) ?? 0 : 0
            headers = []
            body = []
            isHeadComplete = false
        } else if line.isEmpty {
            isHeadComplete = true
        } else if let colon = line.firstIndex(of: ":") {
            headers.append((trim(line[..<colon]).lowercased(), trim(line[line.index(after: colon)...])))
            if headers[headers.count - 1].name == "content-length", request.method != .head,
                let length = Int(headers[headers.count - 1].value), length <= request.responseLimit
            {
                body.reserveCapacity(length)
            }
        }
        return true
    }

    /// Takes a piece of the body; false stops the transfer.
    fileprivate func takeBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard body.count + bytes.count <= request.responseLimit else {
            isTooLarge = true
            return false
        }
        body.append(contentsOf: bytes)
        return true
    }

    /// Gives the next piece of the request's body.
    fileprivate func giveBody(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, request.body.count - sent)
        request.body.withUnsafeBytes { body in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: body[sent..<sent + count]))
        }
        sent += count
        return count
    }

    /// Starts the request's body again from an offset, for a connection that turned out to be dead.
    fileprivate func seekBody(to offset: Int) -> Bool {
        guard 0...request.body.count ~= offset else { return false }
        sent = offset
        return true
    }

    private func check(_ code: CURLcode) throws(TransportFailure) {
        guard code == CURLE_OK else { throw failure(code) }
    }
}

/// The transfer behind the pointer that libcurl hands back; the loop keeps it alive while its handle is in use.
private func transfer(_ pointer: UnsafeMutableRawPointer?) -> CurlTransfer? {
    pointer.map { Unmanaged<CurlTransfer>.fromOpaque($0).takeUnretainedValue() }
}

private func receiveHeader(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ pointer: UnsafeMutableRawPointer?
) -> Int {
    let taken = transfer(pointer)?.takeHeader(UnsafeRawBufferPointer(start: bytes, count: size * count)) ?? false
    return taken ? size * count : 0
}

private func receiveBody(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ pointer: UnsafeMutableRawPointer?
) -> Int {
    let taken = transfer(pointer)?.takeBody(UnsafeRawBufferPointer(start: bytes, count: size * count)) ?? false
    return taken ? size * count : 0
}

private func sendBody(
    _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ pointer: UnsafeMutableRawPointer?
) -> Int {
    transfer(pointer)?.giveBody(UnsafeMutableRawBufferPointer(start: buffer, count: size * count))
        ?? Int(CURL_READFUNC_ABORT)
}

private func seekRequestBody(_ pointer: UnsafeMutableRawPointer?, _ offset: curl_off_t, _ origin: Int32) -> Int32 {
    guard origin == 0, let transfer = transfer(pointer) else { return CURL_SEEKFUNC_FAIL }
    return transfer.seekBody(to: Int(offset)) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL
}
