internal import EventSegments
internal import Sketches

/// Puts together what the readers of a join found: of several lines with one prediction id the first by writer, segment and
/// line counts, whatever the order in which objects were read and by how many readers.
package final class JoinTally {
    private let table: OutcomeTable
    private let dictionary: JoinDictionary
    private let sinks: [JoinSink]
    /// By the prediction's number the place of its find among those of all readers, ``none`` for none.
    private let chosen: UnsafeMutablePointer<UInt32>
    private static let none = UInt32.max
    /// Where each reader's finds begin.
    private var begins: [Int] = []
    private var repeated: [Int64]

    /// - Parameter readers: those that have read all objects of the hours, each object by one of them; at least one.
    package init(_ readers: [JoinReader], _ table: OutcomeTable, _ dictionary: JoinDictionary) {
        self.table = table
        self.dictionary = dictionary
        sinks = readers.map(\.sink)
        chosen = .allocate(capacity: max(1, table.keys))
        chosen.initialize(repeating: Self.none, count: max(1, table.keys))
        repeated = [Int64](repeating: 0, count: table.models.count)
        choose()
    }

    deinit { chosen.deallocate() }

    /// Bytes that a prediction's find, and its places in the readers and in a tally, take at most, for a budget.
    package static func bytesPerPrediction(slices: Int, readers: Int) -> Int {
        JoinFinds.stride(series: 1 + slices) + 4 * (1 + readers)
    }

    private func choose() {
        let ranks = Self.ranks(sinks)
        var begin = 0
        for (reader, sink) in sinks.enumerated() {
            begins.append(begin)
            for (model, count) in sink.repeated.enumerated() { repeated[model] += count }
            for place in 0..<sink.finds.count {
                let find = sink.finds.find(place)
                let key = Int(find.key)
                if chosen[key] == Self.none {
                    chosen[key] = UInt32(truncatingIfNeeded: begin + place)
                    continue
                }
                let other = position(Int(chosen[key]), ranks)
                if (ranks[reader][Int(find.segment)], find.line) < other {
                    chosen[key] = UInt32(truncatingIfNeeded: begin + place)
                }
                repeated[Int(table.record(find.outcome).header.model)] += 1
            }
            begin += sink.finds.count
        }
    }

    private func position(_ place: Int, _ ranks: [[UInt32]]) -> (UInt32, UInt32) {
        let reader = begins.lastIndex { $0 <= place } ?? 0
        let find = sinks[reader].finds.find(place - begins[reader])
        return (ranks[reader][Int(find.segment)], find.line)
    }

    /// The order of each reader's segments among all, by writer and number.
    private static func ranks(_ sinks: [JoinSink]) -> [[UInt32]] {
        var all: [(reader: Int, place: Int)] = []
        for (reader, sink) in sinks.enumerated() { all += sink.segments.indices.map { (reader, $0) } }
        all.sort { left, right in
            JoinSink.comesBefore(sinks[left.reader].segments[left.place], sinks[right.reader].segments[right.place])
        }
        var ranks = sinks.map { [UInt32](repeating: 0, count: $0.segments.count) }
        for (rank, entry) in all.enumerated() { ranks[entry.reader][entry.place] = UInt32(truncatingIfNeeded: rank) }
        return ranks
    }

    /// Counts what joined.
    ///
    /// - Parameter classes: most new classes of one model.
    package func result(classes: Int) -> JoinResult {
        var result = JoinResult(models: table.models.count)
        result.repeated = repeated
        let counter = OutcomeCounter(table, dictionary, classes: classes)
        let names = NamedCounter(table, series: dictionary.seriesCount)
        for (reader, sink) in sinks.enumerated() {
            let finds = sink.finds
            for place in 0..<finds.count {
                let find = finds.find(place)
                guard Int(chosen[Int(find.key)]) == begins[reader] + place else { continue }
                let series = UnsafeBufferPointer(start: finds.seriesNumbers(place), count: finds.series)
                var next = find.outcome
                while next != 0 {
                    let outcome = table.record(next)
                    let header = outcome.header
                    result.joinedCounts[Int(header.model)] += 1
                    // What follows a failure is that of what stood in for it.
                    if !find.flags.contains(.isFailed) { names.add(outcome, header, to: series) }
                    if header.flags.contains(.isLabel) { counter.add(find, outcome, header, to: series) }
                    next = header.next
                }
            }
        }
        counter.finish(&result)
        names.finish(&result)
        return result
    }

    /// Visits all outcomes by their model and what the caller calls them; `time_ms` is the prediction's time, nil where none
    /// was found.
    package func forEach(_ body: (_ model: Int, _ number: Int64, _ time_ms: Int64?) -> Void) {
        table.forEach { record in
            let header = record.header
            let place = chosen[Int(header.key)]
            if place == Self.none {
                body(Int(header.model), header.number, nil)
            } else {
                let reader = begins.lastIndex { $0 <= Int(place) } ?? 0
                let find = sinks[reader].finds.find(Int(place) - begins[reader])
                body(Int(header.model), header.number, find.time_ms)
            }
        }
    }
}
