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
    /// Rows beside ``aggregates``, of an object that has too many to hold: then the batch's only one.
    package private(set) var overflow: OverflowRows?
    /// Bytes before compression.
    package private(set) var rawBytes = 0
    /// At least the memory of ``aggregates``, in bytes.
    private var memory = 0

    package init() {}

    /// Adds one object's part.
    package mutating func add(_ object: Object, _ part: Aggregates, left: [Left], overflow: OverflowRows? = nil) {
        precondition(overflow == nil || objects.isEmpty, "an object with rows in a file is a batch of its own")
        self.overflow = overflow
        objects.append(object)
        segmentObjects += [Int64](repeating: object.claim.objectID, count: part.segments.count)
        rawBytes += object.manifest.segments.reduce(0) { $0 + $1.rawBytes }
        memory += part.memory
        if aggregates.segments.isEmpty { aggregates = part } else { aggregates.merge(part) }
        self.left += left
    }

    /// Whether it should be committed now.
    package mutating func isFull(_ limits: LoadSettings.BatchLimits) -> Bool {
        // Parts have rows in common: their sum says too much, until it is measured.
        let most = limits.memoryBytes * 3 / 8
        if memory >= most { memory = aggregates.memory }
        return overflow != nil || memory >= most || objects.count >= limits.objects
            || rawBytes >= limits.rawBytes || aggregates.lines >= limits.lines
            || aggregates.requestMinutes.count + aggregates.featureHours.count + aggregates.scoreHours.count
                + aggregates.outcomes.count >= limits.rows
    }

    /// Begins of all hours whose rows it changes, milliseconds since the epoch.
    var hours_ms: Set<Int64> { aggregates.hours_ms.union(overflow?.hours_ms ?? []) }
}
