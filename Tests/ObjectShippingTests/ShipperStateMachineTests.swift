import ObjectShipping
import ObjectStorage
import TestSupport
import Testing

@Suite struct ShipperStateMachineTests {
    private typealias Machine = ShipperStateMachine

    private func moment(_ steady_ms: Int64) -> Machine.Moment {
        .init(steady_ms: steady_ms, wall_ms: 1_700_000_000_000 + steady_ms, draw: 0.5)
    }

    private func candidate(
        _ writer: String, _ seq: Int, rawBytes: Int = 1_000, sealed_ms: Int64 = 1_700_000_000_000,
        retirable: Bool = true
    ) -> Candidate {
        Candidate(
            id: SegmentID(writer: writer, seq: seq, path: "/s/\(writer)-\(seq)"), rawBytes: rawBytes, lines: 1,
            sealed_ms: sealed_ms, isRetirable: retirable)
    }

    private let proof = UploadProof(key: "k", size: 10, sha256: [1], md5: "m")

    @Test func waitsForTheAgeAndThenShipsInTheOrderOfTheObject() {
        var machine = Machine(.init())
        #expect(machine.handle(.timer, at: moment(0)) == [.scan])
        let waiting = [candidate("b", 0), candidate("a", 1), candidate("a", 0)]
        #expect(machine.handle(.scanned(waiting), at: moment(10)) == [.report(isLast: false)])
        #expect(machine.nextWake_ms(at: moment(10)) == 1_010)
        #expect(machine.handle(.scanned(waiting), at: moment(19_999)) == [])
        let actions = machine.handle(.timer, at: moment(20_000))
        #expect(actions == [.build(1, [waiting[2].id, waiting[1].id, waiting[0].id])])
    }

    @Test func aFullObjectDoesNotWait() {
        var machine = Machine(.init())
        _ = machine.handle(.timer, at: moment(0))
        let big = (0..<40).map { candidate("w", $0, rawBytes: 4 << 20) }
        let actions = machine.handle(.scanned(big), at: moment(10))
        let builds = actions.compactMap { if case .build(_, let ids) = $0 { ids.count } else { nil } }
        // A quarter of the raw size is expected until the first object tells better: 8 segments of 1 MiB each.
        #expect(builds == [8, 8, 8])
    }

    @Test func everyWriterComesBeforeAnyWritersSecond() {
        var machine = Machine(.init())
        _ = machine.handle(.timer, at: moment(0))
        let backlog = (0..<100).map { candidate("busy", $0, rawBytes: 4 << 20, sealed_ms: 1_600_000_000_000) }
        let quiet = (0..<5).map { candidate("quiet\($0)", 7, rawBytes: 100) }
        let actions = machine.handle(.scanned(backlog + quiet), at: moment(10))
        guard case .build(_, let first) = actions.first(where: { if case .build = $0 { true } else { false } }) else {
            Issue.record("nothing is built")
            return
        }
        #expect(Set(quiet.map(\.id)).isSubset(of: first))
    }

    @Test func aClockSetBackDelaysNothingForLong() {
        var machine = Machine(.init())
        _ = machine.handle(.timer, at: moment(0))
        let future = [candidate("w", 0, sealed_ms: 1_900_000_000_000)]
        _ = machine.handle(.scanned(future), at: moment(10))
        #expect(machine.handle(.timer, at: moment(20_010)).contains(.build(1, [future[0].id])))
    }

    @Test func aProvenSegmentStaysWhileItMayNotGo() {
        var machine = Machine(.init())
        _ = machine.handle(.timer, at: moment(0))
        let held = candidate("w", 0, retirable: false)
        _ = machine.handle(.scanned([held]), at: moment(10))
        _ = machine.handle(.timer, at: moment(20_000))
        _ = machine.handle(.built(1, proof, included: [held.id], failed: [:]), at: moment(20_001))
        _ = machine.handle(.answered(1, .stored), at: moment(20_002))
        let actions = machine.handle(.answered(1, .info(size: 10, etag: nil, sha256: [1])), at: moment(20_003))
        #expect(actions == [.proven(1, .sha256, [held.id])])
        #expect(machine.waiting.isEmpty)
        #expect(!machine.handle(.scanned([held]), at: moment(50_000)).contains(.retire([held.id])))
        #expect(machine.handle(.scanned([candidate("w", 0)]), at: moment(51_000)).contains(.retire([held.id])))
        // A scan that began before the removal still lists it: it is neither removed again nor shipped again.
        _ = machine.handle(.retired([held.id], failed: []), at: moment(51_001))
        let late = machine.handle(.scanned([candidate("w", 0)]), at: moment(90_000))
        #expect(!late.contains(.retire([held.id])) && machine.waiting.isEmpty && machine.jobs == 0)
    }

    @Test func failuresWaitLongerAndLongerAndTheRestGoesOn() {
        var machine = Machine(.init())
        _ = machine.handle(.timer, at: moment(0))
        _ = machine.handle(.scanned([candidate("w", 0)]), at: moment(10))
        _ = machine.handle(.timer, at: moment(20_000))
        _ = machine.handle(.built(1, proof, included: [candidate("w", 0).id], failed: [:]), at: moment(20_000))
        var now: Int64 = 20_000
        var pauses: [Int64] = []
        let error = StorageError(.unreachable, operation: "PUT k", message: "no")
        for _ in 0..<12 {
            let actions = machine.handle(.answered(1, .failed(error)), at: moment(now))
            guard case .failure(_, _, let pause_ms, _) = actions.first else {
                Issue.record("no failure is told: \(actions)")
                return
            }
            pauses.append(pause_ms)
            #expect(!machine.handle(.timer, at: moment(now + pause_ms - 1)).contains(.request(1, .put(ifAbsent: true))))
            now += pause_ms
            #expect(machine.handle(.timer, at: moment(now)).contains(.request(1, .put(ifAbsent: true))))
        }
        #expect(pauses.prefix(3) == [100, 200, 400])
        #expect(pauses.last == 30_000)
        #expect(machine.waiting.count == 1)
        // Another object is made and stored meanwhile.
        let others = machine.handle(.scanned([candidate("w", 0), candidate("w", 1)]), at: moment(now))
        #expect(others.contains(.build(2, [candidate("w", 1).id])))
    }

    @Test func onceShipsWhatIsThereAndEnds() {
        var configuration = Machine.Configuration()
        configuration.isOnce = true
        var world = ShipperWorld(seed: 1, faults: 0, configuration: configuration)
        for seq in 0..<5 { world.write("w", seq: seq) }
        for _ in 0..<100 where world.finished == nil { world.step() }
        #expect(world.finished == true)
        #expect(world.files.isEmpty && world.stored.count == 5)
    }

    @Test func stopShipsWhatIsSealedWithinItsTime() {
        var world = ShipperWorld(seed: 2, faults: 0)
        for _ in 0..<5 { world.step() }
        world.write("w", seq: 0)
        world.feed(.stop)
        let began = world.steady_ms
        for _ in 0..<200 where world.finished == nil { world.step() }
        #expect(world.finished == true && world.files.isEmpty)
        #expect(world.steady_ms - began < 5_000)
    }

    @Test func stopEndsInTimeWhileTheStoreIsAway() {
        var world = ShipperWorld(seed: 3, faults: 0)
        for _ in 0..<5 { world.step() }
        world.write("w", seq: 0)
        world.faults = 1
        for _ in 0..<100 { world.step() }
        world.feed(.stop)
        let began = world.steady_ms
        for _ in 0..<2_000 where world.finished == nil { world.step() }
        #expect(world.finished == false)
        #expect(world.steady_ms - began < 21_000)
        #expect(world.files.count == 1)
    }

    /// Files come, the store fails, lies and damages, the shipper dies at any step: nothing is removed that is not in
    /// an intact object, and in the end everything is.
    @Test(arguments: 0..<300) func nothingIsLostWhateverHappens(seed: UInt64) {
        var world = ShipperWorld(seed: seed, faults: 0.35)
        var seqs: [String: Int] = [:]
        for _ in 0..<400 {
            let draw = Int.random(in: 0..<100, using: &world.random)
            if draw < 10 {
                let writer = "w\(draw % 4)"
                world.write(writer, seq: seqs[writer, default: 0], rawBytes: draw == 9 ? 20 << 20 : 1_000)
                seqs[writer, default: 0] += 1
            } else if draw < 13 {
                world.crash()
            } else {
                world.step()
            }
        }
        world.faults = 0
        for _ in 0..<20_000 where !(world.files.isEmpty && world.machine.waiting.isEmpty) { world.step() }
        #expect(world.removedUnproven.isEmpty, "seed \(seed)")
        #expect(world.files.isEmpty, "seed \(seed)")
        #expect(world.stored == world.everWritten, "seed \(seed)")
    }

    @Test func withoutFaultsEverySegmentIsStoredOnce() {
        var world = ShipperWorld(seed: 9, faults: 0)
        for seq in 0..<50 {
            world.write("w\(seq % 3)", seq: seq)
            for _ in 0..<10 { world.step() }
        }
        for _ in 0..<500 { world.step() }
        #expect(world.store.values.flatMap(\.segments).count == 50)
        #expect(world.puts == world.store.count)
        #expect(world.files.isEmpty)
    }
}
