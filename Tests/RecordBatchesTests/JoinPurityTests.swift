import EventSegments
import RecordBatches
import Testing
import TestSupport

/// Joining in any order of objects, in any number of parts, by any number of readers gives the same rows to the last bit.
struct JoinPurityTests {
    private struct Case {
        var objects: [[UInt8]] = []
        var outcomes: [TestOutcome] = []
        var random: SeededGenerator

        init(seed: UInt64) throws {
            random = SeededGenerator(seed: seed)
            let tasks = [#""task":"binary""#, #""task":"multiclass""#, #""task":"regression""#, #""task":"ranking""#]
            for seq in 0..<14 {
                var segments: [SegmentFixture] = []
                for part in 0..<(1 + Int(random.next() % 2)) {
                    let lines = (0..<120).map { _ in
                        let answer = ["true", "\"c\(random.next() % 40)\"", "\(Self.number(&random))"][
                            Int(random.next() % 3)]
                        var fields = #""prediction_id":"p\#(random.next() % 900)","prediction":\#(answer)"#
                        fields += #","score":\#(Double.random(in: 0...1, using: &random))"#
                        if random.next() % 4 > 0 { fields += "," + tasks[Int(random.next() % 4)] }
                        if random.next() % 5 > 0 { fields += #","tags":{"region":"r\#(random.next() % 5)"}"# }
                        if random.next() % 30 == 0 { fields += #","status":"error""# }
                        return prediction(fields, model: random.next() % 6 == 0 ? "fraud" : "iris")
                    }
                    var segment = SegmentFixture(lines: lines, seq: seq * 2 + part)
                    if random.next() % 3 == 0 { segment.writer = "web2-019ab0c65e9b7c3a8f1d2e3f4a5b6c7d" }
                    segments.append(segment)
                }
                objects.append(try makeObject(segments))
            }
            for number in 0..<1100 {
                let model = number % 5 == 0 ? "fraud" : "iris"
                for _ in 0...(random.next() % 3) { outcomes.append(outcome("p\(number)", model)) }
            }
            // The newest of a prediction, type and name is the only one.
            var known: Set<String> = []
            outcomes = outcomes.filter { known.insert("\($0.model) \($0.id) \($0.type) \($0.name)").inserted }
            outcomes.shuffle(using: &random)
        }

        private static func number(_ random: inout SeededGenerator) -> Double {
            switch random.next() % 6 {
            case 0: Double.random(in: -1e-9...1e-9, using: &random)
            case 1: Double.random(in: -1e12...1e12, using: &random)
            case 2: 1e160
            default: Double.random(in: -100...100, using: &random)
            }
        }

        private mutating func outcome(_ id: String, _ model: String) -> TestOutcome {
            var outcome = TestOutcome(model: model, id: id)
            outcome.time_ms += Int64(random.next() % 10_000_000)
            if random.next() % 2 == 0 {
                outcome.type = random.next() % 2 == 0 ? .feedback : .outcome
                outcome.name = "n\(random.next() % 140)"
            }
            switch random.next() % 4 {
            case 0: outcome.label = "c\(random.next() % 40)"
            case 1: outcome.number = Self.number(&random)
            case 2: outcome.label = ["true", "no", "up", "bad"][Int(random.next() % 4)]
            default: break
            }
            if random.next() % 2 == 0 {
                outcome.value = Self.number(&random)
                if random.next() % 4 > 0 { outcome.currency = "C\(random.next() % 80)" }
            }
            if random.next() % 3 == 0 { outcome.score = Self.number(&random) }
            return outcome
        }
    }

    /// Names of both models, some of them beyond their caps.
    private static var dictionary: JoinDictionary {
        let models = ["fraud", "iris"].map { name in
            var model = JoinDictionary.Model(name: name)
            for (place, value) in ["all", "r0", "r1", "r2", "other", "missing"].enumerated() {
                let key = SeriesKey(
                    model: 0, version: "1", variant: "champion", environment: "default",
                    sliceKey: place == 0 ? "all" : "region", sliceValue: value)
                model.series[key] = Int64(place)
            }
            for place in 0..<20 { model.classes[ExactText("c\(place * 2)")] = Int64(place + 1) }
            return model
        }
        return JoinDictionary(models)
    }

    @Test(arguments: 1...3 as ClosedRange<UInt64>) func anyOrderPartsAndReaders(seed: UInt64) throws {
        var given = try Case(seed: seed)
        for isOpen in [false, true] {
            func join(_ objects: [[UInt8]], _ outcomes: [TestOutcome], readers: Int, parts: Int) throws -> TestJoin {
                try TestJoin(
                    objects, outcomes, slices: ["region"], dictionary: isOpen ? nil : Self.dictionary, classes: 10,
                    readers: readers, parts: parts)
            }
            let whole = try join(given.objects, given.outcomes, readers: 1, parts: 1)
            #expect(whole.joined.count > 800 && whole.result.repeated.allSatisfy { $0 > 0 })
            #expect(whole.named.count > 300 && whole.outcomes.count > 8)
            let names = Set(whole.result.named.keys.filter { $0.name.model == 1 }.map(\.name.name))
            #expect(names.contains("other") && names.count > 50)
            if !isOpen { #expect(whole.result.newClasses.count > 12) }
            for (readers, parts) in [(1, 5), (2, 1), (3, 2), (5, 7)] {
                let objects = given.objects.shuffled(using: &given.random)
                let outcomes = given.outcomes.shuffled(using: &given.random)
                let other = try join(objects, outcomes, readers: readers, parts: parts)
                whole.expectSame(other, "\(readers) readers, \(parts) parts, open \(isOpen), seed \(seed)")
            }
        }
    }

    @Test(arguments: 1...2 as ClosedRange<UInt64>) func countsAreThoseOfAPlainLoop(seed: UInt64) throws {
        let given = try Case(seed: seed + 100)
        let join = try TestJoin(given.objects, given.outcomes, classes: 1000)
        // Which predictions there are, by rescanning the lines as text, and whether the first line of each failed.
        struct First {
            let place: (String, Int64, Int)
            let failed: Bool
        }
        var ids: [String: First] = [:]
        for object in given.objects {
            let reader = try ObjectReader(object)
            for index in reader.manifest.segments.indices {
                var text: [UInt8] = []
                try reader.read(index) { text.append(contentsOf: $0) }
                let segment = reader.manifest.segments[index]
                for (number, line) in String(decoding: text, as: UTF8.self).split(separator: "\n").enumerated() {
                    func value(_ key: String) -> Substring {
                        line.firstRange(of: "\"\(key)\":\"").map { line[$0.upperBound...].prefix { $0 != "\"" } } ?? ""
                    }
                    let id = "\(value("model_name")) \(value("prediction_id"))"
                    let place = (segment.writer, Int64(segment.seq), number)
                    if let first = ids[id], first.place < place { continue }
                    ids[id] = First(place: place, failed: value("status") == "error")
                }
            }
        }
        let all = given.outcomes.filter { ids["\($0.model) \($0.id)"] != nil }
        #expect(join.joined.count == all.count)
        let joined = all.filter { ids["\($0.model) \($0.id)"]?.failed == false }
        #expect(joined.count < all.count, "some predictions failed")
        for model in ["iris", "fraud"] {
            let mine = joined.filter { $0.model == model }
            let rows = join.result.named.filter { join.dictionary.models[$0.key.name.model] == model }
            #expect(rows.values.reduce(0) { $0 + $1.count } == Int64(mine.count))
            #expect(rows.values.reduce(0) { $0 + $1.scoreCount } == Int64(mine.count { $0.score != nil }))
            // Currencies beyond the cap lose their values, and nothing else does.
            let kept = Set(rows.keys.map(\.name.currency))
            let values = mine.filter { $0.value != nil && kept.contains($0.currency ?? "") }
            #expect(rows.values.reduce(0) { $0 + $1.valueCount } == Int64(values.count))
            func isLabel(_ outcome: TestOutcome) -> Bool {
                outcome.type == .outcome && outcome.name == "label" && (outcome.label != nil || outcome.number != nil)
            }
            let labels = mine.filter(isLabel)
            let labelled = join.outcomes.filter { $0.key.hasPrefix(model) }.values.reduce(0) { $0 + $1.labelled }
            #expect(labelled == Int64(labels.count))
            let failed = join.outcomes.filter { $0.key.hasPrefix(model) }.values.reduce(0) { $0 + $1.failedLabelled }
            #expect(labelled + failed == Int64(all.count { $0.model == model && isLabel($0) }))
        }
    }
}
