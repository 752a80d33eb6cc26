import EventSegments
import ObjectStorage
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Outcomes find their prediction, once, whenever and in whatever order they come.
@Suite(.enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"))
struct OutcomeStoreTests {
    private static let base = Pipeline.base_ms

    private func predictions(
        _ number: Int, hour_ms: Int64 = base, count: Int = 10, ids: [String] = []
    ) -> TestSegment {
        var writer = TestWriter("one", number)
        for line in 0..<max(count, ids.count) {
            let id = ids.indices.contains(line) ? ids[line] : "p\(number)-\(line)"
            writer.append(TestEvents.prediction(hour_ms + Int64(line) * 1000, id: id))
        }
        return writer.seal(at: hour_ms + LoadClock.hour_ms, end: true)
    }

    private func outcomes(_ number: Int, _ lines: [String], at sealed_ms: Int64 = base + LoadClock.hour_ms)
        -> TestSegment
    {
        var writer = TestWriter("two", number)
        for line in lines { writer.append(line) }
        return writer.seal(at: sealed_ms, end: true)
    }

    /// Rows of the tables that joins fill, and of the hours beside: what they say, and when they were written.
    private func rows(_ connection: Connection, hour_ms: Int64, isHour: Bool) throws -> [String] {
        let same = isHour ? "=" : "<>"
        return try connection.query(
            """
            SELECT 'outcome_hour ' || t::text || t.xmin FROM nadi_store.outcome_hour AS t WHERE hour \(same) $1
            UNION ALL SELECT 'named ' || t::text || t.xmin FROM nadi_store.named_outcome_hour AS t WHERE hour \(same) $1
            UNION ALL SELECT 'join_hour ' || t::text || t.xmin FROM nadi_store.join_hour AS t WHERE hour \(same) $1
            UNION ALL SELECT 'request ' || t::text || t.xmin FROM nadi_store.request_hour AS t
            UNION ALL SELECT 'feature ' || t::text || t.xmin FROM nadi_store.feature_hour AS t
            UNION ALL SELECT 'score ' || t::text || t.xmin FROM nadi_store.score_hour AS t
            UNION ALL SELECT 'outcome_day ' || t::text || t.xmin FROM nadi_store.outcome_day AS t
                      WHERE day \(same) date_trunc('day', $1::timestamptz, 'UTC')
            ORDER BY 1
            """, [.time(hour_ms)]
        ).rows.map { $0.text(0) }
    }

    @Test func aCorrectedLabelChangesItsHourAndNothingElse() async throws {
        let pipeline = try Pipeline()
        let hours = [Self.base, Self.base + LoadClock.hour_ms, Self.base - 30 * LoadClock.hour_ms]
        for (number, hour) in hours.enumerated() {
            try await pipeline.put([predictions(number, hour_ms: hour)])
            try await pipeline.put([
                outcomes(
                    number,
                    (0..<5).map {
                        TestEvents.outcome(hour + 60_000, prediction: "p\(number)-\($0)", predictionTime_ms: hour)
                    }, at: hours[1] + LoadClock.hour_ms)
            ])
        }
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.quality() == [15, 15])
        let connection = try pipeline.database.connect()
        let before = try rows(connection, hour_ms: hours[0], isHour: false)
        let own = try rows(connection, hour_ms: hours[0], isHour: true)

        let corrected = TestEvents.outcome(
            hours[0] + 90_000, prediction: "p0-3", label: "\"virginica\"", predictionTime_ms: hours[0], revision: 1)
        try await pipeline.put([outcomes(9, [corrected], at: hours[1] + LoadClock.hour_ms)])
        let report = try await pipeline.load(joinNow: true)
        #expect(report.joinedHours == 1)
        #expect(try pipeline.quality() == [15, 14])
        #expect(try rows(connection, hour_ms: hours[0], isHour: false) == before)
        #expect(try rows(connection, hour_ms: hours[0], isHour: true) != own)
        #expect(try pipeline.arrivals() == Arrivals(lines: 16, joined: 15, superseded: 1))
        expectClean(try await pipeline.audit())
        try await pipeline.expectSameAsFresh()
    }

    /// Ten times the same, in one object and in many, before and after the join.
    @Test func theSameOutcomeTenTimesCountsOnce() async throws {
        let pipeline = try Pipeline()
        try await pipeline.put([predictions(1)])
        let label = TestEvents.outcome(Self.base + 60_000, prediction: "p1-3", predictionTime_ms: Self.base)
        try await pipeline.put([outcomes(1, [label, label, label])])
        for number in 2...4 { try await pipeline.put([outcomes(number, [label])]) }
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(objects: 1, joinNow: true)
        #expect(try pipeline.quality() == [1, 1])
        for number in 5...8 { try await pipeline.put([outcomes(number, [label])]) }
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.quality() == [1, 1])
        #expect(try pipeline.arrivals() == Arrivals(lines: 10, joined: 1, superseded: 9))
        expectClean(try await pipeline.audit())
        try await pipeline.expectSameAsFresh()
    }

    /// By time, by its id's time, and with neither: each waits, is shown as waiting, and joins once its prediction comes.
    @Test func outcomesBeforeTheirPredictionsWaitAndJoin() async throws {
        let pipeline = try Pipeline()
        let hinted = OutcomeEvents.id(Self.base + 2000)
        try await pipeline.put([
            outcomes(
                1,
                [
                    TestEvents.outcome(Self.base + 60_000, prediction: "p1-0", predictionTime_ms: Self.base),
                    TestEvents.outcome(Self.base + 60_000, prediction: hinted, predictionTime_ms: nil),
                    TestEvents.outcome(Self.base + 60_000, prediction: "order 7", predictionTime_ms: nil),
                    OutcomeEvents.line(
                        Self.base + 60_000, type: "feedback", name: "thumbs", prediction: "p1-0", "\"score\":0",
                        predictionTime_ms: Self.base),
                ])
        ])
        try await pipeline.report(ended: true)
        let patient = pipeline.loader { $0.join.age_s = 86_400 }
        _ = try await patient.load(reach: .all)
        // Nothing was looked for yet; there is no hour with predictions to sweep.
        #expect(try pipeline.arrivals().waiting + pipeline.arrivals().unmatched == 4)
        #expect(try pipeline.arrivals().waiting >= 3)
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        // The join did not find those that name or hint an hour: the next sweep looks for them everywhere.
        #expect(try pipeline.arrivals() == Arrivals(lines: 4, waiting: 3, unmatched: 1))
        _ = try await pipeline.load(sweepNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 4, unmatched: 4))
        expectClean(try await pipeline.audit())
        try await pipeline.put([predictions(1, ids: ["p1-0", "order 7", hinted])])
        _ = try await pipeline.load(joinNow: true, sweepNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 4, joined: 4))
        #expect(try pipeline.quality() == [3, 3])
        let state = try pipeline.database.connect().query(
            "SELECT prediction_count, outcome_count, repeated_id_count, waiting_count, unmatched_count FROM nadi.join_state"
        ).rows
        #expect(state.count == 1)
        #expect((0..<5).map { state[0].integer($0) } == [10, 4, 0, 0, 0])
        expectClean(try await pipeline.audit())
        try await pipeline.expectSameAsFresh()
    }

    @Test func aLabelThreeMonthsLateJoinsAndOneForAClosedHourIsTooLate() async throws {
        let pipeline = try Pipeline()
        let long = Self.base - 90 * LoadClock.day_ms
        let longer = Self.base - 101 * LoadClock.day_ms
        try await pipeline.put([predictions(1, hour_ms: long)])
        try await pipeline.put([predictions(2, hour_ms: longer)])
        try await pipeline.put([
            outcomes(
                1,
                [
                    TestEvents.outcome(Self.base, prediction: "p1-4", predictionTime_ms: long),
                    TestEvents.outcome(Self.base, prediction: "p2-4", predictionTime_ms: longer),
                ])
        ])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 2, joined: 1, tooLate: 1))
        #expect(try pipeline.quality() == [1, 1])
        // Three months to the label, by the hour's histogram of delays.
        let delay = try pipeline.database.connect().query(
            "SELECT max(delay_sum) FROM nadi_store.outcome_hour")[0].real(0)
        #expect(abs(delay - 90 * 86_400) < 3600)
        expectClean(try await pipeline.audit())
    }

    /// Clicks, revenue, feedback: each is joined as labels are, and `where` says so.
    @Test func everyOutcomeIsJoined() async throws {
        let pipeline = try Pipeline()
        try await pipeline.put([predictions(1)])
        var lines: [String] = []
        for line in 0..<3 {
            let id = "p1-\(line)"
            lines.append(TestEvents.outcome(Self.base + 60_000, prediction: id, predictionTime_ms: Self.base))
            lines.append(
                OutcomeEvents.line(
                    Self.base + 60_000, name: "click", prediction: id, "\"value\":1", predictionTime_ms: Self.base))
            lines.append(
                OutcomeEvents.line(
                    Self.base + 60_000, name: "revenue", prediction: id, "\"value\":3.5,\"value_currency\":\"EUR\"",
                    predictionTime_ms: Self.base))
            lines.append(
                OutcomeEvents.line(
                    Self.base + 60_000, type: "feedback", name: "thumbs", prediction: id, "\"score\":1",
                    predictionTime_ms: Self.base))
        }
        lines.append(
            OutcomeEvents.line(
                Self.base + 60_000, name: "click", prediction: "nobody", "\"value\":1", predictionTime_ms: Self.base))
        try await pipeline.put([outcomes(1, lines)])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 13, joined: 12, waiting: 1))
        #expect(try pipeline.quality() == [3, 3])
        let thread = DatabaseThread(pipeline.database.uri)
        let finder = Where(store: pipeline.store, database: thread, settings: pipeline.settings(), mappings: [])
        let story = try await finder.find(Where.Query(id: "p1-1"))
        await thread.close()
        #expect(story.labels.count == 4)
        #expect(story.labels.allSatisfy { $0.fate.hasPrefix("joined with hour") })
        try pipeline.expectOutcomesBalance()
        expectClean(try await pipeline.audit())
        try await pipeline.expectSameAsFresh()
    }

    /// Ids whose time is of another hour, another day even: the label goes where its prediction is, a correction meets it
    /// there, and no order of loading makes a difference.
    @Test(arguments: [0, 1, 2, 3]) func hintsThatAreWrongByAnHour(order: Int) async throws {
        let pipeline = try Pipeline()
        let midnight = LoadClock.day(Self.base - LoadClock.day_ms)
        // Each id is of the hour before its prediction's.
        let ids =
            (0..<4).map { OutcomeEvents.id(midnight - 60_000, $0) }
            + (4..<6).map { OutcomeEvents.id(midnight + 1800_000, $0) }
        let sealed = midnight + 3 * LoadClock.hour_ms
        let parts = [
            predictions(1, hour_ms: midnight, ids: Array(ids.prefix(4))),
            predictions(2, hour_ms: midnight + LoadClock.hour_ms, ids: Array(ids.suffix(2))),
            outcomes(
                1, ids.map { TestEvents.outcome(midnight + 7_200_000, prediction: $0, predictionTime_ms: nil) },
                at: sealed),
            // Corrections: by the hint, and by the time.
            outcomes(
                2,
                [
                    TestEvents.outcome(
                        midnight + 7_300_000, prediction: ids[0], label: "\"virginica\"", predictionTime_ms: nil,
                        revision: 1),
                    TestEvents.outcome(
                        midnight + 7_300_000, prediction: ids[1], label: "\"virginica\"",
                        predictionTime_ms: midnight + 1000,
                        revision: 1),
                    TestEvents.outcome(
                        midnight + 7_300_000, prediction: ids[4], label: "\"virginica\"", predictionTime_ms: nil,
                        revision: 1),
                ], at: sealed),
        ]
        for place in 0..<4 {
            try await pipeline.put([parts[(place + order) % 4]])
            _ = try await pipeline.load(joinNow: true)
        }
        try await pipeline.report(ended: true)
        #expect(try pipeline.quality() == [6, 3])
        #expect(try pipeline.arrivals() == Arrivals(lines: 9, joined: 6, superseded: 3))
        try pipeline.expectOutcomesBalance()
        expectClean(try await pipeline.audit())
        try await pipeline.expectSameAsFresh()
    }

    /// A label without any time and its correction with one, in both orders, with and without a sweep between.
    @Test(arguments: [[0, 1], [1, 0]], [false, true]) func aLabelWithoutTimeMeetsItsCorrection(
        order: [Int], sweeps: Bool
    ) async throws {
        let pipeline = try Pipeline()
        try await pipeline.put([predictions(1, ids: ["order 1", "order 2"])])
        let parts = [
            outcomes(
                1,
                [
                    TestEvents.outcome(Self.base + 60_000, prediction: "order 1", predictionTime_ms: nil),
                    TestEvents.outcome(
                        Self.base + 60_000, prediction: "order 2", label: "\"virginica\"", predictionTime_ms: nil,
                        revision: 2),
                ]),
            outcomes(
                2,
                [
                    TestEvents.outcome(
                        Self.base + 90_000, prediction: "order 1", label: "\"virginica\"", predictionTime_ms: Self.base,
                        revision: 1),
                    TestEvents.outcome(
                        Self.base + 90_000, prediction: "order 2", predictionTime_ms: Self.base, revision: 1),
                ]),
        ]
        for place in order {
            try await pipeline.put([parts[place]])
            _ = try await pipeline.load(joinNow: true, sweepNow: sweeps)
        }
        try await pipeline.report(ended: true)
        #expect(try pipeline.quality() == [2, 0])
        #expect(try pipeline.arrivals() == Arrivals(lines: 4, joined: 2, superseded: 2))
        try pipeline.expectOutcomesBalance()
        expectClean(try await pipeline.audit())
    }

    /// Of several lines with one id the first by writer and line joins, also if it comes after the join.
    @Test func aRepeatedIdThatComesLaterIsJoinedAsIfItHadBeenThere() async throws {
        let pipeline = try Pipeline()
        var late = TestWriter("one", 1)
        late.append(TestEvents.prediction(Self.base + 5000, id: "twice", prediction: "\"virginica\""))
        let first = late.seal(at: Self.base + LoadClock.hour_ms, end: true)
        try await pipeline.put([predictions(2, ids: ["twice"])])
        try await pipeline.put([
            outcomes(1, [TestEvents.outcome(Self.base + 60_000, prediction: "twice", predictionTime_ms: Self.base)])
        ])
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.quality() == [1, 1])
        try await pipeline.put([first])
        try await pipeline.report(ended: true)
        _ = try await pipeline.load(joinNow: true)
        #expect(try pipeline.quality() == [1, 0])
        #expect(
            try pipeline.database.connect().query("SELECT sum(repeated_id_count)::bigint FROM nadi.join_state")[0]
                .integer(0) == 1)
        expectClean(try await pipeline.audit())
        try await pipeline.expectSameAsFresh()
    }

    /// New labels are written without a look at those that are there; many without an hour are not looked for on each day.
    @Test func whatIsNewIsWrittenWithoutALookAtWhatIsThere() async throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        try await pipeline.put([predictions(1, count: 400)])
        func timed(_ lines: Range<Int>, revision: Int = 0) -> [String] {
            lines.map {
                TestEvents.outcome(
                    Self.base + 60_000, prediction: "p1-\($0)", predictionTime_ms: Self.base, revision: revision)
            }
        }
        try await pipeline.put([outcomes(1, timed(0..<200))])
        // No sweep looks meanwhile.
        try connection.execute("INSERT INTO nadi_store.loader_state (name, at) VALUES ('swept', now())")
        try await pipeline.report(ended: true)
        let loader = pipeline.loader { $0.join.hoursPerRun = 0 }
        _ = try await loader.load(reach: .all)
        let child = "outcome_" + LoadClock.dayText(Self.base).filter { $0 != "-" }
        func scans() async throws -> Int64 {
            // Counts of other sessions come with their end.
            let loaders =
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'nadi-loader'"
            while try connection.query(loaders)[0].integer(0) > 0 { try await Task.sleep(for: .milliseconds(20)) }
            return try connection.query("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = $1", [.text(child)])[
                0
            ].integer(0)
        }
        await loader.close()
        try connection.query("VACUUM ANALYZE nadi_store.\(child)")
        let before = try await scans()
        try await pipeline.put([outcomes(2, timed(200..<400))])
        _ = try await loader.load(reach: .all)
        await loader.close()
        #expect(try await scans() == before)

        // One correction among them is found, and the others are where they belong.
        try await pipeline.put([outcomes(3, timed(7..<8, revision: 1) + timed(0..<400))])
        _ = try await loader.load(reach: .all, joinNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 801, joined: 400, superseded: 401))

        // A thousand without a time, corrected: on a hundred days each look would be one too many.
        try connection.query(
            """
            SELECT nadi_store.ensure_partition('outcome', d::date)
            FROM generate_series(current_date - 99, current_date - 10, interval '1 day') AS d
            """)
        let untimed = (0..<1200).map {
            TestEvents.outcome(
                Self.base + 90_000, prediction: "p1-\($0 % 400)", predictionTime_ms: nil, revision: 2 + $0 / 400)
        }
        try await pipeline.put([outcomes(4, untimed)])
        _ = try await loader.load(reach: .all, joinNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 2001, joined: 400, waiting: 400, superseded: 1201))
        _ = try await loader.load(reach: .all, joinNow: true, sweepNow: true)
        #expect(try pipeline.arrivals() == Arrivals(lines: 2001, joined: 400, superseded: 1601))
        await loader.close()
        try pipeline.expectOutcomesBalance()
    }

    /// What metrics say of outcomes is counted every five minutes, since whatever waits has to be read for it.
    @Test func metricsCountWhatWaitsNowAndThen() throws {
        let pipeline = try Pipeline()
        let connection = try pipeline.database.connect()
        try connection.query("INSERT INTO nadi_store.model (model_name) VALUES ('iris')")
        try connection.query(
            "INSERT INTO nadi_store.outcome_arrival (arrival_day, event_type, model_id, lines, too_late) VALUES (current_date, 'outcome', 1, 5, 2)"
        )
        #expect(try WaitingOutcomes(recent: connection).lines == 5)
        try connection.execute("UPDATE nadi_store.outcome_arrival SET lines = 7, too_late = 4")
        let kept = try WaitingOutcomes(recent: connection)
        #expect(kept.lines == 5 && kept.joined == 3)
        #expect(try WaitingOutcomes(connection).lines == 7)
        try connection.execute(
            "UPDATE nadi_store.loader_state SET at = now() - interval '6 minutes' WHERE name = 'outcomes_counted'")
        #expect(try WaitingOutcomes(recent: connection).lines == 7)
    }
}
