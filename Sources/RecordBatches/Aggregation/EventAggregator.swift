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
    /// Takes rows (without segments) that would be too many to hold; nil holds all of them.
    ///
    /// An object's rows are those that it took, and those that ``end()`` returns, merged.
    package var overflow: ((Aggregates) throws -> Void)?

    /// Edge sets that hours of the object at hand are on and that the configuration's references lack; the rows of these
    /// hours must not be used.
    package var missingEdgeSets: Set<Int32> { collector.missingEdgeSets }

    /// Most hours of events, by segment and type, of one object.
    private let mostHours: Int

    // The object at hand.
    private var finishedHours = 0
    private var early: Aggregates?
    private var results: [SegmentResult] = []
    private var proof: SegmentProof?

    /// - Parameters:
    ///   - mappings: foreign logs' mappings; their names must differ.
    ///   - collectorBytes: how much memory counts may take before they become rows, and rows before they overflow.
    ///   - mostHours: an object of events in more hours, by segment and type, is refused; 500,000 are 57 years.
    package init(
        _ configuration: AggregationConfiguration = .init(), mappings: [Mapping] = [],
        collectorBytes: Int = 96 << 20, mostHours: Int = 500_000
    ) {
        self.configuration = configuration
        self.mostHours = mostHours
        self.collectorBytes = collectorBytes
        collector = Collector(configuration)
        self.mappings = Dictionary(
            mappings.map { ($0.name, CompiledMapping($0)) }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: Piece by piece

    /// Starts an object, and forgets what was begun before.
    package func begin() {
        collector.reset()
        collector.missingEdgeSets = []
        early = nil
        results = []
        finishedHours = 0
        proof = nil
    }

    /// Starts a segment of the object; its frame goes to ``append(_:)``.
    ///
    /// - Parameter place: the segment's place in the manifest.
    /// - Returns: false where its mapping is not known: then it is `pending`, and nothing may be appended.
    package func begin(_ segment: Manifest.Segment, at place: Int) -> Bool {
        guard parser(for: segment, at: place) != nil else {
            results.append(SegmentResult(segment: segment, state: .pending))
            return false
        }
        proof = SegmentProof(segment)
        return true
    }

    /// Takes the next bytes of the segment's frame, in pieces of any size.
    ///
    /// - Throws: ``ObjectError`` where it is not what its manifest says, and what ``overflow`` throws: then nothing of the
    ///   object counts.
    package func append(_ compressed: UnsafeRawBufferPointer) throws {
        guard let parser, let proof else { return }
        try proof.append(compressed) { try take($0, parser) }
    }

    /// Ends the segment.
    ///
    /// - Throws: as ``append(_:)``.
    package func endSegment() throws {
        guard let parser, let proof else { return }
        try proof.finish { try take($0, parser) }
        self.proof = nil
        results.append(parser.finish())
        finishedHours += parser.hours
    }

    /// Ends the object: its rows, and an entry for each segment that was begun.
    package func end() throws -> Aggregates {
        if let early, let overflow, early.memory > collectorBytes / 2 {
            self.early = nil
            try overflow(early)
        }
        return finish()
    }

    private func finish() -> Aggregates {
        var rows = early ?? Aggregates()
        let rest = collector.drain()
        if early == nil {
            rows = rest
        } else {
            rows.merge(rest)
            rows = rows.limited(by: configuration)
        }
        rows.segments = results
        early = nil
        results = []
        return rows
    }

    // MARK: Whole

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
        do {
            begin()
            for (index, segment) in reader.manifest.segments.enumerated() where isWanted(segment) {
                guard begin(segment, at: index) else { continue }
                try reader.frame(index) { try append($0) }
                try endSegment()
            }
            return try end()
        } catch let error as ObjectError {
            throw error
        } catch {
            throw ObjectError(.content, "\(error)")
        }
    }

    /// Aggregates one segment's raw bytes that are in no object, for trials and tests.
    ///
    /// - Parameters:
    ///   - segment: what a manifest would say; sizes and hashes are not compared.
    ///   - bytes: hands the raw bytes to its argument, in pieces of any size.
    package func aggregate(
        segment: Manifest.Segment, _ bytes: ((UnsafeRawBufferPointer) -> Void) throws -> Void
    ) rethrows -> Aggregates {
        begin()
        if let parser = parser(for: segment, at: 0) {
            try bytes { piece in
                parser.append(piece)
                if collector.bytes > collectorBytes { drain() }
            }
            results.append(parser.finish())
        } else {
            results.append(SegmentResult(segment: segment, state: .pending))
        }
        return finish()
    }

    // MARK: Within

    /// Prepares for a segment's bytes; nil where its mapping is not known.
    private func parser(for segment: Manifest.Segment, at place: Int) -> SegmentParser<Collector>? {
        let mapping = mappings[segment.format]
        guard segment.format == Manifest.nativeFormat || mapping != nil else { return nil }
        let parser = parser ?? SegmentParser(sink: collector, first: segment)
        self.parser = parser
        parser.begin(
            segment, at: results.count, mapping: segment.format == Manifest.nativeFormat ? nil : mapping,
            keptRejects: RejectLine.kept(inSegmentAt: place))
        collector.begin(sealed_ms: segment.sealed_ms)
        return parser
    }

    @inline(__always)
    private func take(_ piece: UnsafeRawBufferPointer, _ parser: SegmentParser<Collector>) throws {
        parser.append(piece)
        if collector.bytes > collectorBytes {
            drain()
            if let overflow, let full = early, full.memory > collectorBytes {
                early = nil
                try overflow(full)
            }
        }
        guard finishedHours + parser.hours <= mostHours else {
            throw ObjectError(.content, "it has lines of over \(mostHours) hours and types, as no service writes")
        }
    }

    private func drain() {
        let minutesFrom_ms = collector.state.pointee.minutesFrom_ms
        let rows = collector.drain()
        collector.state.pointee.minutesFrom_ms = minutesFrom_ms
        if early?.merge(rows) == nil { early = rows }
        early = early?.limited(by: configuration)
    }
}
