import RecordBatches
import TableLoading
import TableStorage
import TestSupport
import Testing

/// Loaders side by side in one process, for the thread sanitizer.
@Suite(
    .enabled(if: TestServers.postgres != nil, "set NADI_TEST_POSTGRES, or use Tests/run"), .timeLimit(.minutes(5)))
struct LoadingThreadSafetyTests {
    /// Three loaders on one bucket and one database, with two aggregating tasks each; one of them is cancelled.
    @Test func loadersSideBySide() async throws {
        let pipeline = try Pipeline()
        let segments = TestEvents.corpus(seed: 11, writers: 3, segments: 4, lines: 20)
        for segment in segments { try await pipeline.put([segment]) }
        try await pipeline.report(ended: true)
        let loaded = try await withThrowingTaskGroup(of: Int.self) { group in
            for owner in ["a/1/a", "b/1/b", "c/1/c"] {
                group.addTask { try await pipeline.load(owner: owner, objects: 2, joinNow: true).objects }
            }
            return try await group.reduce(0, +)
        }
        #expect(loaded <= segments.count)
        let stopped = Task { try await pipeline.load(owner: "d/1/d", objects: 1) }
        stopped.cancel()
        _ = await stopped.result
        // What the stopped one had claimed is loaded when its lease has run out.
        let connection = try pipeline.database.connect()
        try connection.execute("UPDATE nadi_store.object SET lease_until = now() - interval '1 second'")
        try await pipeline.load(owner: "e/1/e", joinNow: true)
        expectClean(try await pipeline.audit())
    }

    /// Calls of a database's thread from many tasks, while it is closed again and again.
    @Test func oneConnectionForManyTasks() async throws {
        let database = try TestDatabase()
        let thread = DatabaseThread(database.uri)
        let sum = try await withThrowingTaskGroup(of: Int64.self) { group in
            for number in 1...40 {
                group.addTask {
                    try await thread.run { try $0.query("SELECT \(number)::int8")[0].integer(0) }
                }
                if number % 10 == 0 {
                    group.addTask {
                        await thread.close(); return 0
                    }
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(sum == 820)
        await thread.close()
    }
}
