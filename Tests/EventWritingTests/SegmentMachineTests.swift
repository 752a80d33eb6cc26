import EventModel
import Glibc
import Testing

@testable import EventWriting

/// The machine as a value: results in, operations out.
struct SegmentMachineTests {
    /// A machine, its clock, and what the disk would hold.
    struct World {
        var machine: SegmentMachine
        var steady_ms: Int64 = 1_000_000
        var waiting = 0
        var isClosing = false
        /// Lines of each sealed segment, and of the open one.
        var sealed: [(name: SegmentName, lines: Int)] = []
        var openLines = 0
        /// Results that replace the good ones, first come first served, by kind of action.
        var faults: [(kind: String, result: SegmentMachine.Result)] = []
        var log: [String] = []
        var lastRecord: LockRecord?
        static let names = (0..<9).map { "web-017f22e279b07cc398c4dc0c0c07398\($0)" }
        var nextName = 1

        init(keepsWhenFull: Bool = false) throws {
            let settings = SegmentMachine.Settings(
                host: "web", service: "iris", pid: 1, replay: false, keepsWhenFull: keepsWhenFull, sealBytes: 1000,
                sealAge_ms: 20_000)
            machine = SegmentMachine(name: try #require(WriterName(Self.names[0])), started_ms: 5, settings: settings)
        }

        var now: SegmentMachine.Now {
            .init(wall_ms: steady_ms + 1_700_000_000_000 + jump_ms, steady_ms: steady_ms)
        }
        /// By how much the wall clock was set forward since.
        var jump_ms: Int64 = 0

        static func kind(_ action: SegmentMachine.Action) -> String {
            String("\(action)".prefix { $0 != "(" })
        }

        /// Does one action; lines are of 100 bytes.
        ///
        /// Returns the time to rest until, or nil while there is more to do.
        mutating func step() -> SegmentMachine.Action {
            let action = machine.next(now, hasLines: waiting > 0, isClosing: isClosing)
            let kind = Self.kind(action)
            log.append(kind)
            var result = good(action)
            if let place = faults.firstIndex(where: { $0.kind == kind }) { result = faults.remove(at: place).result }
            effect(action, result)
            machine.apply(result, of: action, now)
            return action
        }

        private func good(_ action: SegmentMachine.Action) -> SegmentMachine.Result {
            switch action {
            case .write(let limit, let newlineFirst):
                let lines = min(waiting, (limit + 99) / 100)
                return .wrote(.init(repaired: newlineFirst, bytes: lines * 100, lines: lines))
            case .writeLine(_, let newlineFirst):
                return .wrote(.init(repaired: newlineFirst, bytes: 300, lines: 1))
            case .dropWaiting: return .dropped(lines: waiting)
            case .becomeNew: return WriterName(Self.names[nextName % Self.names.count]).map { .renamed($0) } ?? .done
            default: return .done
            }
        }

        private mutating func effect(_ action: SegmentMachine.Action, _ result: SegmentMachine.Result) {
            switch (action, result) {
            case (.write, .wrote(let write)):
                openLines += write.lines + (write.endsLine ? 0 : 1)
                waiting -= write.lines
            case (.writeLine, .wrote(let write)):
                openLines += write.lines + (write.endsLine ? 0 : 1)
            case (.seal(_, let target), .done):
                sealed.append((target, openLines))
                openLines = 0
            case (.dropWaiting, _): waiting = 0
            case (.becomeNew, _):
                nextName += 1
                openLines = 0
                sealed = []
            case (.record(let record), .done): lastRecord = record
            default: break
            }
        }

        /// Works until it rests or ends.
        mutating func settle(_ limit: Int = 200) throws {
            for _ in 0..<limit {
                switch step() {
                case .rest, .finished: return
                default: try check()
                }
            }
            Issue.record("does not come to rest: \(log.suffix(20))")
        }

        /// What holds after every step.
        func check() throws {
            let counts = machine.counts
            try #require(counts.appended == counts.written + counts.dropped.total)
            try #require(counts.written == sealed.reduce(0) { $0 + $1.lines } + openLines, "\(log)")
            for (place, segment) in sealed.enumerated() {
                try #require(segment.name.seq == place && segment.name.lines == segment.lines)
            }
        }
    }

    @Test func aQuietWriterOpensNothing() throws {
        var world = try World()
        try world.settle()
        #expect(world.log == ["createLock", "rest"])
        world.steady_ms += 100_000
        try world.settle()
        #expect(world.log == ["createLock", "rest", "rest"])
    }

    @Test func theWholeLife() throws {
        var world = try World()
        world.waiting = 3
        try world.settle()
        #expect(world.log == ["createLock", "openSegment", "write", "rest"])
        world.steady_ms += 1000
        try world.settle()
        #expect(world.log.suffix(2) == ["record", "rest"])
        #expect(world.lastRecord?.counts.written == 3)
        world.steady_ms += 19_000
        try world.settle()
        #expect(world.log.suffix(4) == ["writeLine", "seal", "record", "rest"])
        #expect(world.lastRecord?.seq == 1 && world.lastRecord?.counts.written == 4)
        world.isClosing = true
        try world.settle()
        #expect(
            world.log.suffix(6) == ["openSegment", "writeLine", "seal", "record", "removeLock", "finished"])
        #expect(world.sealed.map(\.name.isEnd) == [false, true])
        #expect(world.lastRecord?.closed == true && world.lastRecord?.counts.written == 5)
    }

    @Test func sealsAtTheSizeAndGoesOn() throws {
        var world = try World()
        world.waiting = 25
        try world.settle()
        #expect(world.sealed.map(\.lines) == [11, 11])
        #expect(world.openLines == 5)
    }

    @Test func closingWritesWhatWaitsFirst() throws {
        var world = try World()
        world.waiting = 25
        world.isClosing = true
        try world.settle()
        #expect(world.sealed.map(\.lines) == [11, 11, 6])
        #expect(world.machine.phase == .ended)
    }

    @Test func aFullDiskDropsAndCountsAndRecovers() throws {
        var world = try World()
        world.waiting = 5
        // Two lines and a half fit.
        world.faults = [("write", .wrote(.init(bytes: 250, lines: 2, endsLine: false, code: ENOSPC)))]
        try world.settle()
        #expect(world.machine.counts == WriterCounts(appended: 6, written: 3, dropped: DropCounts(disk_full: 3)))
        world.waiting = 1
        let action = world.machine.next(world.now, hasLines: true, isClosing: false)
        #expect(action == .write(limit: 750, newlineFirst: true))
        try world.settle()
        #expect(world.machine.counts.written == 4 && world.openLines == 4)
        world.isClosing = true
        try world.settle()
        #expect(world.sealed.map(\.lines) == [5])
    }

    @Test func aWriterThatKeepsWaitsAndWritesAgain() throws {
        var world = try World(keepsWhenFull: true)
        world.waiting = 5
        world.faults = [("write", .wrote(.init(bytes: 250, lines: 2, endsLine: false, code: ENOSPC)))]
        try world.settle()
        #expect(world.waiting == 3 && world.machine.counts.dropped.total == 0)
        world.steady_ms += 1000
        try world.settle()
        #expect(world.waiting == 0 && world.machine.counts == WriterCounts(appended: 6, written: 6))
    }

    @Test func theSealWaitsForRoomForItsLine() throws {
        var world = try World()
        world.waiting = 1
        try world.settle()
        world.steady_ms += 20_000
        world.faults = [
            ("writeLine", .wrote(.init(bytes: 40, lines: 0, endsLine: false, code: ENOSPC))),
            ("writeLine", .wrote(.init(code: ENOSPC))),
        ]
        try world.settle()
        #expect(world.sealed.isEmpty && world.openLines == 2)
        world.steady_ms += 1000
        try world.settle()
        #expect(world.sealed.isEmpty)
        world.steady_ms += 1000
        try world.settle()
        #expect(world.sealed.map(\.lines) == [3])
        #expect(world.machine.counts == WriterCounts(appended: 3, written: 3))
    }

    @Test func aFailedRenameIsTriedAgainWithTheSameName() throws {
        var world = try World()
        world.waiting = 1
        try world.settle()
        world.steady_ms += 20_000
        world.faults = [("seal", .failed(EIO))]
        try world.settle()
        guard case .sealing(let target) = world.machine.phase else {
            Issue.record("\(world.machine.phase)")
            return
        }
        world.waiting = 7
        world.steady_ms += 999
        try world.settle()
        #expect(world.waiting == 7)
        world.steady_ms += 1
        try world.settle()
        #expect(world.sealed.first?.name == target && world.waiting == 0)
    }

    @Test func aLockThatCannotBeMadeIsTriedEachSecond() throws {
        var world = try World()
        world.waiting = 3
        world.faults = [("createLock", .failed(ENOSPC)), ("createLock", .failed(ENOSPC))]
        world.machine.drop(DropCounts(buffer_full: 2))
        for _ in 0..<2 {
            try world.settle()
            #expect(world.waiting == 3)
            world.steady_ms += 1000
        }
        try world.settle()
        #expect(world.waiting == 0)
        #expect(world.machine.counts == WriterCounts(appended: 5, written: 3, dropped: DropCounts(buffer_full: 2)))
    }

    @Test(arguments: ["openSegment", "write", "writeLine", "seal"])
    func aWriterWhoseFilesAreGoneBecomesANewOne(kind: String) throws {
        var world = try World()
        world.waiting = 4
        world.isClosing = true
        world.faults = [(kind, .gone)]
        try world.settle()
        let place = try #require(world.log.firstIndex(of: "becomeNew"))
        #expect(Array(world.log[place...].prefix(3)) == ["becomeNew", "createLock", "openSegment"])
        #expect(world.machine.name.text == World.names[1] && world.machine.phase == .ended)
        #expect(world.sealed.count == 1)
    }

    @Test func dropsThatWereNotYetToldGoWithTheWriter() throws {
        var world = try World()
        world.machine.drop(DropCounts(invalid: 3))
        try world.settle()
        world.machine.drop(DropCounts(buffer_full: 2, invalid: 1))
        world.waiting = 1
        world.faults = [("openSegment", .gone)]
        try world.settle()
        #expect(world.machine.counts.dropped == DropCounts(buffer_full: 2, invalid: 1))
    }

    @Test func countsAreKeptUnderLoad() throws {
        var world = try World()
        for _ in 0..<50 {
            world.waiting = 1
            world.steady_ms += 30
            _ = world.step()
        }
        #expect(world.log.contains("record"))
        #expect(world.lastRecord?.counts.written ?? 0 > 0)
    }

    @Test func bytesInDoubtAreNeverSealedAndReadBack() throws {
        var world = try World()
        world.waiting = 4
        world.isClosing = true
        world.faults = [("seal", .inDoubt)]
        var keeps: [Int] = []
        for _ in 0..<8 {
            if case .becomeNew(let keep) = world.step() { keeps.append(keep) }
        }
        #expect(keeps == [400])
        #expect(world.log.filter { $0 == "seal" }.count == 1)
        #expect(world.machine.name.text == World.names[1])
    }

    @Test func newWritersOfADiskThatNeverSynchronisesComeMoreAndMoreSeldom() throws {
        var world = try World()
        world.faults = Array(repeating: ("seal", .inDoubt), count: 9)
        var pauses: [Int64] = []
        for _ in 0..<9 {
            world.waiting = 10
            while true {
                let action = world.step()
                if case .becomeNew = action { break }
                if case .rest(let until_ms) = action { world.steady_ms = until_ms ?? world.steady_ms + 1000 }
            }
            var pause: Int64 = 0
            if case .rest(let until_ms?) = world.step() { pause = until_ms - world.steady_ms }
            pauses.append(pause)
        }
        #expect(pauses == [0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
        // A good seal ends it.
        world.waiting = 10
        for _ in 0..<30 {
            if case .rest(let until_ms) = world.step() { world.steady_ms = until_ms ?? world.steady_ms + 1000 }
        }
        #expect(!world.sealed.isEmpty)
        world.faults = [("seal", .inDoubt)]
        world.waiting = 10
        for _ in 0..<30 {
            if case .becomeNew = world.step() { break }
        }
        if case .rest = world.step() { Issue.record("the first failure after a good seal waits") }
    }

    @Test func whatMustBeReadBackEndsBeforeTheWriterLine() throws {
        var world = try World()
        world.waiting = 4
        world.isClosing = true
        world.faults = [("seal", .gone)]
        var keeps: [Int] = []
        for _ in 0..<20 {
            if case .becomeNew(let keep) = world.step() { keeps.append(keep) }
        }
        #expect(keeps == [400])
    }

    @Test func anyCourseOfFaultsKeepsTheBooks() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var world = try World(keepsWhenFull: Bool.random(using: &random))
            for _ in 0..<60 {
                world.steady_ms += Int64.random(in: 0...3000, using: &random)
                world.waiting += Int.random(in: 0...6, using: &random)
                switch Int.random(in: 0..<9, using: &random) {
                case 0: world.faults.append(("openSegment", .failed(ENOSPC)))
                case 1 where world.waiting > 1:
                    world.faults.append(("write", .wrote(.init(bytes: 150, lines: 1, endsLine: false, code: ENOSPC))))
                case 2: world.faults.append(("writeLine", .wrote(.init(bytes: 9, endsLine: false, code: EIO))))
                case 3: world.faults.append(("seal", .failed(EACCES)))
                case 4: world.faults.append(("record", .failed(EIO)))
                case 5: world.faults.append(("seal", .gone))
                case 6: world.faults.append(("seal", .inDoubt))
                default: break
                }
                // A fault of a write needs the lines that it claims to have written.
                if world.waiting < 2 { world.faults.removeAll { $0.kind == "write" } }
                for _ in 0..<40 {
                    let action = world.step()
                    try world.check()
                    if case .rest = action { break }
                    if world.waiting < 2 { world.faults.removeAll { $0.kind == "write" } }
                }
            }
            world.faults = []
            world.isClosing = true
            for _ in 0..<5 {
                world.steady_ms += 61_000
                try world.settle()
            }
            #expect(world.machine.phase == .ended && world.waiting == 0)
            #expect(world.sealed.last?.name.isEnd == true)
        }
    }

    /// A segment is sealed by the clock that its events' times are of, unless that one was days ahead; the next by the new.
    @Test(
        arguments: [
            (0, 0), (-60_000, -60_000), (-299_000, -299_000), (-300_000, 0), (-3_600_000, 0), (-86_400_000, 0),
            (-86_401_000, -86_401_000), (3_600_000, 3_600_000),
        ] as [(Int64, Int64)])
    func aClockSetBack(by jump_ms: Int64, moves seal_ms: Int64) throws {
        var world = try World()
        world.waiting = 1
        try world.settle()
        let opened = world.now
        world.jump_ms = jump_ms
        world.steady_ms += 20_000
        try world.settle()
        let first = try #require(world.sealed.first).name
        #expect(first.sealed_ms == opened.wall_ms + 20_000 + seal_ms)
        world.waiting = 1
        try world.settle()
        world.steady_ms += 20_000
        try world.settle()
        #expect(world.sealed.last?.name.sealed_ms == world.now.wall_ms && world.sealed.count == 2)
    }
}
