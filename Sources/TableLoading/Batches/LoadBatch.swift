package import EventSegments
package import RecordBatches

/// What one transaction will add: aggregates of several objects, and the segments that add nothing.
package struct LoadBatch: Sendable {
    /// An object of the batch.
    package struct Object: Sendable {
        package let claim: ObjectClaims.Claim
        package let manifest: Manifest
    }

    /// A segment that was not aggregated.
    package struct Left: Sendable {
        package enum State: String, Sendable { case duplicate, conflict }
        package let object: Int64
        package let segment: Manifest.Segment
        package let state: State
    }

    /// A segment's place in its writer's numbers.
    package struct Place: Hashable, Sendable {
        package let writer: String
        package let seq: Int

        package init(_ segment: Manifest.Segment) {
            writer = segment.writer
            seq = segment.seq
        }

        init(writer: String, seq: Int) {
            self.writer = writer
            self.seq = seq
        }
    }

    package private(set) var objects: [Object] = []
    package private(set) var aggregates = Aggregates()
    /// The object of each of ``aggregates``' segments.
    package private(set) var segmentObjects: [Int64] = []
    package private(set) var left: [Left] = []
    /// Bytes before compression.
    package private(set) var rawBytes = 0

    package init() {}

    /// Adds one object's part.
    package mutating func add(_ object: Object, _ part: Aggregates, left: [Left]) {
        objects.append(object)
        segmentObjects += [Int64](repeating: object.claim.objectID, count: part.segments.count)
        rawBytes += object.manifest.segments.reduce(0) { $0 + $1.rawBytes }
        aggregates.merge(part)
        self.left += left
    }

    /// Whether it should be committed now.
    package func isFull(_ limits: LoadSettings.BatchLimits) -> Bool {
        objects.count >= limits.objects || rawBytes >= limits.rawBytes || aggregates.lines >= limits.lines
            || aggregates.requestMinutes.count + aggregates.featureHours.count + aggregates.scoreHours.count
                + aggregates.outcomes.count >= limits.rows
    }

    /// Begins of all hours whose rows it changes, milliseconds since the epoch.
    var hours_ms: Set<Int64> {
        var hours: Set<Int64> = []
        for key in aggregates.requestHours.keys { hours.insert(key.time_s * 1000) }
        for key in aggregates.featureHours.keys { hours.insert(key.time_s * 1000) }
        for key in aggregates.scoreHours.keys { hours.insert(key.time_s * 1000) }
        for key in aggregates.resourceHours.keys { hours.insert(key.time_s * 1000) }
        return hours
    }
}
