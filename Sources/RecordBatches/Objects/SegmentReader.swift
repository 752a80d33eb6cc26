internal import EventModel
internal import EventSegments

/// Reads segments into a sink: each frame is proven on its way, its lines are parsed, those of foreign logs by their mapping.
///
/// One thread at a time.
final class SegmentReader<Sink: EventSink> {
    let sink: Sink
    private let mappings: [String: CompiledMapping]
    private var parser: SegmentParser<Sink>?
    private var proof: SegmentProof?

    init(_ sink: Sink, mappings: [Mapping]) {
        self.sink = sink
        self.mappings = Dictionary(
            mappings.map { ($0.name, CompiledMapping($0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// Starts a segment of an object; its frame goes to ``append(_:)``.
    ///
    /// - Returns: false where its mapping is not known: then nothing may be appended.
    func begin(_ segment: Manifest.Segment) -> Bool {
        let mapping = mappings[segment.format]
        guard segment.format == Manifest.nativeFormat || mapping != nil else { return false }
        let parser = parser ?? SegmentParser(sink: sink, first: segment)
        self.parser = parser
        parser.begin(
            segment, at: 0, mapping: segment.format == Manifest.nativeFormat ? nil : mapping, keptRejects: 0)
        proof = SegmentProof(segment)
        return true
    }

    /// Takes the next bytes of the segment's frame, in pieces of any size.
    ///
    /// - Throws: ``ObjectError`` where it is not what its manifest says.
    func append(_ compressed: UnsafeRawBufferPointer) throws {
        guard let parser, let proof else { return }
        try proof.append(compressed) { parser.append($0) }
    }

    /// Ends the segment.
    ///
    /// - Throws: as ``append(_:)``.
    func endSegment() throws {
        guard let parser, let proof else { return }
        try proof.finish { parser.append($0) }
        self.proof = nil
        _ = parser.finish()
    }

    /// Gives up the segment that was begun.
    func dropSegment() { proof = nil }
}
