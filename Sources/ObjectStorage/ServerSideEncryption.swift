/// How the store is asked to encrypt what is put into it.
///
/// Keys stay with the store (SSE-S3) or its key service (SSE-KMS). Keys of the client's own (SSE-C) are not offered: every
/// reader, DuckDB and `zstd -dc` among them, would need the key with each request, and a lost key would be lost data.
package enum ServerSideEncryption: Hashable, Sendable {
    /// What the bucket does by default.
    case bucketDefault
    /// `AES256`, with a key of the store (SSE-S3).
    case store
    /// `aws:kms`, with a key of the key service: the one named by id, ARN or alias, or the account's own.
    ///
    /// Entity tags are no MD5 then. `bucketKey` asks for one data key a bucket, which makes fewer calls to the service.
    case keyService(keyID: String?, bucketKey: Bool)

    /// The headers of a PUT.
    var headers: [(name: String, value: String)] {
        switch self {
        case .bucketDefault: []
        case .store: [("x-amz-server-side-encryption", "AES256")]
        case .keyService(let keyID, let bucketKey):
            [("x-amz-server-side-encryption", "aws:kms")]
                + (keyID.map { [("x-amz-server-side-encryption-aws-kms-key-id", $0)] } ?? [])
                + (bucketKey ? [("x-amz-server-side-encryption-bucket-key-enabled", "true")] : [])
        }
    }

    /// What a configuration says: `off` (or nothing), `s3` or `kms`, with a key's id for `kms`.
    ///
    /// - Throws: `StorageError` of kind `configuration`.
    package init(_ word: String?, keyID: String?, bucketKey: Bool) throws(StorageError) {
        func refuse(_ message: String, _ remedy: String) -> StorageError {
            StorageError(.configuration, operation: "configure the store", message: message, remedy: remedy)
        }
        let isVisible = { (text: String) in text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } }
        guard keyID.map(isVisible) ?? true else {
            throw refuse("kms_key_id holds a space or a control character", "write the key's id, ARN or alias")
        }
        switch word ?? "off" {
        case "off", "s3":
            guard keyID == nil, !bucketKey else {
                throw refuse("kms_key_id and bucket_key go with encryption: kms", "set it, or remove these")
            }
            self = word == "s3" ? .store : .bucketDefault
        case "kms": self = .keyService(keyID: keyID, bucketKey: bucketKey)
        case let other: throw refuse("encryption is '\(plain(other))'", "write off, s3 or kms")
        }
    }
}
