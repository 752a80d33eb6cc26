internal import EventSegments
package import ObjectStorage
package import RecordBatches
package import TableStorage

/// Reads the predictions of a model and a range of event time again from the bucket, as the ledger says they were loaded.
///
/// Objects are read one after the other, ordered by key; memory holds one of them.
package struct RangePredictions: Sendable {
    /// What was read.
    package struct Summary: Sendable {
        /// Objects that were read.
        package var objects = 0
        /// The model's predictions in the range.
        package var predictions = 0
        /// Objects that could not be read, with the reason.
        package var unread: [(key: String, reason: String)] = []
    }

    /// Where a line is.
    package struct Place: Sendable, Hashable {
        package var writer: String
        package var seq: Int
        /// From 1.
        package var line: Int

        package init(writer: String, seq: Int, line: Int) {
            self.writer = writer
            self.seq = seq
            self.line = line
        }
    }

    let store: any ObjectStore
    let database: DatabaseThread
    let mappings: [Mapping]
    let progress: @Sendable (String) -> Void

    /// Objects asked for in one statement.
    static let page: Int64 = 500

    package init(
        store: any ObjectStore, database: DatabaseThread, mappings: [Mapping],
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.store = store
        self.database = database
        self.mappings = mappings
        self.progress = progress
    }

    /// Reads.
    ///
    /// - Parameters:
    ///   - range: milliseconds since the epoch.
    ///   - body: takes each prediction, which is valid only during the call, of objects that are what was loaded.
    /// - Throws: ``LoadError`` with ``LoadError/Code/configuration`` for a mapping that is missing; `StorageError`,
    ///   ``DatabaseError``. An object that is gone or altered is named in the summary.
    package func forEach(
        model: String, _ range: Range<Int64>,
        _ body: (_ event: EventView, _ place: Place, _ raw: UnsafeBufferPointer<UInt8>, _ reader: PredictionReader) ->
            Void
    ) async throws -> Summary {
        var summary = Summary()
        let reader = PredictionReader(mappings: mappings)
        let formats = Set(mappings.map(\.name))
        var last = ""
        while true {
            let segments = try await segments(range, after: last)
            if segments.isEmpty { return summary }
            for (key, wanted) in Dictionary(grouping: segments, by: \.key).sorted(by: { $0.key < $1.key }) {
                last = Swift.max(last, key)
                do {
                    try await HourSources.read(wanted, store: store, formats: formats) { object, _, places, _ in
                        // What is read counts only once it is proven, and whoever takes it cannot give it back.
                        for place in places { try object.read(place) { _ in } }
                        for place in places {
                            let segment = object.manifest.segments[place]
                            try reader.read(object, segment: place) { event, line, raw in
                                guard range.contains(event.time_ms), event.isModel(model) else { return }
                                summary.predictions += 1
                                body(event, Place(writer: segment.writer, seq: segment.seq, line: line), raw, reader)
                            }
                        }
                    }
                    summary.objects += 1
                } catch let error as LoadError where error.code == .closedHour || error.code == .altered {
                    summary.unread.append((key, error.message))
                } catch let error as ObjectError {
                    summary.unread.append((key, error.description))
                }
                progress("\(summary.objects) objects, \(summary.predictions) predictions")
            }
        }
    }

    /// The loaded segments with predictions in the range, of the next objects by key.
    private func segments(_ range: Range<Int64>, after key: String) async throws -> [HourSources.Segment] {
        try await database.runWithRetries { connection in
            let keys = try connection.query(
                """
                SELECT DISTINCT o.object_key, o.object_id
                FROM nadi_store.segment_hour AS h JOIN nadi_store.segment AS s USING (segment_id, object_sealed_at)
                JOIN nadi_store.object AS o ON o.object_id = s.object_id AND o.sealed_at = s.object_sealed_at
                WHERE h.hour >= $1 AND h.hour < $2 AND h.event_type = 'prediction' AND s.state = 'loaded'
                  AND o.object_key > $3
                ORDER BY 1 LIMIT \(Self.page)
                """, [.time(LoadClock.hour(range.lowerBound)), .time(range.upperBound), .text(key)]
            ).rows
            if keys.isEmpty { return [] }
            return try HourSources.segments(objects: keys.map { $0.integer(1) }, connection)
        }
    }
}
