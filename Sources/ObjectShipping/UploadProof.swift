package import ObjectStorage

/// One object's way from memory to proof, as values: answers in, the next request out.
///
/// The ladder, by what the role may do: HEAD with the stored SHA-256, else an MD5 entity tag, else the PUT's own answer
/// and the size that HEAD or LIST shows, else GET and hash. An existing object that cannot be proven is PUT again under
/// the same key without the condition. Nothing here ever gives up: an error means the same request later.
package struct UploadProof: Equatable, Sendable {
    /// A request to the store.
    package enum Request: Equatable, Sendable {
        /// Store the object; with `ifAbsent` only where none is.
        case put(ifAbsent: Bool)
        /// Ask for size, entity tag and stored SHA-256.
        case head
        /// Ask for size and entity tag by a listing.
        case list
        /// Read the object and hash it.
        case fetch
    }

    /// What came back.
    package enum Answer: Equatable, Sendable {
        /// The PUT stored the object.
        case stored
        /// The PUT's condition failed: an object is there.
        case existed
        /// HEAD's or LIST's facts.
        case info(size: Int, etag: String?, sha256: [UInt8]?)
        /// There is no such object.
        case absent
        /// The SHA-256 of what GET read.
        case content(sha256: [UInt8])
        /// The request failed.
        case failed(StorageError)
    }

    /// How an object was proven.
    package enum Method: String, Sendable, CaseIterable {
        /// HEAD's SHA-256.
        case sha256
        /// HEAD's or LIST's MD5 entity tag.
        case etag
        /// The PUT's answer, and HEAD's size.
        case putAndHead = "put_and_head"
        /// The PUT's answer, and LIST's size.
        case putAndList = "put_and_list"
        /// GET and hash.
        case content
    }

    /// What to do next.
    package enum Step: Equatable, Sendable {
        /// At once.
        case request(Request)
        /// After a pause, because of this.
        case later(Request, StorageError)
        /// The object is what we sent.
        case proven(Method)
    }

    /// The object's size in bytes.
    package let size: Int
    /// The object's SHA-256, 32 bytes.
    package let sha256: [UInt8]
    /// The object's MD5, 32 lower-case hexadecimal digits.
    package let md5: String
    /// The object's key, for messages.
    package let key: String
    private(set) var pending: Request = .put(ifAbsent: true)
    private var isStored = false
    private var isConditional = true

    package init(key: String, size: Int, sha256: [UInt8], md5: String) {
        self.key = key
        self.size = size
        self.sha256 = sha256
        self.md5 = md5
    }

    /// The request to begin with.
    package var first: Request { pending }

    /// Takes the answer to the last request.
    package mutating func handle(_ answer: Answer) -> Step {
        let step = next(answer)
        switch step {
        case .request(let request), .later(let request, _): pending = request
        case .proven: break
        }
        return step
    }

    private mutating func next(_ answer: Answer) -> Step {
        switch (pending, answer) {
        case (.put, .stored):
            isStored = true
            return .request(.head)
        case (.put, .existed):
            isStored = false
            return .request(.head)
        case (.put(let ifAbsent), .failed(let error)):
            // Stores without conditional writes refuse the header instead of ignoring it.
            if ifAbsent, error.code == "NotImplemented" {
                isConditional = false
                return .request(.put(ifAbsent: false))
            }
            return .later(.put(ifAbsent: ifAbsent), error)
        case (.head, .info(let size, let etag, let stored)): return judge(size, etag, stored, from: .head)
        case (.list, .info(let size, let etag, _)): return judge(size, etag, nil, from: .list)
        case (.head, .absent), (.list, .absent), (.fetch, .absent):
            isStored = false
            return .later(.put(ifAbsent: isConditional), unproven("the object is not there after it was stored"))
        case (.head, .failed(let error)) where error.kind == .accessDenied:
            return .request(isStored ? .list : .fetch)
        case (.list, .failed(let error)) where error.kind == .accessDenied: return .request(.fetch)
        case (.fetch, .content(let hash)):
            return hash == sha256 ? .proven(.content) : replace("the object has other bytes than were sent")
        case (.fetch, .failed(let error)) where error.kind == .accessDenied || error.kind == .tooLarge:
            if isStored { return .later(.head, error) }
            return .request(.put(ifAbsent: false))
        case (let request, .failed(let error)): return .later(request, error)
        default:
            return .later(pending, unproven("the store's answer does not fit the request"))
        }
    }

    private mutating func judge(_ size: Int, _ etag: String?, _ stored: [UInt8]?, from: Request) -> Step {
        guard size == self.size else { return replace("the object has \(size) bytes, \(self.size) were sent") }
        if let stored { return stored == sha256 ? .proven(.sha256) : replace("the object has another SHA-256") }
        if etag?.lowercased() == md5 { return .proven(.etag) }
        guard isStored else { return .request(.fetch) }
        return .proven(from == .head ? .putAndHead : .putAndList)
    }

    private mutating func replace(_ reason: String) -> Step {
        isStored = false
        return .later(.put(ifAbsent: false), unproven(reason))
    }

    private func unproven(_ reason: String) -> StorageError {
        StorageError(
            .badDigest, operation: "prove \(key)", message: reason,
            remedy: "it is stored again; its files stay in the spool")
    }
}
