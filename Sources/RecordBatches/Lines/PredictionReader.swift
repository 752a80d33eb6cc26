internal import EventModel
internal import EventSegments

/// Hands out the predictions of objects' segments as the loader reads them, with their raw lines.
///
/// One thread at a time.
package final class PredictionReader {
    private let mappings: [String: CompiledMapping]
    private let parser = JSONParser()
    private let decoder = EventDecoder()
    private let splitter = LineSplitter()
    private let table = NameTable()

    package init(mappings: [Mapping] = []) {
        self.mappings = Dictionary(
            mappings.map { ($0.name, CompiledMapping($0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// Names by the numbers that ``EventView`` hands out.
    package var names: [String] { table.names }

    /// Reads one segment of an object.
    ///
    /// - Parameter body: takes each prediction that counts, its line's number from 1 and its raw bytes; all are valid only
    ///   during the call.
    /// - Throws: ``ObjectError`` where anything differs from the manifest: then nothing that was handed out counts.
    package func read(
        _ object: ObjectReader, segment index: Int,
        _ body: (_ event: EventView, _ line: Int, _ raw: UnsafeBufferPointer<UInt8>) -> Void
    ) throws(ObjectError) {
        let segment = object.manifest.segments[index]
        let window = TimeWindow(sealed_ms: segment.sealed_ms, replay: segment.replay)
        let mapping = mappings[segment.format]
        guard mapping != nil || segment.format == Manifest.nativeFormat else { return }
        let view = EventView(decoder, table)
        var line = 0
        func take(_ start: UnsafePointer<UInt8>, _ count: Int, _ ending: LineSplitter.Ending) {
            line += 1
            guard ending == .newline, let root = try? parser.parse(start, count: count) else { return }
            do throws(Fault) {
                if let mapping {
                    try decoder.decode(root, by: mapping, in: window)
                } else {
                    try decoder.decode(root, in: window)
                }
            } catch {
                return
            }
            if decoder.type == .prediction { body(view, line, UnsafeBufferPointer(start: start, count: count)) }
        }
        splitter.reset()
        try object.read(index) { piece in splitter.append(piece, take) }
        splitter.finish(take)
    }
}
