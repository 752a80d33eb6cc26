package import EventSegments

/// Joins waiting outcomes with the predictions of some hours, by reading these hours' objects again: for outcomes that are
/// few enough to be values, on one thread.
///
/// Of several lines with one prediction id the first by writer, segment and line joins, whatever the order in which
/// objects are read. The outcomes must be the newest of their prediction, type and name, as the database holds them.
package final class OutcomeJoiner {
    private let table: OutcomeTable
    private let reader: JoinReader
    /// What the results' numbers stand for.
    package let dictionary: JoinDictionary

    /// - Parameters:
    ///   - outcomes: what waits, and what has joined these hours before: an hour's rows are made anew.
    ///   - hours: begins of the hours to be joined, in seconds since the epoch; other predictions are passed over.
    ///   - configuration: which tags are slices; hours are those of the argument.
    package init(
        _ outcomes: [WaitingOutcome], hours: Set<Int64>, configuration: AggregationConfiguration = .init(),
        mappings: [Mapping] = []
    ) {
        table = OutcomeTable(outcomes)
        dictionary = JoinDictionary(open: table.models)
        reader = JoinReader(
            table, dictionary, hours: hours, slices: configuration.slices, mappings: mappings)
    }

    /// Reads an object.
    ///
    /// Each segment must be read once: give `isWanted` what the ledger says is loaded.
    ///
    /// - Throws: ``ObjectError`` where anything differs from the manifest: then nothing of this object counts.
    package func add(
        _ object: [UInt8], where isWanted: (Manifest.Segment) -> Bool = { _ in true }
    ) throws(ObjectError) {
        let object = try ObjectReader(object)
        reader.beginObject()
        do {
            for (index, segment) in object.manifest.segments.enumerated() where isWanted(segment) {
                guard reader.begin(segment) else { continue }
                try object.frame(index) { try reader.append($0) }
                try reader.endSegment()
            }
        } catch {
            reader.dropObject()
            throw error as? ObjectError ?? ObjectError(.content, "\(error)")
        }
    }

    /// What joined in all objects read so far.
    package func result() -> JoinResult {
        let tally = JoinTally([reader], table, dictionary)
        var result = tally.result(classes: .max)
        tally.forEach { _, number, time_ms in
            guard let time_ms else { return }
            result.joined.append(.init(outcome: Int(number), hour_s: Period.hour(ofMs: time_ms)))
        }
        return result
    }
}
