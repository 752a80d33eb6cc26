internal import DurableIO
internal import EventSegments
internal import Glibc
package import ObjectStorage
package import RecordBatches
internal import TableStorage

/// Loads objects: listing minus ledger, claims, downloads and parsing on all cores, one transaction per batch.
///
/// Any number of loaders may run at once, in any order, with any batches: the tables come out the same.
package struct Loader: Sendable {
    let store: any ObjectStore
    /// The connection that commits.
    let database: DatabaseThread
    /// The connection that asks.
    let side: DatabaseThread
    let settings: LoadSettings
    /// Names of the mappings that the configuration has.
    let formats: Set<String>
    /// SHA-256 of each of these mappings, in hexadecimal.
    let mappingHashes: [String: String]
    let aggregators: AggregatorPool
    /// What objects that are added are binned on.
    let references: ReferenceSource
    let aggregate: AggregateObject
    let mappings: [Mapping]
    let progress: @Sendable (String) -> Void

    package init(
        store: any ObjectStore, connectionString: String, settings: LoadSettings, mappings: [Mapping] = [],
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.store = store
        // A loader that stands still inside a transaction must not hold up the others for long.
        let options = ConnectionOptions(
            applicationName: "nadi-loader", idleTransactionTimeout: Int(max(10, min(60, settings.lease_s / 3))))
        database = DatabaseThread(connectionString, options)
        side = DatabaseThread(connectionString, options)
        self.settings = settings
        formats = Set(mappings.map(\.name))
        mappingHashes = Dictionary(mappings.map { ($0.name, hex($0.sha256)) }, uniquingKeysWith: { first, _ in first })
        aggregators = AggregatorPool(settings, mappings)
        references = ReferenceSource(side, .fixed)
        aggregate = Aggregation.make(settings: settings, pool: aggregators)
        self.mappings = mappings
        self.progress = progress
    }

    var claims: ObjectClaims { ObjectClaims(database: side, owner: settings.owner, lease_s: settings.lease_s) }
    var retention: Retention { Retention(settings.retention) }

    /// One run: hosts' reports, new objects, what was left unfinished, retention.
    ///
    /// - Parameter reach: how far to list; nil for what is due.
    /// - Throws: `StorageError` or ``DatabaseError`` when the run cannot go on; what was committed stays.
    package func load(
        reach: ObjectListing.Reach? = nil, joinNow: Bool = false, sweepNow: Bool = false
    ) async throws -> LoadReport {
        let start = LoadClock.monotonic_s()
        let run = try await beginRun()
        var session = LoadSession(self)
        do {
            try await releaseDeadOwners()
            try await references.read()
            let reports = HostReports(store: store, database: side, prefix: settings.prefix)
            session.report.unreadableReports = try await reports.refresh()
            let covered = try await reports.newest()
            let listing = ObjectListing(store: store, database: side, prefix: settings.prefix)
            let now = try await side.run { try LoadClock.now_ms($0) }
            let due = try await listing.dueReach(now_ms: now)
            let claims = claims
            let unfinished = try await claims.claimUnfinished(limit: 10_000, knownFormats: Array(formats))
            await session.leases.hold(unfinished.map(\.objectID))
            try await session.process(unfinished)
            try await listing.forEachNew(
                reach ?? due, now_ms: now, stranger: { session.report.add(stranger: $0) }
            ) { entries in
                let claimed = try await claims.claim(entries)
                await session.leases.hold(claimed.map(\.objectID))
                try await session.process(claimed)
            }
            try await reports.cover(covered)
            if reach ?? due == .all { try await GoneObjects(self).record(listing, now_ms: now) }
            try await session.finish()
            let sweep = try await OutcomeSweep(self).run(everything: sweepNow)
            session.report.sweptHours = sweep.hours_ms.count
            session.report.failed += sweep.failed.map { ($0.what, $0.reason) }
            let joins = try await JoinPass(self).run(everything: joinNow)
            session.report.joinedHours = joins.hours
            session.report.failed += joins.failed.map { ("hour \(LoadClock.hourText($0.hour_ms))", $0.reason) }
            let retention = retention
            do {
                let drift = try await DriftRefresh(self).run()
                session.report.driftHours = drift.hours
                session.report.failed += drift.failed.map { ($0.hour, $0.reason) }
            } catch {
                // What is too old goes all the same, or the tables would grow for as long as drift fails.
                try? await database.run { try retention.apply(now_ms: try LoadClock.now_ms($0), $0) }
                throw error
            }
            try await database.runWithRetries { try retention.apply(now_ms: try LoadClock.now_ms($0), $0) }
        } catch {
            await session.abandon()
            session.report.seconds = LoadClock.monotonic_s() - start
            try? await endRun(run, session.report, error: "\(error)")
            throw error
        }
        await session.leases.end()
        session.report.seconds = LoadClock.monotonic_s() - start
        let failure = session.report.failed.first.map { "\($0.key): \($0.reason)" }
        try await endRun(run, session.report, error: failure)
        return session.report
    }

    /// Closes both connections.
    package func close() async {
        await database.close()
        await side.close()
    }

    private func beginRun() async throws -> Int64 {
        let owner = settings.owner
        let version = settings.version
        let tags = settings.sliceTags
        return try await side.run { connection in
            try Self.recordTags(tags, connection)
            return try connection.query(
                "INSERT INTO nadi_store.load_run (owner, version) VALUES ($1, $2) RETURNING run_id",
                [.text(owner), .text(version)])[0].integer(0)
        }
    }

    /// Since when each tag is configured, and since when it is no longer: hours loaded on both sides are not whole.
    private static func recordTags(_ tags: [String], _ connection: Connection) throws {
        try connection.transaction {
            try connection.query(
                """
                WITH back AS (
                    DELETE FROM nadi_store.loader_state WHERE name IN (SELECT 'slice_end:' || t FROM unnest($1::text[]) AS t)
                    RETURNING substr(name, 11) AS tag
                )
                INSERT INTO nadi_store.loader_state AS s (name, at) SELECT 'slice:' || t, now() FROM unnest($1::text[]) AS t
                ON CONFLICT (name) DO UPDATE SET at = now()
                WHERE s.name IN (SELECT 'slice:' || tag FROM back)
                """, [.texts(tags)])
            try connection.query(
                """
                INSERT INTO nadi_store.loader_state (name, at) SELECT 'slice_end:' || substr(name, 7), now()
                FROM nadi_store.loader_state WHERE name ^@ 'slice:' AND substr(name, 7) <> ALL ($1::text[])
                ON CONFLICT DO NOTHING
                """, [.texts(tags)])
        }
    }

    private func endRun(_ run: Int64, _ report: LoadReport, error: String?) async throws {
        try await side.run { connection in
            _ = try connection.query(
                """
                UPDATE nadi_store.load_run SET finished_at = now(), state = $2, objects = $3, lines = $4,
                    rejected_lines = $5, error = left($6, 1000) WHERE run_id = $1
                """,
                [
                    .integer(run), .text(error == nil ? "succeeded" : "failed"), .integer(Int64(report.objects)),
                    .integer(report.lines), .integer(report.rejectedLines), .optional(error),
                ])
        }
    }

    /// Frees what loaders of this host held that no longer run, so that nobody waits for their leases.
    private func releaseDeadOwners() async throws {
        let host = settings.owner.prefix { $0 != "/" }
        try await side.run { connection in
            let owners = try connection.query(
                """
                SELECT DISTINCT lease_owner FROM nadi_store.object
                WHERE state <> 'loaded' AND lease_until > now() AND lease_owner ^@ $1
                """, [.text(host + "/")]
            ).rows.map { $0.text(0) }
            let dead = owners.filter { owner in
                let parts = owner.split(separator: "/")
                guard parts.count == 3, let pid = Int32(parts[1]) else { return false }
                return kill(pid, 0) != 0 && errno == ESRCH
            }
            if dead.isEmpty { return }
            _ = try connection.query(
                """
                UPDATE nadi_store.object SET lease_until = NULL
                WHERE state = 'claimed' AND lease_owner = ANY ($1::text[])
                """, [.texts(dead)])
        }
    }
}
