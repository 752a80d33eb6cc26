internal import EventModel
package import EventSegments

/// Turns objects into aggregates: the whole way from an object's bytes to what is added to the tables.
///
/// A pure function of the object, the mappings and the configuration. One aggregator is for one thread at a time and is
/// worth keeping: its parser holds some 15 MB of address space.
package final class EventAggregator {
    /// What aggregation depends on.
    package let configuration: AggregationConfiguration
    private let collector: Collector
    private let mappings: [String: CompiledMapping]
    private var parser: SegmentParser<Collector>?
    /// When the collector takes more than this, in bytes, its rows are made early.
    private let collectorBytes: Int

    /// - Parameters:
    ///   - mappings: foreign logs' mappings; their names must differ.
    ///   - collectorBytes: how much memory counts may take before they become rows.
    package init(
        _ configuration: AggregationConfiguration = .init(), mappings: [Mapping] = [], collectorBytes: Int = 96 << 20
    ) {
        self.configuration = configuration
        self.collectorBytes = collectorBytes
        collector = Collector(configuration)
        self.mappings = Dictionary(
            mappings.map { ($0.name, CompiledMapping($0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// Aggregates an object.
    ///
    /// - Parameters:
    ///   - object: its bytes.
    ///   - isWanted: whether a segment is to be read. The others (duplicates, conflicts) have no entry in
    ///     ``Aggregates/segments``.
    /// - Returns: the rows, and an entry for each wanted segment; one whose mapping is not known is `pending`.
    /// - Throws: ``ObjectError`` where anything differs from the manifest: then nothing counts.
    package func aggregate(
        _ object: [UInt8], where isWanted: (Manifest.Segment) -> Bool = { _ in true }
    ) throws(ObjectError) -> Aggregates {
        try aggregate(ObjectReader(object), where: isWanted)
    }

    /// Aggregates an object whose manifest has been read.
    ///
    /// See `aggregate(_:where:)` above.
    package func aggregate(
        _ reader: ObjectReader, where isWanted: (Manifest.Segment) -> Bool = { _ in true }
    ) throws(ObjectError) -> Aggregates {
        collector.reset()
        var early: Aggregates?
        var results: [SegmentResult] = []
        for (index, segment) in reader.manifest.segments.enumerated() where isWanted(segment) {
            guard let parser = begin(segment, at: results.count) else {
                results.append(SegmentResult(segment: segment, state: .pending))
                continue
            }
            try reader.read(index) { piece in
                parser.append(piece)
                if collector.bytes > collectorBytes { drain(into: &early) }
            }
            results.append(parser.finish())
        }
        return finish(early, results)
    }

    /// Aggregates one segment's raw bytes that are in no object, for trials and tests.
    ///
    /// - Parameters:
    ///   - segment: what a manifest would say; sizes and hashes are not compared.
    ///   - bytes: hands the raw bytes to its argument, in pieces of any size.
    package func aggregate(
        segment: Manifest.Segment, _ bytes: ((UnsafeRawBufferPointer) -> Void) throws -> Void
    ) rethrows -> Aggregates {
        collector.reset()
        var early: Aggregates?
        guard let parser = begin(segment, at: 0) else {
            return finish(nil, [SegmentResult(segment: segment, state: .pending)])
        }
        try bytes { piece in
            parser.append(piece)
            if collector.bytes > collectorBytes { drain(into: &early) }
        }
        return finish(early, [parser.finish()])
    }

    /// Prepares for a segment's bytes; nil where its mapping is not known.
    private func begin(_ segment: Manifest.Segment, at place: Int) -> SegmentParser<Collector>? {
        let mapping = mappings[segment.format]
        guard segment.format == Manifest.nativeFormat || mapping != nil else { return nil }
        let parser = parser ?? SegmentParser(sink: collector, first: segment)
        self.parser = parser
        parser.begin(segment, at: place, mapping: segment.format == Manifest.nativeFormat ? nil : mapping)
        collector.begin(sealed_ms: segment.sealed_ms)
        return parser
    }

    private func drain(into early: inout Aggregates?) {
        let minutesFrom_ms = collector.state.pointee.minutesFrom_ms
        let rows = collector.drain()
        collector.state.pointee.minutesFrom_ms = minutesFrom_ms
        if early?.merge(rows) == nil { early = rows }
        early = early?.limited(by: configuration)
    }

    private func finish(_ early: Aggregates?, _ results: [SegmentResult]) -> Aggregates {
        var rows = early ?? Aggregates()
        let rest = collector.drain()
        if early == nil {
            rows = rest
        } else {
            rows.merge(rest)
            rows = rows.limited(by: configuration)
        }
        rows.segments = results
        return rows
    }
}
