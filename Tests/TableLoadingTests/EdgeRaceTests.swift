import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Activations, loads and rebuilds that meet in one hour, each brought about by a paused download; and drift that fails.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct EdgeRaceTests {
    private static let base = EdgeLoadTests.base

    /// A loader whose downloads of objects, reports of hosts left out, call a hook first, with how many there were before.
    private func loader(
        _ pipeline: Pipeline, _ hook: @escaping @Sendable (Int, String) async throws -> Void
    ) -> Loader {
        let count = Counter()
        return pipeline.loader { _, key in
            guard key.hasPrefix("events/") else { return }
            try await hook(count.add(), key)
        }
    }

    private func expectSameAsFresh(_ pipeline: Pipeline, _ location: SourceLocation = #_sourceLocation) async throws {
        let fresh = try Pipeline(bucketOf: pipeline)
        try fresh.reference(EdgeLoadTests.reference(), from_ms: Self.base)
        _ = try await fresh.load()
        let left = try TableDump(fresh.database.connect())
        let right = try TableDump(pipeline.database.connect())
        #expect(left.exact.contains { $0.value.contains("|first|{") }, sourceLocation: location)
        #expect(left.differences(right).isEmpty, "\(left.differences(right))", sourceLocation: location)
        expectClean(try await pipeline.audit(), location)
    }

    /// A loader that began before an activation aggregates its batch again.
    @Test func anActivationWhileALoaderReadsIsMet() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        try await pipeline.put([EdgeLoadTests.segment(1, petals: [1, 2, 3])])
        try await pipeline.put([EdgeLoadTests.segment(2, petals: [4, 5])])
        let downloads = Counter()
        let loader = loader(pipeline) { before, _ in
            downloads.add()
            if before == 0 { try pipeline.reference(EdgeLoadTests.reference(), from_ms: Self.base) }
        }
        let report = try await loader.load(reach: .all)
        await loader.close()
        #expect(report.objects == 2 && report.failed.isEmpty && report.poisoned.isEmpty)
        // Each object twice.
        #expect(downloads.value == 4)
        try await expectSameAsFresh(pipeline)
    }

    /// Two loaders with an activation between them: the first fixes the hour on edges that the second did not know.
    @Test func aLoaderIsHeldToTheHourThatAnotherFixed() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        let slow = try await pipeline.put([EdgeLoadTests.segment(1, petals: [1, 2, 3])])
        let quick = pipeline
        let loader = loader(pipeline) { before, key in
            guard before == 0 else { return }
            #expect(key == slow)
            try pipeline.reference(EdgeLoadTests.reference(), from_ms: Self.base)
            try await pipeline.put([EdgeLoadTests.segment(2, petals: [4, 5])])
            #expect(try await quick.load(owner: "test/1/b").objects == 1)
            #expect(try pipeline.edgeSet(Self.base) == "first")
        }
        #expect(try await loader.load(reach: .all).objects == 1)
        await loader.close()
        try await expectSameAsFresh(pipeline)
    }

    /// The other way round: the hour was fixed without a reference by one that began before the activation.
    @Test func aLoaderThatKnowsMoreKeepsToTheHourAsItWasFixed() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        try await pipeline.put([EdgeLoadTests.segment(1, petals: [1, 2, 3])])
        let id = try pipeline.reference(EdgeLoadTests.reference(), from_ms: nil)
        let loader = loader(pipeline) { before, _ in
            guard before == 0 else { return }
            // This one is in force and known when the loader reads; then it is taken away and the hour is loaded.
            let connection = try pipeline.database.connect()
            try TestReference.activate(nil, from_ms: Self.base, connection)
            try await pipeline.put([EdgeLoadTests.segment(2, petals: [4, 5])])
            #expect(try await pipeline.load(owner: "test/1/b").objects == 1)
            try TestReference.activate(id, from_ms: Self.base, connection)
        }
        try TestReference.activate(id, from_ms: Self.base, pipeline.database.connect())
        #expect(try await loader.load(reach: .all).objects == 1)
        await loader.close()
        #expect(try pipeline.edgeSet(Self.base) == "0")
        let row = try #require(try pipeline.edgeCounts("feature_hour", "petal_length", at_ms: Self.base))
        #expect(row.reference == "0" && row.counts == nil)
        expectClean(try await pipeline.audit())
    }

    /// A rebuild that began before an activation reads its hour again.
    @Test func anActivationWhileARebuildReadsIsMet() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        try await pipeline.put([EdgeLoadTests.segment(1, petals: [1, 2, 3])])
        _ = try await pipeline.load()
        let loader = loader(pipeline) { before, _ in
            if before == 0 { try pipeline.reference(EdgeLoadTests.reference(), from_ms: Self.base) }
        }
        let report = try await Rebuild(loader).run(.hours(from_ms: Self.base, to_ms: Self.base + 1))
        await loader.close()
        #expect(report.hours == 1 && report.closed.isEmpty)
        try await expectSameAsFresh(pipeline)
    }

    /// An interrupted rebuild does not go on with another reference in force, or half of its hours would be left behind.
    @Test func anInterruptedRebuildBeginsAnewWithAnotherReference() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        for hour in 0..<3 {
            try await pipeline.put([
                EdgeLoadTests.segment(hour + 1, hour_ms: Self.base + Int64(hour) * LoadClock.hour_ms, petals: [1, 2])
            ])
        }
        _ = try await pipeline.load()
        struct Interrupted: Error {}
        // Writer lines are of the hour after: one download, two, two, one.
        func interrupted() async throws {
            let loader = loader(pipeline) { before, _ in if before == 3 { throw Interrupted() } }
            await #expect(throws: Interrupted.self) { try await Rebuild(loader).run(RebuildTests.everything) }
            await loader.close()
        }
        try await interrupted()
        let resumed = pipeline.loader()
        #expect(try await Rebuild(resumed).run(RebuildTests.everything).resumedAfter_ms == Self.base + LoadClock.hour_ms)
        try await interrupted()
        try pipeline.reference(EdgeLoadTests.reference(), from_ms: Self.base)
        let report = try await Rebuild(resumed).run(RebuildTests.everything)
        await resumed.close()
        #expect(report.resumedAfter_ms == nil && report.hours == 4)
        try await expectSameAsFresh(pipeline)
    }

    /// Three hours on a reference, an object each, not yet loaded.
    private func threeHours() async throws -> (Pipeline, Connection) {
        let pipeline = try Pipeline()
        try pipeline.reference(EdgeLoadTests.reference(), from_ms: Self.base)
        for hour in 0..<3 {
            try await pipeline.put([
                EdgeLoadTests.segment(hour + 1, hour_ms: Self.base + Int64(hour) * LoadClock.hour_ms, petals: [1, 2])
            ])
        }
        return (pipeline, try pipeline.database.connect())
    }

    /// Drift of an hour that cannot be computed is told, keeps its mark, and holds up neither the run nor other hours.
    @Test func anHourWhoseDriftFailsHoldsUpNoOther() async throws {
        let (pipeline, connection) = try await threeHours()
        let bad = Self.base + LoadClock.hour_ms
        try connection.execute(
            """
            ALTER FUNCTION nadi_store.refresh_drift(int, timestamptz[]) RENAME TO true_refresh;
            CREATE FUNCTION nadi_store.refresh_drift(model_id int, hours timestamptz[]) RETURNS bigint LANGUAGE plpgsql AS $$
            BEGIN
                IF to_timestamp(\(bad / 1000)) = ANY (hours) THEN RAISE EXCEPTION 'this hour is bad'; END IF;
                RETURN nadi_store.true_refresh(model_id, hours);
            END $$;
            """)
        let report = try await pipeline.load()
        #expect(report.objects == 3 && report.driftHours == 2)
        let failed = try #require(report.failed.first)
        #expect(report.failed.count == 1 && failed.reason.contains("this hour is bad"))
        #expect(failed.key == "drift of iris, hour \(LoadClock.hourText(bad))")
        func left(_ table: String) throws -> [Int64] {
            try connection.query("SELECT DISTINCT hour FROM nadi_store.\(table) ORDER BY 1").rows.map { $0.time(0) }
        }
        #expect(try left("drift_mark") == [bad])
        #expect(try left("drift_hour") == [Self.base, bad + LoadClock.hour_ms])
        try connection.execute(
            """
            DROP FUNCTION nadi_store.refresh_drift;
            ALTER FUNCTION nadi_store.true_refresh(int, timestamptz[]) RENAME TO refresh_drift;
            """)
        #expect(try await pipeline.load().failed.isEmpty)
        #expect(try left("drift_mark").isEmpty)
        #expect(try left("drift_hour").count == 3)
    }

    /// Many hours that take too long together are computed one by one, and what takes too long alone holds up no other.
    @Test func hoursThatTakeTooLongTogetherAreDoneOneByOne() async throws {
        let (pipeline, connection) = try await threeHours()
        let bad = Self.base + LoadClock.hour_ms
        try connection.execute(
            """
            CREATE SEQUENCE nadi_store.tries;
            ALTER FUNCTION nadi_store.refresh_drift(int, timestamptz[]) RENAME TO true_refresh;
            CREATE FUNCTION nadi_store.refresh_drift(model_id int, hours timestamptz[]) RETURNS bigint LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM nextval('nadi_store.tries');
                IF cardinality(hours) > 1 OR to_timestamp(\(bad / 1000)) = ANY (hours) THEN
                    RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014';
                END IF;
                RETURN nadi_store.true_refresh(model_id, hours);
            END $$;
            """)
        let report = try await pipeline.load()
        #expect(report.driftHours == 2 && report.failed.map(\.key) == ["drift of iris, hour \(LoadClock.hourText(bad))"])
        #expect(report.failed.first?.reason.contains("statement timeout") == true)
        // All three together, and each of them: none twice.
        #expect(try connection.query("SELECT last_value FROM nadi_store.tries")[0].integer(0) == 4)
    }

    /// Drift that ends the run does not keep what is too old.
    @Test func retentionIsAppliedWhereDriftFails() async throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        try connection.execute("ALTER TABLE nadi_store.drift_mark RENAME TO elsewhere")
        await #expect(throws: DatabaseError.self) { try await pipeline.load() }
        #expect(try connection.query("SELECT FROM nadi_store.loader_state WHERE name = 'minutes_kept'").count == 1)
    }

    /// A rebuild after which drift is missing has not succeeded.
    @Test(.enabled(if: Program.path != nil, "build nadi")) func aRebuildWithoutDriftFails() async throws {
        let pipeline = try Pipeline()
        try pipeline.reference(EdgeLoadTests.reference(), from_ms: Self.base)
        try await pipeline.put([EdgeLoadTests.segment(1, petals: [1, 2])])
        let config = try pipeline.configuration()
        let load = try Answer.of(["load", "--config", config], in: pipeline.folder)
        #expect(load.status == 0 && load.text.contains("; drift of 1 hours; "), "\(load.text)")
        let day = LoadClock.dayText(Self.base)
        let words = [
            "rebuild", "--config", config, "--from", day, "--to", LoadClock.dayText(Self.base + 2 * LoadClock.day_ms),
        ]
        let sound = try Answer.of(words, in: pipeline.folder)
        #expect(sound.status == 0 && sound.text.contains(" hours; drift of 1 hours"), "\(sound.text)")
        try pipeline.database.connect().execute(
            """
            CREATE OR REPLACE FUNCTION nadi_store.refresh_drift(model_id int, hours timestamptz[]) RETURNS bigint LANGUAGE plpgsql
            AS $$ BEGIN RAISE EXCEPTION 'this hour is bad'; END $$;
            """)
        let bad = try Answer.of(words, in: pipeline.folder)
        #expect(bad.status == 1 && bad.text.contains("this hour is bad"), "\(bad.text)")
        #expect(bad.text.contains(" hours; drift of 0 hours"), "\(bad.text)")
    }

    /// An hour that changes while its drift is computed keeps its mark.
    @Test func aMarkThatIsNewerThanItsRefreshStays() async throws {
        let pipeline = try Pipeline()
        try pipeline.reference(EdgeLoadTests.reference(), from_ms: Self.base)
        try await pipeline.put([EdgeLoadTests.segment(1, petals: [1, 2])])
        let connection = try pipeline.database.connect()
        // Whoever refreshes finds that the hour was marked again meanwhile.
        try connection.execute(
            """
            ALTER FUNCTION nadi_store.refresh_drift(int, timestamptz[]) RENAME TO true_refresh;
            CREATE FUNCTION nadi_store.refresh_drift(model_id int, hours timestamptz[]) RETURNS bigint LANGUAGE plpgsql AS $$
            BEGIN
                UPDATE nadi_store.drift_mark SET marks = nextval('nadi_store.dirty_mark');
                RETURN nadi_store.true_refresh(model_id, hours);
            END $$;
            """)
        #expect(try await pipeline.load().driftHours == 1)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.drift_mark")[0].integer(0) == 1)
    }

    /// A backfill of more hours than one transaction takes; hours of models without a reference are not marked.
    @Test func aBackfillIsRefreshedInPieces() async throws {
        let pipeline = try Pipeline()
        try pipeline.reference(EdgeLoadTests.reference(), from_ms: Self.base - 40 * LoadClock.day_ms)
        var writer = TestWriter("one", 1)
        for hour in 0..<250 {
            let time = Self.base - Int64(hour) * LoadClock.hour_ms
            for model in ["iris", "fraud"] {
                writer.append(TestEvents.prediction(time, id: "\(model)-\(hour)", model: model, petal: 1))
            }
        }
        try await pipeline.put([writer.seal(at: Self.base + LoadClock.hour_ms, end: true)])
        let report = try await pipeline.load()
        #expect(report.driftHours == 250 && report.failed.isEmpty)
        let connection = try pipeline.database.connect()
        #expect(try connection.query("SELECT count(DISTINCT hour) FROM nadi_store.drift_hour")[0].integer(0) == 250)
        #expect(try connection.query("SELECT count(*) FROM nadi_store.drift_mark")[0].integer(0) == 0)
    }
}
