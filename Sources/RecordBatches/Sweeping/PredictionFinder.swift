internal import EventModel
internal import EventSegments

/// Finds which of many prediction ids are those of predictions in objects.
///
/// Holds 64 bits of a hash for each id, 16 to 32 bytes in all: what it finds is compared with the ids themselves by whoever
/// has them. An id is found once; one of 10^12 is taken for another's.
///
/// One thread at a time.
package final class PredictionFinder {
    /// A prediction that somebody waits for.
    package struct Found: Hashable, Sendable {
        /// The number that stands for its model.
        package let model: Int64
        package let predictionID: String
        /// Begin of its hour, in seconds since the epoch.
        package let hour_s: Int64
    }

    private let sink: FinderSink
    private let mappings: [String: CompiledMapping]
    private var parser: SegmentParser<FinderSink>?
    private let scratch: UnsafeMutablePointer<UInt8>
    private static let scratchBytes = EventDecoder.nameBytes + 16

    /// - Parameters:
    ///   - models: numbers by name.
    ///   - ids: how many ids will be added.
    package init(models: [String: Int64], ids: Int, mappings: [Mapping] = []) {
        sink = FinderSink(models: models, ids: ids)
        self.mappings = Dictionary(
            mappings.map { ($0.name, CompiledMapping($0)) }, uniquingKeysWith: { first, _ in first })
        scratch = .allocate(capacity: Self.scratchBytes)
        scratch.initialize(repeating: 0, count: Self.scratchBytes)
    }

    deinit { scratch.deallocate() }

    /// Adds an id that is waited for; longer ones than events may have are left out.
    package func add(model: Int64, predictionID: UnsafeBufferPointer<UInt8>) {
        guard predictionID.count <= EventDecoder.nameBytes else { return }
        if let start = predictionID.baseAddress { scratch.update(from: start, count: predictionID.count) }
        (scratch + predictionID.count).update(repeating: 0, count: 8)
        sink.ids.insert(FinderSink.hash(model, TextBytes(start: UnsafePointer(scratch), count: predictionID.count)))
    }

    /// How many ids are still waited for.
    package var waiting: Int { sink.ids.count }

    /// Looks only at predictions of an hour, its begin in seconds since the epoch.
    package func look(atHour hour_s: Int64) { sink.hour_s = hour_s }

    /// Reads segments of an object.
    /// - Throws: ``ObjectError`` where anything differs from the manifest; what was found before holds all the same.
    package func read(
        _ object: ObjectReader, where isWanted: (Int) -> Bool
    ) throws(ObjectError) {
        for (index, segment) in object.manifest.segments.enumerated() where isWanted(index) {
            let mapping = mappings[segment.format]
            guard segment.format == Manifest.nativeFormat || mapping != nil else { continue }
            let parser = parser ?? SegmentParser(sink: sink, first: segment)
            self.parser = parser
            parser.begin(segment, at: 0, mapping: mapping, keptRejects: 0)
            try object.read(index) { parser.append($0) }
            _ = parser.finish()
        }
    }

    /// What was found since the last call.
    package func take() -> [Found] {
        defer { sink.found = [] }
        return sink.found
    }
}

/// Looks up the ids of predictions.
private final class FinderSink: EventSink {
    var ids: HashSet
    var hour_s = Int64.min
    var found: [PredictionFinder.Found] = []
    private var names = ByteTable()
    /// Numbers of models by their place in ``names``.
    private var numbers: [Int64] = []

    init(models: [String: Int64], ids count: Int) {
        ids = HashSet(capacity: count)
        for (name, number) in models {
            var bytes = Array(name.utf8) + [UInt8](repeating: 0, count: 8)
            bytes.withUnsafeMutableBufferPointer { buffer in
                guard let start = buffer.baseAddress else { return }
                if names.intern(TextBytes(start: UnsafePointer(start), count: buffer.count - 8)) == numbers.count {
                    numbers.append(number)
                }
            }
        }
    }

    deinit {
        names.destroy()
        ids.destroy()
    }

    @inline(__always)
    static func hash(_ model: Int64, _ id: TextBytes) -> UInt64 {
        let mixed = (id.hash ^ UInt64(bitPattern: model) &* 0x9E37_79B9_7F4A_7C15) &* 0xD6E8_FEB8_6659_FD93
        return mixed ^ mixed >> 32
    }

    func take(_ event: EventDecoder, segment: Int, line: Int) {
        guard event.type == .prediction, Period.hour(ofMs: event.time_ms) == hour_s, let name = event.text(.modelName),
            let place = names.find(name), let id = event.text(.predictionID) ?? event.text(.id)
        else { return }
        let model = numbers[place]
        if ids.remove(Self.hash(model, id)) {
            found.append(.init(model: model, predictionID: id.string, hour_s: hour_s))
        }
    }
}

/// Numbers of 64 bits, at most half full, never smaller than it was made.
private struct HashSet {
    private(set) var count = 0
    private var mask: Int
    private var used = 0
    /// 0 for an empty place, 1 for one whose number was removed.
    private var places: UnsafeMutablePointer<UInt64>

    init(capacity: Int) {
        var size = 1024
        while size < capacity * 2 { size *= 2 }
        mask = size - 1
        places = .allocate(capacity: size)
        places.initialize(repeating: 0, count: size)
    }

    func destroy() { places.deallocate() }

    @inline(__always)
    private static func number(_ hash: UInt64) -> UInt64 { hash < 2 ? hash &+ 2 : hash }

    mutating func insert(_ hash: UInt64) {
        if used * 2 > mask { grow() }
        let number = Self.number(hash)
        var place = Int(truncatingIfNeeded: number) & mask
        while places[place] != 0 {
            if places[place] == number { return }
            place = (place &+ 1) & mask
        }
        places[place] = number
        used += 1
        count += 1
    }

    @inline(__always)
    mutating func remove(_ hash: UInt64) -> Bool {
        let number = Self.number(hash)
        var place = Int(truncatingIfNeeded: number) & mask
        while places[place] != 0 {
            if places[place] == number {
                places[place] = 1
                count -= 1
                return true
            }
            place = (place &+ 1) & mask
        }
        return false
    }

    private mutating func grow() {
        let (old, size) = (places, mask + 1)
        places = .allocate(capacity: size * 2)
        places.initialize(repeating: 0, count: size * 2)
        mask = size * 2 - 1
        used = 0
        count = 0
        for place in 0..<size where old[place] > 1 { insert(old[place]) }
        old.deallocate()
    }
}
