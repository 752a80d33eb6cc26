import ObjectShipping
import ObjectStorage
import Testing

@Suite struct UploadProofTests {
    private let hash = [UInt8](repeating: 7, count: 32)
    private let md5 = "0123456789abcdef0123456789abcdef"

    private func proof() -> UploadProof { UploadProof(key: "k", size: 100, sha256: hash, md5: md5) }

    private func error(_ kind: StorageError.Kind, code: String = "") -> StorageError {
        StorageError(kind, operation: "PUT k", code: code, message: "no")
    }

    /// Feeds answers, and gives what the proof wanted after each.
    private func steps(_ answers: [UploadProof.Answer]) -> [String] {
        var proof = proof()
        return answers.map { answer in
            switch proof.handle(answer) {
            case .request(let request): "\(request)"
            case .later(let request, _): "later \(request)"
            case .proven(let method): method.rawValue
            }
        }
    }

    @Test func beginsWithAConditionalPut() {
        #expect(proof().first == .put(ifAbsent: true))
    }

    @Test func theBestProofIsTheStoredHash() {
        #expect(steps([.stored, .info(size: 100, etag: "multi-2", sha256: hash)]) == ["head", "sha256"])
        #expect(steps([.existed, .info(size: 100, etag: nil, sha256: hash)]) == ["head", "sha256"])
    }

    @Test func thenTheEntityTagThenTheAnswerAndTheSize() {
        #expect(steps([.stored, .info(size: 100, etag: md5.uppercased(), sha256: nil)]) == ["head", "etag"])
        #expect(steps([.existed, .info(size: 100, etag: md5, sha256: nil)]) == ["head", "etag"])
        #expect(steps([.stored, .info(size: 100, etag: "opaque", sha256: nil)]) == ["head", "put_and_head"])
        #expect(
            steps([.stored, .failed(error(.accessDenied)), .info(size: 100, etag: "opaque", sha256: nil)])
                == ["head", "list", "put_and_list"])
        #expect(
            steps([.stored, .failed(error(.accessDenied)), .info(size: 100, etag: md5, sha256: nil)])
                == ["head", "list", "etag"])
    }

    @Test func anExistingObjectIsReadUnlessItsTagProvesIt() {
        #expect(
            steps([.existed, .info(size: 100, etag: "opaque", sha256: nil), .content(sha256: hash)])
                == ["head", "fetch", "content"])
        #expect(
            steps([.existed, .failed(error(.accessDenied)), .content(sha256: hash)]) == ["head", "fetch", "content"])
    }

    @Test func anExistingObjectThatCannotBeProvenIsStoredAgainWithoutTheCondition() {
        let denied = UploadProof.Answer.failed(error(.accessDenied))
        #expect(
            steps([.existed, denied, denied, .stored, denied, .info(size: 100, etag: "x", sha256: nil)])
                == ["head", "fetch", "put(ifAbsent: false)", "head", "list", "put_and_list"])
    }

    @Test func aWrongObjectIsNeverProof() {
        var other = hash
        other[0] ^= 1
        let again = "later put(ifAbsent: false)"
        #expect(steps([.existed, .info(size: 99, etag: md5, sha256: hash)]) == ["head", again])
        #expect(steps([.stored, .info(size: 100, etag: md5, sha256: other)]) == ["head", again])
        #expect(
            steps([.existed, .info(size: 100, etag: "x", sha256: nil), .content(sha256: other)])
                == ["head", "fetch", again])
        #expect(steps([.stored, .failed(error(.accessDenied)), .info(size: 1, etag: md5, sha256: nil)]).last == again)
    }

    @Test func anObjectThatVanishedIsStoredAgain() {
        #expect(steps([.stored, .absent, .stored]) == ["head", "later put(ifAbsent: true)", "head"])
        // The first PUT's answer no longer counts.
        #expect(
            steps([.stored, .absent, .existed, .info(size: 100, etag: "x", sha256: nil)]).last == "fetch")
    }

    @Test(arguments: [
        StorageError.Kind.unreachable, .timeout, .tls, .throttled, .server, .clockSkew, .credentials, .noSuchBucket,
        .wrongRegion, .conflict, .badDigest, .storageFull, .invalidResponse, .configuration, .unknown, .tooLarge,
        .invalidKey, .accessDenied, .init(rawValue: "a kind of the future"),
    ]) func noErrorOfAPutEverGivesUp(kind: StorageError.Kind) {
        var proof = proof()
        for _ in 0..<1_000 {
            #expect(proof.handle(.failed(error(kind))) == .later(.put(ifAbsent: true), error(kind)))
        }
        #expect(proof.handle(.stored) == .request(.head))
    }

    @Test func aRoleThatMayProveNothingIsAskedAgainForEver() {
        let denied = UploadProof.Answer.failed(error(.accessDenied))
        #expect(steps([.stored, denied, denied, denied, denied]) == ["head", "list", "fetch", "later head", "list"])
    }

    @Test func aStoreWithoutConditionsGetsNone() {
        #expect(
            steps([.failed(error(.unknown, code: "NotImplemented")), .stored]) == ["put(ifAbsent: false)", "head"])
    }
}
