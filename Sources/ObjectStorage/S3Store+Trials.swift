internal import DurableIO

extension S3Store {
    /// Something about a PUT that a careful server refuses.
    package enum WrongClaim: String, Sendable, CaseIterable {
        /// `x-amz-checksum-sha256` of other bytes.
        case checksum
        /// `x-amz-content-sha256` of other bytes: signed all right, but not what arrives.
        case payloadHash
        /// `Content-MD5` of other bytes.
        case md5
        /// A date of 20 minutes ago.
        case past
        /// A date in 20 minutes.
        case future
    }

    /// Whether the server refuses a PUT with a wrong claim: what a table of its abilities is made of.
    ///
    /// Where it is not refused, an object of that key is there afterwards.
    package func refuses(_ claim: WrongClaim, key: String) async throws -> Bool {
        try StorageError.checkKey(key, operation: "PUT")
        var call = Call(.put, key: key)
        call.body = [1, 2, 3]
        call.payloadHash = Self.payloadHash(call.body)
        switch claim {
        case .checksum: call = call.claiming(sha256: SHA256.hash([]))
        case .payloadHash: call.payloadHash = Call.emptyHash
        case .md5: call.headers.append(("content-md5", base64(MD5.hash([]))))
        case .past, .future:
            let response = try await sendOnce(call, clockShift_s: claim == .past ? -1200 : 1200)
            return !(200..<300).contains(response.status)
        }
        return try await !isAccepted(call)
    }
}
