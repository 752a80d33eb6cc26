import DurableIO
import EventModel
import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// The bucket against the ledger, whatever the store's order of keys.
@Suite(.enabled(if: TestServers.postgres != nil && TestServers.s3 != nil, "set NADI_TEST_POSTGRES and _S3_*"))
struct ListingTests {
    /// Hosts of which one's name begins another's: SeaweedFS lists `web/` before `web-1/`, bytes say the reverse.
    private func pipeline() async throws -> (Pipeline, [String]) {
        let pipeline = try Pipeline(s3: try #require(TestServers.s3))
        var keys: [String] = []
        for (number, host) in ["web", "web-1", "web.2", "a"].enumerated() {
            for half in 0..<3 {
                var writer = TestWriter(host, number * 3 + half + 1)
                writer.append(TestEvents.prediction(Pipeline.base_ms, id: "\(host)-\(half)"))
                let seal = Pipeline.base_ms + Int64(half) * 40 * 60_000
                keys.append(try await pipeline.put(host: host, [writer.seal(at: seal, end: true)]))
            }
            try await pipeline.report(host: host, ended: true)
        }
        return (pipeline, keys)
    }

    private func differences(_ pipeline: Pipeline, pageSize: Int) async throws -> [ObjectListing.Difference] {
        let thread = DatabaseThread(pipeline.database.uri)
        let listing = ObjectListing(
            store: pipeline.store, database: thread, prefix: pipeline.prefix, pageSize: pageSize)
        var found: [ObjectListing.Difference] = []
        try await listing.compare { found.append($0) }
        await thread.close()
        return found
    }

    @Test(arguments: [1, 2, 5, 1000])
    func pagesOfAnySizeShowEachObjectOnce(pageSize: Int) async throws {
        let (pipeline, keys) = try await pipeline()
        let thread = DatabaseThread(pipeline.database.uri)
        let listing = ObjectListing(
            store: pipeline.store, database: thread, prefix: pipeline.prefix, pageSize: pageSize)
        var seen: [String] = []
        for reach in [ObjectListing.Reach.recent, .all] {
            seen = []
            if reach == .recent {
                try pipeline.database.connect().execute(
                    """
                    INSERT INTO nadi_store.host (host, state, reported_at, oldest_unshipped_at)
                    VALUES ('x', 'ended', now(), now() - interval '1 day')
                    """)
            }
            try await listing.forEachNew(reach, now_ms: LoadClock.now_ms()) { seen += $0.map(\.key) }
            #expect(seen.sorted() == keys.sorted())
        }
        await thread.close()
        #expect(try await differences(pipeline, pageSize: pageSize).count == keys.count)
        _ = try await pipeline.load()
        #expect(try await differences(pipeline, pageSize: pageSize).isEmpty)
        try await pipeline.store.delete(keys[1])
        #expect(try await differences(pipeline, pageSize: pageSize) == [.missing(key: keys[1])])
        let clean = try await pipeline.audit()
        #expect(clean.findings.filter(\.isFailure).map(\.id) == ["lost:\(keys[1])"], "\(clean.text)")
    }

    @Test func whatIsLoadedWhileItIsListedIsNotMissing() async throws {
        let (pipeline, keys) = try await pipeline()
        _ = try await pipeline.load()
        // The listing hides what is there: as if it were older than the ledger's answer.
        let thread = DatabaseThread(pipeline.database.uri)
        let listing = ObjectListing(
            store: HidingStore(store: pipeline.store, hidden: [keys[3]]), database: thread, prefix: pipeline.prefix)
        var found: [ObjectListing.Difference] = []
        try await listing.compare { found.append($0) }
        await thread.close()
        #expect(found.isEmpty, "\(found)")
    }

    @Test func theLoaderRecordsWhatIsGoneAndWhatIsBack() async throws {
        let (pipeline, keys) = try await pipeline()
        _ = try await pipeline.load()
        let bytes = try await pipeline.store.get(keys[2])
        try await pipeline.store.delete(keys[2])
        func state() throws -> String {
            try pipeline.database.connect().query(
                "SELECT state FROM nadi_store.object WHERE object_key = $1", [.text(keys[2])])[0].text(0)
        }
        _ = try await pipeline.load()
        #expect(try state() == "lost")
        let audit = try await pipeline.audit()
        #expect(audit.findings.filter(\.isFailure).map(\.id) == ["lost:\(keys[2])"], "\(audit.text)")
        _ = try await pipeline.store.put(keys[2], bytes, PutOptions())
        _ = try await pipeline.load()
        #expect(try state() == "loaded")
        expectClean(try await pipeline.audit())
        try await pipeline.store.delete(keys[2])
        let loader = pipeline.loader { $0.retention.archiveDays = 0 }
        _ = try await loader.load(reach: .all)
        #expect(try state() == "expired")
        expectClean(try await pipeline.audit())
    }

    /// A host held something from five hours ago and then shipped it: the newest report no longer says so.
    @Test func whatAHostHeldIsLookedForUnderItsOwnHour() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(oldest_ms: Pipeline.base_ms)
        _ = try await pipeline.load()
        func until() throws -> Int64? {
            try pipeline.database.connect().query("SELECT complete_until FROM nadi.complete_until")[0].optionalTime(0)
        }
        #expect(try until() == Pipeline.base_ms)
        var writer = TestWriter()
        writer.append(TestEvents.prediction(Pipeline.base_ms, id: "late"))
        try await pipeline.put([writer.seal(at: Pipeline.base_ms, end: true)])
        try await pipeline.report()
        let loader = pipeline.loader()
        #expect(try await loader.load(reach: .recent).objects == 1)
        #expect(try #require(try until()) > Pipeline.base_ms)
        let status = try StatusReport(pipeline.database.connect(), now_ms: LoadClock.now_ms())
        #expect(try await status.completeUntil_ms == pipeline.audit().completeUntil_ms)
        #expect(try status.completeUntil_ms == until())
    }

    /// The report is read, the listing fails: what the report no longer holds may lie in the bucket, unseen.
    @Test func aReportThatNoListingFollowedProvesNothing() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(oldest_ms: Pipeline.base_ms)
        _ = try await pipeline.load()
        try await pipeline.report()
        let loader = Loader(
            store: HidingStore(store: pipeline.store, hidden: [], listsEvents: false),
            connectionString: pipeline.database.uri, settings: pipeline.settings())
        await #expect(throws: (any Error).self) { try await loader.load(reach: .recent) }
        let until = try pipeline.database.connect().query("SELECT complete_until FROM nadi.complete_until")[0]
        #expect(until.optionalTime(0) == Pipeline.base_ms)
    }
}

/// A store whose listings leave keys out, or fail for events.
struct HidingStore: ObjectStore {
    let store: any ObjectStore
    let hidden: Set<String>
    var listsEvents = true

    func put(_ key: String, _ body: [UInt8], _ options: PutOptions) async throws -> PutReceipt {
        try await store.put(key, body, options)
    }
    func head(_ key: String) async throws -> ObjectInfo? { try await store.head(key) }
    func get(_ key: String, range: Range<Int>?) async throws -> [UInt8] { try await store.get(key, range: range) }
    func list(prefix: String, startAfter: String?, limit: Int) async throws -> ObjectPage {
        if !listsEvents, prefix.contains("events/") { throw LoadError(.configuration, "no listing") }
        var page = try await store.list(prefix: prefix, startAfter: startAfter, limit: limit)
        page.objects.removeAll { hidden.contains($0.key) }
        return page
    }
    func delete(_ key: String) async throws { try await store.delete(key) }
}
