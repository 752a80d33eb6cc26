internal import Dispatch
internal import DurableIO

/// Objects as files of a local folder: for tests, for trying things out, and for a folder that something else carries on.
///
/// Durable and atomic: a temporary file, fsync, then rename (or link, for `ifAbsent`), then fsync of the folder. `head`
/// reads the whole file to give its SHA-256. Several processes may use one folder. Content types are not kept.
package final class DirectoryStore: ObjectStore {
    private let root: String
    private let queue = DispatchQueue(label: "nadi.directory-store", attributes: .concurrent)

    /// Uses a folder, which must exist.
    ///
    /// - Throws: `StorageError` of kind `noSuchBucket` if it does not.
    package init(_ path: String) throws(StorageError) {
        root = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        do throws(SystemError) {
            _ = try DurableFile.list(root)
        } catch {
            throw StorageError(error, operation: "open the store \(root)", missing: .noSuchBucket)
        }
    }

    package func put(_ key: String, _ body: [UInt8], _ options: PutOptions) async throws -> PutReceipt {
        let path = try path(key, "PUT")
        return try await blocking("PUT \(key)") { [root] in
            if let sha256 = options.sha256, sha256 != SHA256.hash(body) {
                throw StorageError(
                    .badDigest, operation: "PUT \(key)", message: "the body's SHA-256 is not the one given")
            }
            // Only below a root that exists: an unmounted disk must not become a folder of the same name.
            guard try DurableFile.entry(root) != nil else {
                throw StorageError(.noSuchBucket, operation: "PUT \(key)", message: "the folder \(root) is gone")
            }
            try DurableFile.makeDirectory(DurableFile.folder(of: path))
            try DurableFile.syncFolders(DurableFile.folder(of: path), below: root)
            if options.ifAbsent {
                let isNew = try DurableFile.create(path: path, bytes: body)
                return PutReceipt(etag: nil, alreadyExisted: !isNew)
            }
            try DurableFile.replace(path: path, bytes: body)
            return PutReceipt(etag: nil, alreadyExisted: false)
        }
    }

    package func head(_ key: String) async throws -> ObjectInfo? {
        let path = try path(key, "HEAD")
        return try await blocking("HEAD \(key)") {
            guard let entry = try DurableFile.entry(path), entry.isRegular else { return nil }
            var hash = SHA256()
            var offset = 0
            while true {
                let piece = try DurableFile.read(path: path, offset: offset, count: 1 << 20)
                if piece.isEmpty { break }
                hash.update(piece)
                offset += piece.count
            }
            return ObjectInfo(
                key: key, size: offset, etag: nil, modified_ms: entry.modified_ms, sha256: hash.finalize())
        }
    }

    package func get(_ key: String, range: Range<Int>?) async throws -> [UInt8] {
        let path = try path(key, "GET")
        return try await blocking("GET \(key)") {
            guard let entry = try DurableFile.entry(path), entry.isRegular else {
                throw StorageError(.notFound, operation: "GET \(key)", message: "there is no such file")
            }
            guard let range else { return try DurableFile.read(path: path) }
            if range.isEmpty { return [] }
            guard range.lowerBound < entry.size else {
                throw StorageError(
                    .rangeNotSatisfiable, operation: "GET \(key)",
                    message: "the range begins at or after the object's end")
            }
            return try DurableFile.read(path: path, offset: range.lowerBound, count: range.count)
        }
    }

    package func list(prefix: String, startAfter: String?, limit: Int) async throws -> ObjectPage {
        try await blocking("LIST \(prefix)") { [root] in
            var walk = DirectoryWalk(root: root, prefix: prefix, startAfter: startAfter, limit: limit)
            return try walk.run()
        }
    }

    package func delete(_ key: String) async throws {
        let path = try path(key, "DELETE")
        try await blocking("DELETE \(key)") {
            try DurableFile.remove(path: path)
        }
    }

    private func path(_ key: String, _ operation: String) throws(StorageError) -> String {
        try StorageError.checkKey(key, operation: operation)
        for part in key.utf8.split(separator: UInt8(ascii: "/")) where DirectoryWalk.isTemporary(Substring(part)) {
            throw StorageError(
                .invalidKey, operation: "\(operation) \(key)",
                message: "the key has a part of the form `.name.tmp`, which is kept for files being written")
        }
        return "\(root)/\(key)"
    }

    /// Runs file system calls away from the threads that Swift's tasks share.
    private func blocking<Value: Sendable>(
        _ operation: String, _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        return try await withCheckedThrowingContinuation { continuation in
            queue.async {
                continuation.resume(
                    with: Result(catching: body).mapError { error in
                        guard let error = error as? SystemError else { return error }
                        return StorageError(error, operation: operation, missing: .notFound)
                    })
            }
        }
    }
}

extension StorageError {
    /// A failed system call of a directory store.
    fileprivate init(_ error: SystemError, operation: String, missing: Kind) {
        let kind: Kind =
            switch error.code {
            case _ where error.isNotFound: missing
            case _ where error.isDiskFull: .storageFull
            case 1, 13: .accessDenied  // EPERM, EACCES
            case 36: .invalidKey  // ENAMETOOLONG
            case 20, 21: .conflict  // ENOTDIR, EISDIR: a key is another's folder
            default: .unknown
            }
        self.init(
            kind, operation: operation, code: "errno \(error.code)", message: error.description,
            remedy: error.remedy == nil ? nil : "")
    }
}
