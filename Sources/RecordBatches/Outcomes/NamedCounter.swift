internal import Sketches

/// Counts outcomes and feedback of every name, by series.
///
/// Names come as they are in the data: those beyond the cap are put under `other` while counting, so that memory does not
/// depend on how many there are.
final class NamedCounter {
    /// The counts of one name, by series.
    private final class Kind {
        let name: OutcomeName
        /// The place in ``counts`` of each series, -1 for none.
        var places: [Int32]
        var series: [Int32] = []
        var counts: [NamedOutcomeCounts] = []
        /// Where the name counts now: behind the cap under another.
        var target: Kind?
        /// Amounts of different currencies have no sum.
        let hasValues: Bool

        init(_ name: OutcomeName, series: Int) {
            self.name = name
            places = [Int32](repeating: -1, count: series)
            hasValues = !ExactText.same(name.currency, SliceName.other)
        }

        var current: Kind {
            var kind = self
            while let next = kind.target { kind = next }
            return kind
        }

        @inline(__always)
        func place(_ number: Int32) -> Int {
            let known = places[Int(number)]
            if known >= 0 { return Int(known) }
            places[Int(number)] = Int32(truncatingIfNeeded: counts.count)
            series.append(number)
            counts.append(NamedOutcomeCounts())
            return counts.count - 1
        }

        /// Counts under another name from now on.
        func move(to other: Kind) {
            for (number, counts) in zip(series, counts) {
                var counts = counts
                if !other.hasValues { counts.dropValues() }
                let place = other.place(number)
                other.counts[place].merge(counts)
            }
            target = other
            (places, series, counts) = ([], [], [])
        }
    }

    private let table: OutcomeTable
    private let seriesCount: Int
    /// By the outcome's shape.
    private var byShape: [Kind?]
    private var kinds: [OutcomeName: Kind] = [:]
    /// By model: names of outcomes, names of feedback, currencies.
    private var caps: [[CappedNames]]

    init(_ table: OutcomeTable, series: Int) {
        self.table = table
        seriesCount = series
        byShape = [Kind?](repeating: nil, count: table.shapes.count)
        let none = [CappedNames](repeating: CappedNames(OutcomeName.most), count: 3)
        caps = [[CappedNames]](repeating: none, count: table.models.count)
    }

    func add(_ outcome: OutcomeRecord, _ header: OutcomeRecord.Header, to series: UnsafeBufferPointer<Int32>) {
        let kind = kind(Int(header.shape))
        let value = kind.hasValues ? outcome.value : nil
        let score = outcome.score
        for number in series where number >= 0 {
            let place = kind.place(number)
            kind.counts[place].count &+= 1
            if header.flags.contains(.positive) { kind.counts[place].positive &+= 1 }
            if header.flags.contains(.negative) { kind.counts[place].negative &+= 1 }
            if let value {
                kind.counts[place].valueCount &+= 1
                kind.counts[place].value.add(value)
                kind.counts[place].valueSquare.add(value.finiteSquare)
            }
            if let score {
                kind.counts[place].scoreCount &+= 1
                kind.counts[place].score.add(score)
                kind.counts[place].scoreSquare.add(score.finiteSquare)
            }
        }
    }

    @inline(__always)
    private func kind(_ shape: Int) -> Kind {
        if let kind = byShape[shape] {
            if kind.target == nil { return kind }
            let current = kind.current
            byShape[shape] = current
            return current
        }
        return meet(shape)
    }

    /// A shape that comes for the first time.
    @inline(never)
    private func meet(_ shape: Int) -> Kind {
        var name = table.shapes[shape].name
        let cap = name.type == .feedback ? 1 : 0
        if !name.isLabel, !ExactText.same(name.name, SliceName.other),
            !caps[name.model][cap].admit(ExactText(name.name))
        {
            name.name = SliceName.other
        }
        if !name.currency.isEmpty, !caps[name.model][2].admit(ExactText(name.currency)) {
            name.currency = SliceName.other
        }
        let kind = kind(named: name)
        byShape[shape] = kind
        if caps[name.model][cap].isFull || caps[name.model][2].isFull { cut(name.model) }
        return kind.current
    }

    private func kind(named name: OutcomeName) -> Kind {
        if let known = kinds[name] { return known }
        let kind = Kind(name, series: seriesCount)
        kinds[name] = kind
        return kind
    }

    /// Puts a model's names beyond the cap under `other`.
    private func cut(_ model: Int) {
        let gone = (0..<3).map { Set(caps[model][$0].cut()) }
        for (name, kind) in kinds where name.model == model {
            var target = name
            if !name.isLabel, gone[name.type == .feedback ? 1 : 0].contains(ExactText(name.name)) {
                target.name = SliceName.other
            }
            if gone[2].contains(ExactText(name.currency)) { target.currency = SliceName.other }
            if target == name { continue }
            kinds[name] = nil
            kind.move(to: self.kind(named: target))
        }
    }

    func finish(_ result: inout JoinResult) {
        for model in caps.indices { cut(model) }
        for (name, kind) in kinds {
            for (number, counts) in zip(kind.series, kind.counts) {
                result.named[.init(series: Int(number), name: name)] = counts
            }
        }
    }
}
