internal import EventSegments
package import ObjectStorage
internal import RecordBatches
package import TableStorage

/// Reads objects again and proves them: against their manifests, against their keys, against the ledger.
///
/// Changes nothing. Memory does not depend on the objects: each is read in pieces, `parallelism` at a time.
package struct Verification: Sendable {
    /// What to read.
    package struct Scope: Sendable {
        /// The first hour of the keys, and the one to stop before, milliseconds since the epoch.
        package var from_ms: Int64?
        package var to_ms: Int64?
        /// The share of the objects that is read, 0 to 1; the others are only looked for.
        package var share = 1.0

        package init() {}
    }

    let store: any ObjectStore
    let database: DatabaseThread?
    let prefix: String
    let parallelism: Int
    let progress: @Sendable (String) -> Void

    /// - Parameters:
    ///   - database: the ledger; nil proves objects against themselves alone.
    ///   - progress: takes how far the work is.
    package init(
        store: any ObjectStore, database: DatabaseThread?, prefix: String, parallelism: Int,
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.store = store
        self.database = database
        self.prefix = prefix
        self.parallelism = max(1, parallelism)
        self.progress = progress
    }

    /// Reads all objects of a scope.
    /// - Throws: `StorageError` where the bucket cannot be listed, `DatabaseError`.
    package func run(_ scope: Scope) async throws -> VerifyReport {
        let walk = BucketWalk(
            store: store, database: database, prefix: prefix, from_ms: scope.from_ms, to_ms: scope.to_ms)
        var report = VerifyReport()
        try await withThrowingTaskGroup(of: Proof.self) { group in
            var running = 0
            try await walk.run { step in
                switch step {
                case .stranger(let key):
                    report.add(
                        VerifyReport.Finding(
                            kind: "stranger", key: key, reason: "no shipper makes such a key",
                            remedy: "It is never loaded; move it elsewhere if it is not meant to stand there"))
                case .missing(let key):
                    report.add(
                        VerifyReport.Finding(
                            kind: "missing", key: key, reason: "it is in the ledger, not in the bucket",
                            remedy: "Restore it (versioning, a copy), or accept the loss by `nadi audit --accept-lost`")
                    )
                case .object(let entry, let state):
                    if database != nil, state == nil { report.notLoaded += 1 }
                    guard scope.share >= 1 || Double.random(in: 0..<1) < scope.share else {
                        report.leftOut += 1
                        return
                    }
                    if running == parallelism, let proof = try await group.next() {
                        report.add(proof)
                        progress("\(report.objects) objects, \(report.lines) lines, \(report.failures) faults")
                        running -= 1
                    }
                    group.addTask { try await ObjectVerifier(self, entry.key, state: state).run() }
                    running += 1
                }
            }
            for try await proof in group { report.add(proof) }
        }
        return report
    }
}

/// What came of one object.
struct Proof: Sendable {
    var segments = 0
    var lines: Int64 = 0
    var rawBytes: Int64 = 0
    var compressedBytes: Int64 = 0
    var findings: [VerifyReport.Finding] = []
}

extension VerifyReport {
    fileprivate mutating func add(_ proof: Proof) {
        objects += 1
        segments += proof.segments
        lines += proof.lines
        rawBytes += proof.rawBytes
        compressedBytes += proof.compressedBytes
        for finding in proof.findings { add(finding) }
    }
}
