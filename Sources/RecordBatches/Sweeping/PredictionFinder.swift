internal import EventModel
package import EventSegments

/// Reads objects and finds which of their predictions of one hour somebody waits for.
///
/// One thread at a time. Several finders may share their ids.
package final class PredictionFinder: @unchecked Sendable {
    /// A prediction that somebody waits for.
    package struct Found: Hashable, Sendable {
        /// The number that stands for its model.
        package let model: Int64
        package let predictionID: String
    }

    private let reader: SegmentReader<FinderSink>
    private var sink: FinderSink { reader.sink }

    /// - Parameters:
    ///   - hour_s: begin of the hour, in seconds since the epoch; other predictions are passed over.
    package init(_ ids: PredictionIDs, hour_s: Int64, mappings: [Mapping] = []) {
        reader = SegmentReader(FinderSink(ids, hour_s: hour_s), mappings: mappings)
    }

    /// Starts a segment of an object; its frame goes to ``append(_:)``.
    ///
    /// - Returns: false where its mapping is not known: then nothing may be appended.
    package func begin(_ segment: Manifest.Segment) -> Bool { reader.begin(segment) }

    /// Takes the next bytes of the segment's frame, in pieces of any size.
    ///
    /// - Throws: ``ObjectError`` where it is not what its manifest says.
    package func append(_ compressed: UnsafeRawBufferPointer) throws { try reader.append(compressed) }

    /// Ends the segment.
    ///
    /// - Throws: as ``append(_:)``.
    package func endSegment() throws { try reader.endSegment() }

    /// Ends the object: what was found since the last.
    package func endObject() -> [Found] {
        defer { sink.found = [] }
        return sink.found.map(\.prediction)
    }

    /// Gives the object up, which was cut off or altered: what was found in it is waited for again.
    package func dropObject() {
        reader.dropSegment()
        for one in sink.found { sink.ids.giveBack(one.number) }
        sink.found = []
    }
}

/// Looks up the ids of predictions.
private final class FinderSink: EventSink {
    let ids: PredictionIDs
    var found: [(prediction: PredictionFinder.Found, number: UInt64)] = []
    private let hour_s: Int64
    private var names = ByteTable()
    /// Numbers of models by their place in ``names``.
    private var numbers: [Int64] = []

    init(_ ids: PredictionIDs, hour_s: Int64) {
        self.ids = ids
        self.hour_s = hour_s
        for (name, number) in ids.models {
            var bytes = Array(name.utf8) + [UInt8](repeating: 0, count: 8)
            bytes.withUnsafeMutableBufferPointer { buffer in
                guard let start = buffer.baseAddress else { return }
                if names.intern(TextBytes(start: UnsafePointer(start), count: buffer.count - 8)) == numbers.count {
                    numbers.append(number)
                }
            }
        }
    }

    deinit { names.destroy() }

    func take(_ event: EventDecoder, segment: Int, line: Int) {
        guard event.type == .prediction, Period.hour(ofMs: event.time_ms) == hour_s, let name = event.text(.modelName),
            let place = names.find(name), let id = event.text(.predictionID) ?? event.text(.id),
            id.count <= EventDecoder.nameBytes
        else { return }
        let model = numbers[place]
        let number = PredictionIDs.number(model, id)
        if ids.take(number) { found.append((.init(model: model, predictionID: id.string), number)) }
    }
}
