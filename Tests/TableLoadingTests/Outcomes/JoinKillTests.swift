import DurableIO
import Glibc
import TableLoading
import TableStorage
import TestSupport
import Testing

/// The program, killed while it sweeps and joins.
@Suite(.enabled(if: TestServers.postgres != nil && Program.path != nil, "set NADI_TEST_POSTGRES and build nadi"))
struct JoinKillTests {
    /// Where a pass stands when it is killed: it waits there for a table that somebody else holds.
    private static let places = [
        "outcome_hour", "outcome_day", "named_outcome_day", "join_hour", "dirty_hour", "outcome", "outcome_unplaced",
        "outcome_arrival", "swept_hour",
    ]

    /// Labels of every kind: timed, hinted rightly and wrongly, without time, corrected, repeated, for nobody.
    private func segments(_ round: Int) -> [TestSegment] {
        var predictions = TestWriter("one", 1 + round)
        var outcomes = TestWriter("two", 1 + round)
        for hour in 0..<2 {
            let begin = Pipeline.base_ms - Int64(hour) * LoadClock.hour_ms
            for line in 0..<12 {
                let time = begin + Int64(line) * 1000
                // Ids of the hour before among them.
                let hinted = OutcomeEvents.id(line % 2 == 0 ? time : begin - 60_000, round * 1000 + hour * 100 + line)
                let id = line < 4 ? "p\(round)-\(hour)-\(line)" : line < 8 ? hinted : "order \(round) \(hour) \(line)"
                predictions.append(TestEvents.prediction(time, id: id))
                let known = line < 4 ? time : nil
                outcomes.append(TestEvents.outcome(time + 60_000, prediction: id, predictionTime_ms: known))
                if line % 3 == 0 {
                    outcomes.append(
                        TestEvents.outcome(
                            time + 90_000, prediction: id, label: "\"virginica\"", predictionTime_ms: known, revision: 1
                        ))
                }
                outcomes.append(
                    OutcomeEvents.line(
                        time + 60_000, name: "click", prediction: id, "\"value\":1", predictionTime_ms: known))
            }
            outcomes.append(TestEvents.outcome(begin, prediction: "nobody \(round)", predictionTime_ms: begin))
        }
        let sealed = Pipeline.base_ms + LoadClock.hour_ms
        return [predictions.seal(at: sealed, end: true), outcomes.seal(at: sealed, end: true)]
    }

    @Test(.timeLimit(.minutes(10))) func twentyKillsInTheMiddleOfPassesLeaveTheSameRows() async throws {
        let pipeline = try Pipeline()
        try await pipeline.report(ended: true)
        let path = try pipeline.configuration(extra: "")
        let connection = try pipeline.database.connect()
        let watch = try LoaderWatch(pipeline)
        var kills = 0
        for round in 0..<20 {
            for segment in segments(round) { try await pipeline.put([segment]) }
            let loading = pipeline.loader { $0.join.hoursPerRun = 0 }
            _ = try await loading.load(reach: .all)
            await loading.close()
            let holder = try pipeline.database.connect()
            try holder.execute(
                "BEGIN; LOCK TABLE nadi_store.\(Self.places[round % Self.places.count]) IN EXCLUSIVE MODE")
            let run = try Program.start(["load", "--join-now", "--sweep-now", "--config", path])
            let isStuck = try await watch.wait(for: 1).count >= 1
            kill(run, SIGKILL)
            if Program.wait(run) != 0, isStuck { kills += 1 }
            try holder.execute("ROLLBACK")
            holder.close()
            // The server notices a client that is gone when it next speaks to it.
            try connection.query(
                """
                SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'nadi-loader'
                """)
        }
        #expect(kills == 20)
        #expect(try Program.run(["load", "--all", "--join-now", "--sweep-now", "--config", path]) == 0)
        // What the sweep placed last; and the metrics, which count only now and then.
        try connection.query("DELETE FROM nadi_store.loader_state WHERE name = 'outcomes_counted'")
        #expect(try Program.run(["load", "--all", "--join-now", "--sweep-now", "--config", path]) == 0)
        #expect(try Program.run(["audit", "--config", path]) == 0)
        #expect(try pipeline.quality() == [480, 320])
        let metrics = String(decoding: try DurableFile.read(path: pipeline.folder["nadi.prom"]), as: UTF8.self)
        #expect(metrics.contains("\nnadi_load_outcomes_waiting 0\n"))
        #expect(metrics.contains("\nnadi_load_hours_to_join 0\n"))
        try pipeline.expectOutcomesBalance()
        try await pipeline.expectSameAsFresh()
    }
}
