import ObjectShipping
import ObjectStorage
import TestSupport
import Testing

/// Outages of hours, in simulated time: what the store does, the machine waits, asks seldom, and loses nothing.
@Suite struct ShipperDayTests {
    private static let hour_ms: Int64 = 3_600_000

    private struct Outage {
        var from: Double
        var to: Double
        var error: StorageError
        /// The most requests that any hour of it may see.
        var mostPerHour: Int
    }

    private static func error(
        _ kind: StorageError.Kind, _ status: Int, _ code: String, retryAfter_s: Double? = nil
    ) -> StorageError {
        StorageError(
            kind, operation: "PUT k", status: status, code: code, message: "away", retryAfter_s: retryAfter_s)
    }

    /// Three objects are in work, and a wait is half of `longest` on average: 3 x 120 requests in an hour.
    ///
    /// To these come the first, short waits. What may lie in an object is let go of and tried apart, which costs up to five requests a wait.
    private static let day: [Outage] = [
        Outage(from: 1, to: 4, error: error(.server, 503, "ServiceUnavailable"), mostPerHour: 400),
        Outage(from: 5, to: 8, error: error(.throttled, 429, "TooManyRequests", retryAfter_s: 300), mostPerHour: 40),
        Outage(from: 9, to: 12, error: error(.accessDenied, 403, "AccessDenied"), mostPerHour: 400),
        Outage(from: 13, to: 15, error: error(.credentials, 400, "ExpiredToken"), mostPerHour: 400),
        Outage(from: 16, to: 19, error: error(.unreachable, 0, "curl 7"), mostPerHour: 400),
        Outage(from: 20, to: 21.5, error: error(.unknown, 418, "Teapot"), mostPerHour: 1_200),
        Outage(from: 22, to: 22.5, error: error(.noSuchBucket, 404, "NoSuchBucket"), mostPerHour: 400),
    ]

    private static func outage(at steady_ms: Int64) -> StorageError? {
        let hour = Double(steady_ms) / Double(hour_ms)
        return day.first { $0.from <= hour && hour < $0.to }?.error
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func aDayOfOutages(seed: UInt64) throws {
        var configuration = ShipperStateMachine.Configuration()
        configuration.poll_ms = 5_000
        configuration.foreignPoll_ms = 30_000
        var world = ShipperWorld(seed: seed, faults: 0, configuration: configuration)
        world.drawsRandomly = true
        world.outage = { Self.outage(at: $0) }
        var seqs: [Int] = [0, 0, 0, 0, 0]
        var written_ms: [SegmentID: Int64] = [:]
        var nextWrite_ms: Int64 = 0
        var waitedAtStoresReturn = 0
        while world.steady_ms < 24 * Self.hour_ms {
            while nextWrite_ms <= world.steady_ms {
                let writer = Int.random(in: 0..<5, using: &world.random)
                world.write(
                    "w\(writer)", seq: seqs[writer], rawBytes: .random(in: 100...4_000_000, using: &world.random))
                seqs[writer] += 1
                nextWrite_ms += .random(in: 10_000...120_000, using: &world.random)
            }
            for id in world.files.keys where written_ms[id] == nil { written_ms[id] = world.steady_ms }
            // The wall clock jumps a day ahead, two back, an hour ahead.
            let hour = Double(world.steady_ms) / Double(Self.hour_ms)
            world.wallOffset_ms = hour < 2 ? 0 : hour < 6 ? 86_400_000 : hour < 17 ? -172_800_000 : 3_600_000
            world.step()
            // Half an hour after each return nothing older than ten minutes waits.
            if let last = Self.day.last(where: { $0.to <= hour }), hour >= last.to + 0.4, hour < last.to + 0.5 {
                waitedAtStoresReturn += 1
                let old = world.files.keys.filter { (written_ms[$0] ?? .max) < world.steady_ms - 600_000 }
                #expect(old.isEmpty, "hour \(hour): \(old.count) wait, seed \(seed)")
                if !old.isEmpty { return }
            }
        }
        #expect(waitedAtStoresReturn > 0)
        world.outage = nil
        for _ in 0..<2_000 where !world.files.isEmpty { world.step() }
        #expect(world.removedUnproven.isEmpty)
        #expect(world.files.isEmpty)
        #expect(world.stored == world.everWritten)
        #expect(world.everWritten.count > 1_000)
        for outage in Self.day {
            for from in stride(from: outage.from, to: outage.to, by: 0.25) {
                let range = Int64(from * Double(Self.hour_ms))..<Int64((from + 1) * Double(Self.hour_ms))
                let end = Int64(outage.to * Double(Self.hour_ms))
                let count = world.requests_ms.count { range.contains($0) && $0 < end }
                #expect(count <= outage.mostPerHour, "\(outage.error.code): \(count) requests in the hour from \(from)")
            }
        }
        // Reports went on all day.
        #expect(world.reports > 24 * 100)
    }

    /// The bucket cannot be asked what was shipped of foreign logs: the spool is shipped meanwhile, the asking is seldom,
    /// and a stop does not wait for it.
    @Test func aRefusedRecallHoldsNothingUpButForeignLogs() {
        var configuration = ShipperStateMachine.Configuration()
        configuration.foreignPoll_ms = 5_000
        var world = ShipperWorld(seed: 5, faults: 0, configuration: configuration)
        world.isHistoryKnown = false
        let id = SegmentID(writer: "h-app-1", seq: 0, path: "foreign:app")
        world.foreign = [Candidate(id: id, stream: "app", rawBytes: 100, lines: 1, sealed_ms: 1)]
        world.everWritten.insert(id)
        // Only listings are refused: the spool's objects go.
        world.write("w", seq: 0)
        for _ in 0..<30 { world.step() }
        world.outage = { _ in Self.error(.timeout, 0, "curl 28") }
        world.isHistoryKnown = false
        let asked = world.recalls_ms.count
        while world.steady_ms < 3 * Self.hour_ms { world.step() }
        #expect(world.recalls_ms.count - asked < 3 * 200)
        world.feed(.stop)
        let began = world.steady_ms
        for _ in 0..<500 where world.finished == nil { world.step() }
        #expect(world.finished != nil && world.steady_ms - began <= 21_000)
    }

    /// One object that is never taken: its segments are tried alone, seldom, and everything else goes on.
    @Test func whatIsNeverTakenHoldsUpNothingElse() {
        var world = ShipperWorld(seed: 11, faults: 0)
        let poison = SegmentID(writer: "w1", seq: 3, path: "/spool/w1-3")
        world.poison = poison
        var seq = 0
        while world.steady_ms < 6 * Self.hour_ms {
            if world.steady_ms / 60_000 >= seq {
                for writer in 0..<3 { world.write("w\(writer)", seq: seq) }
                seq += 1
            }
            world.step()
        }
        for _ in 0..<2_000 where world.files.count > 1 { world.step() }
        #expect(Array(world.files.keys) == [poison])
        #expect(world.stored == world.everWritten.subtracting([poison]))
        #expect(world.machine.held.map(\.id) == [poison])
        #expect(world.machine.held.first?.reason.contains("not taken") == true)
        #expect(world.poisoned < 400, "\(world.poisoned) requests in six hours")
    }

    /// A store that is back is used at once, however long the wait was.
    @Test func aGoodAnswerEndsTheWaitOfAll() {
        var machine = ShipperStateMachine(.init())
        func moment(_ steady_ms: Int64) -> ShipperStateMachine.Moment {
            .init(steady_ms: steady_ms, wall_ms: 1_700_000_000_000 + steady_ms, draw: 0.9)
        }
        let ids = (0..<2).map { SegmentID(writer: "w", seq: $0, path: "/s/\($0)") }
        func candidate(_ id: SegmentID) -> Candidate {
            Candidate(id: id, rawBytes: 1_000, lines: 1, sealed_ms: 1_600_000_000_000)
        }
        let proof = UploadProof(key: "k", size: 10, sha256: [1], md5: "m")
        _ = machine.handle(.timer, at: moment(0))
        #expect(machine.handle(.scanned([candidate(ids[0])]), at: moment(10)).contains(.build(1, [ids[0]])))
        #expect(machine.handle(.scanned(ids.map(candidate)), at: moment(20)).contains(.build(2, [ids[1]])))
        _ = machine.handle(.built(1, proof, included: [ids[0]], failed: [:]), at: moment(30))
        let slow = Self.error(.throttled, 503, "SlowDown", retryAfter_s: 500)
        _ = machine.handle(.answered(1, .failed(slow)), at: moment(40))
        // The store asked to be left alone: an object that is made now waits as well.
        #expect(machine.handle(.built(2, proof, included: [ids[1]], failed: [:]), at: moment(50)).isEmpty)
        #expect(!machine.handle(.timer, at: moment(400_000)).contains { if case .request = $0 { true } else { false } })
        let opened = machine.handle(.timer, at: moment(500_040))
        #expect(
            opened.contains(.request(1, .put(ifAbsent: true))) && opened.contains(.request(2, .put(ifAbsent: true))))
        _ = machine.handle(.answered(2, .failed(slow)), at: moment(500_050))
        let good = machine.handle(.answered(1, .stored), at: moment(500_060))
        #expect(good.contains(.request(1, .head)) && good.contains(.request(2, .put(ifAbsent: true))))
    }
}
