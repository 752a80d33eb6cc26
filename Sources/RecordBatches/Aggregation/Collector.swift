internal import Sketches

/// The sink of aggregation: adds each event to plain memory, from which ``drain()`` makes rows.
///
/// Rows of outcomes, deployments and resources are rare and made at once. ``Collector/bytes`` says how much memory the
/// rest takes, so that the owner can drain early: merging what was drained gives the same rows.
final class Collector: EventSink {
    /// What the hot path changes, in one place of plain memory.
    struct State {
        var models = ByteTable()
        var versions = ByteTable()
        var variants = ByteTable()
        var environments = ByteTable()
        /// Leaves by their key: numbers of model, version, variant, environment and tags' values, 4 bytes each.
        var leaves = ByteTable()
        /// Bases by the first four numbers of that key.
        var bases = ByteTable()
        /// ``RequestSlot`` by leaf, kind and time; ``HourSlot`` by leaf and hour; ``BaseHour`` by base and hour.
        var requestKeys = ByteTable()
        var hourKeys = ByteTable()
        var baseHourKeys = ByteTable()
        var modelSlots = PointerList<ModelSlot>()
        var leafSlots = PointerList<LeafSlot>()
        var requestSlots = PointerList<RequestSlot>()
        var hourSlots = PointerList<HourSlot>()
        var baseHourSlots = PointerList<BaseHour>()
        var lastLeaf = -1
        var event: UInt64 = 0
        var bytes = 0
        /// Events before this add no minute rows.
        var minutesFrom_ms = Int64.min
    }

    /// Edge sets that hours are on and that the configuration does not have: their rows' edges are ``EdgeCounts/mixed``.
    ///
    /// ``reset()`` leaves them; who reads them clears them.
    var missingEdgeSets: Set<Int32> = []

    let configuration: AggregationConfiguration
    let state: UnsafeMutablePointer<State>
    /// Values by configured tag; a value's number in a leaf's key is its number here + 2.
    let sliceValues: UnsafeMutablePointer<SliceDictionary>
    let sliceCount: Int
    /// The key of the event at hand and of the last leaf.
    private let key: UnsafeMutablePointer<Int32>
    private let lastKey: UnsafeMutablePointer<Int32>
    private let timeKey: UnsafeMutablePointer<Int64>
    let logBins = LogBins.Table.shared
    let scoreBins = ScoreBins.Table.shared
    let classText = ClassText()
    private let hasHours: Bool

    var rows = RowCollector()

    /// Numbers of tag values in a leaf's key that stand for no value.
    static let missing: Int32 = 0
    static let other: Int32 = 1

    /// A configured tag and its values.
    struct SliceDictionary {
        let key: TextBytes
        var table = ByteTable()
        var bound: TextBytes?
        var boundDue: Int
    }

    init(_ configuration: AggregationConfiguration) {
        self.configuration = configuration
        hasHours = configuration.hours != nil
        sliceCount = configuration.slices.count
        state = .allocate(capacity: 1)
        state.initialize(to: State())
        sliceValues = .allocate(capacity: max(1, sliceCount))
        for (place, name) in configuration.slices.enumerated() {
            (sliceValues + place).initialize(
                to: SliceDictionary(
                    key: TextBytes(immortal: name), boundDue: 2 * configuration.valuesPerSlice + 16))
        }
        key = .allocate(capacity: 4 + sliceCount + 4)
        key.initialize(repeating: 0, count: 4 + sliceCount + 4)
        lastKey = .allocate(capacity: 4 + sliceCount + 4)
        lastKey.initialize(repeating: -1, count: 4 + sliceCount + 4)
        timeKey = .allocate(capacity: 4)
        timeKey.initialize(repeating: 0, count: 4)
    }

    deinit {
        destroyState()
        state.deallocate()
        for place in 0..<sliceCount {
            sliceValues[place].table.destroy()
            sliceValues[place].key.start.deallocate()
        }
        sliceValues.deallocate()
        key.deallocate()
        lastKey.deallocate()
        timeKey.deallocate()
    }

    /// Forgets everything.
    func reset() {
        destroyState()
        state.initialize(to: State())
        for place in 0..<sliceCount {
            sliceValues[place].table.destroy()
            sliceValues[place].table = ByteTable()
            sliceValues[place].bound = nil
            sliceValues[place].boundDue = 2 * configuration.valuesPerSlice + 16
        }
        lastKey.update(repeating: -1, count: 4 + sliceCount)
        rows = RowCollector()
    }

    /// How much memory is in use, in bytes; a guess within a factor of two.
    var bytes: Int { state.pointee.bytes + rows.bytes }

    /// Says which segment's events follow.
    func begin(sealed_ms: Int64) {
        state.pointee.minutesFrom_ms = sealed_ms - AggregationConfiguration.minutes_ms
    }

    @inline(__always)
    func take(_ event: EventDecoder, segment: Int, line: Int) {
        if event.type == .prediction {
            if hasHours, !isWanted(event.time_ms) { return }
            takePrediction(event)
        } else {
            takeRow(event, segment: segment, line: line)
        }
    }

    private func isWanted(_ time_ms: Int64) -> Bool {
        configuration.hours?.contains(Period.hour(ofMs: time_ms)) ?? true
    }

    @inline(never)
    private func takeRow(_ event: EventDecoder, segment: Int, line: Int) {
        switch event.type {
        case .prediction, .writer: break
        case .outcome, .feedback: rows.addOutcome(event, segment: segment, line: line)
        case .deployment: rows.addDeployment(event, segment: segment, line: line)
        case .resource:
            guard isWanted(event.time_ms) else { return }
            rows.addResource(event, isRecent: event.time_ms >= state.pointee.minutesFrom_ms)
        }
    }

    // MARK: Finding the place

    /// The leaf of a prediction.
    @inline(__always)
    func leaf(_ event: EventDecoder) -> UnsafeMutablePointer<LeafSlot>? {
        guard let model = event.text(.modelName), let version = event.text(.modelVersion) else { return nil }
        let state = state
        key[0] = Int32(truncatingIfNeeded: state.pointee.models.intern(model))
        key[1] = Int32(truncatingIfNeeded: state.pointee.versions.intern(version))
        key[2] = Int32(
            truncatingIfNeeded: state.pointee.variants.intern(event.text(.modelVariant) ?? Defaults.variant))
        key[3] = Int32(
            truncatingIfNeeded: state.pointee.environments.intern(event.text(.environment) ?? Defaults.environment))
        if sliceCount > 0 { findSlices(event) }
        var same = state.pointee.lastLeaf >= 0
        for place in 0..<(4 &+ sliceCount) where key[place] != lastKey[place] { same = false }
        if same { return state.pointee.leafSlots[state.pointee.lastLeaf] }
        return findLeaf()
    }

    private func findSlices(_ event: EventDecoder) {
        let tags = event.value(.tags)
        for place in 0..<sliceCount {
            guard let tag = tags?.member(sliceValues[place].key), tag.kind == TapeValue.Kind.string else {
                key[4 + place] = Self.missing
                continue
            }
            let text = tag.text
            if let number = sliceValues[place].table.find(text) {
                key[4 + place] = Int32(truncatingIfNeeded: number) + 2
            } else {
                key[4 + place] = addSliceValue(text, place)
            }
        }
    }

    @inline(never)
    private func addSliceValue(_ text: TextBytes, _ place: Int) -> Int32 {
        if text.count > EventDecoder.nameBytes { return Self.other }
        if let bound = sliceValues[place].bound, bound.precedes(text) { return Self.other }
        let number = sliceValues[place].table.intern(text)
        if sliceValues[place].table.count >= sliceValues[place].boundDue {
            sliceValues[place].bound = Self.bound(sliceValues[place].table, configuration.valuesPerSlice)
            sliceValues[place].boundDue += configuration.valuesPerSlice + 16
        }
        return Int32(number) + 2
    }

    /// The last of the first `limit` texts in byte order: what is behind it can never be among them.
    private static func bound(_ table: ByteTable, _ limit: Int) -> TextBytes? {
        guard limit > 0, table.count > limit else { return nil }
        return (0..<table.count).map { table.text($0) }.sorted { $0.precedes($1) }[limit - 1]
    }

    @inline(never)
    private func findLeaf() -> UnsafeMutablePointer<LeafSlot>? {
        let number = state.pointee.leaves.intern(
            TextBytes(start: Self.bytes(key), count: (4 + sliceCount) * 4))
        lastKey.update(from: key, count: 4 + sliceCount)
        state.pointee.lastLeaf = number
        if let leaf = state.pointee.leafSlots[number] { return leaf }
        let base = state.pointee.bases.intern(TextBytes(start: Self.bytes(key), count: 16))
        let model = Int(key[0])
        if state.pointee.modelSlots[model] == nil {
            let slot = UnsafeMutablePointer<ModelSlot>.allocate(capacity: 1)
            slot.initialize(to: ModelSlot())
            state.pointee.modelSlots.set(model, slot)
        }
        guard let modelSlot = state.pointee.modelSlots[model] else { return nil }
        let leaf = UnsafeMutablePointer<LeafSlot>.allocate(capacity: 1)
        leaf.initialize(to: LeafSlot(base: Int32(base), model: modelSlot))
        state.pointee.leafSlots.set(number, leaf)
        state.pointee.bytes += 256
        return leaf
    }

    private static func bytes(_ key: UnsafeMutableRawPointer) -> UnsafePointer<UInt8> {
        UnsafePointer(key.assumingMemoryBound(to: UInt8.self))
    }

    /// The request row of the last leaf at an instant.
    @inline(__always)
    func request(_ leaf: UnsafeMutablePointer<LeafSlot>, _ time_ms: Int64) -> UnsafeMutablePointer<RequestSlot>? {
        let isHour = time_ms < state.pointee.minutesFrom_ms
        let time_s = isHour ? Period.hour(ofMs: time_ms) : Period.minute(ofMs: time_ms)
        if let slot = leaf.pointee.request, slot.pointee.time_s == time_s, slot.pointee.isHour == isHour {
            return slot
        }
        return findRequest(leaf, time_s, isHour)
    }

    @inline(never)
    private func findRequest(
        _ leaf: UnsafeMutablePointer<LeafSlot>, _ time_s: Int64, _ isHour: Bool
    ) -> UnsafeMutablePointer<RequestSlot>? {
        timeKey[0] = Int64(state.pointee.lastLeaf) << 1 | (isHour ? 1 : 0)
        timeKey[1] = time_s
        let number = state.pointee.requestKeys.intern(TextBytes(start: Self.bytes(timeKey), count: 16))
        if state.pointee.requestSlots[number] == nil {
            let slot = UnsafeMutablePointer<RequestSlot>.allocate(capacity: 1)
            slot.initialize(
                to: RequestSlot(leaf: Int32(state.pointee.lastLeaf), isHour: isHour, time_s: time_s))
            state.pointee.requestSlots.set(number, slot)
            state.pointee.bytes += 512
        }
        leaf.pointee.request = state.pointee.requestSlots[number]
        return leaf.pointee.request
    }

    /// The features and scores of the last leaf in an hour.
    @inline(__always)
    func hour(_ leaf: UnsafeMutablePointer<LeafSlot>, _ time_ms: Int64) -> UnsafeMutablePointer<HourSlot>? {
        let hour_s = Period.hour(ofMs: time_ms)
        if let slot = leaf.pointee.hour, slot.pointee.hour_s == hour_s { return slot }
        return findHour(leaf, hour_s)
    }

    @inline(never)
    private func findHour(
        _ leaf: UnsafeMutablePointer<LeafSlot>, _ hour_s: Int64
    ) -> UnsafeMutablePointer<HourSlot>? {
        timeKey[0] = Int64(leaf.pointee.base)
        timeKey[1] = hour_s
        let baseNumber = state.pointee.baseHourKeys.intern(TextBytes(start: Self.bytes(timeKey), count: 16))
        if state.pointee.baseHourSlots[baseNumber] == nil {
            let slot = UnsafeMutablePointer<BaseHour>.allocate(capacity: 1)
            slot.initialize(to: baseHour(leaf.pointee.base, hour_s))
            state.pointee.baseHourSlots.set(baseNumber, slot)
        }
        timeKey[0] = Int64(state.pointee.lastLeaf)
        let number = state.pointee.hourKeys.intern(TextBytes(start: Self.bytes(timeKey), count: 16))
        if state.pointee.hourSlots[number] == nil, let base = state.pointee.baseHourSlots[baseNumber] {
            let slot = UnsafeMutablePointer<HourSlot>.allocate(capacity: 1)
            slot.initialize(
                to: HourSlot(leaf: Int32(state.pointee.lastLeaf), hour_s: hour_s, base: base))
            state.pointee.hourSlots.set(number, slot)
            state.pointee.bytes += 512
        }
        leaf.pointee.hour = state.pointee.hourSlots[number]
        return leaf.pointee.hour
    }

    /// The last leaf's base in an hour, with the edge set that it is on.
    private func baseHour(_ base: Int32, _ hour_s: Int64) -> BaseHour {
        let references = configuration.references
        guard !references.isEmpty else {
            return BaseHour(base: base, hour_s: hour_s, edgeSet: EdgeCounts.none, edges: nil)
        }
        let edgeSet = references.edgeSet(
            model: state.pointee.models.text(Int(lastKey[0])).string, hour_s: hour_s)
        let edges = references.edges(edgeSet)
        if edgeSet != EdgeCounts.none, edges == nil {
            missingEdgeSets.insert(edgeSet)
            return BaseHour(base: base, hour_s: hour_s, edgeSet: EdgeCounts.mixed, edges: nil)
        }
        return BaseHour(base: base, hour_s: hour_s, edgeSet: edgeSet, edges: edges)
    }

    /// A feature's row in an hour; made when it is first needed.
    @inline(__always)
    func feature(_ number: Int, in hour: UnsafeMutablePointer<HourSlot>) -> UnsafeMutablePointer<FeatureSlot> {
        if let slot = hour.pointee.features[number] { return slot }
        return makeFeature(number, in: hour)
    }

    @inline(never)
    private func makeFeature(
        _ number: Int, in hour: UnsafeMutablePointer<HourSlot>
    ) -> UnsafeMutablePointer<FeatureSlot> {
        let base = hour.pointee.base
        let shared: UnsafeMutablePointer<BaseFeature>
        if let found = base.pointee.features[number] {
            shared = found
        } else {
            shared = .allocate(capacity: 1)
            shared.initialize(to: BaseFeature(edges: edges(number, hour)))
            base.pointee.features.set(number, shared)
        }
        let slot = UnsafeMutablePointer<FeatureSlot>.allocate(capacity: 1)
        slot.initialize(to: FeatureSlot(base: shared))
        hour.pointee.features.set(number, slot)
        state.pointee.bytes += slot.pointee.bytes
        return slot
    }

    /// The edges of a feature in an hour; nil where its numbers are on none.
    private func edges(
        _ number: Int, _ hour: UnsafeMutablePointer<HourSlot>
    ) -> UnsafePointer<EdgeBins.Table>? {
        guard let edges = hour.pointee.base.pointee.edges?.takeUnretainedValue(),
            let model = state.pointee.leafSlots[Int(hour.pointee.leaf)]?.pointee.model
        else { return nil }
        if number == ModelSlot.prediction { return edges.bins(.prediction, FeatureKey.predictionName)?.table }
        return edges.bins(.feature, model.pointee.names.text(number - ModelSlot.firstInput).string)?.table
    }

    /// A feature's dictionary.
    @inline(__always)
    func dictionary(
        _ number: Int, of model: UnsafeMutablePointer<ModelSlot>
    ) -> UnsafeMutablePointer<FeatureDictionary> {
        if let dictionary = model.pointee.features[number] { return dictionary }
        let dictionary = UnsafeMutablePointer<FeatureDictionary>.allocate(capacity: 1)
        dictionary.initialize(to: FeatureDictionary())
        dictionary.pointee.boundDue = 2 * configuration.categoriesPerFeature + 16
        model.pointee.features.set(number, dictionary)
        state.pointee.bytes += 2048
        return dictionary
    }

    /// The number of a category; nil where it is beyond the cap for certain, or too long.
    @inline(__always)
    func category(_ text: TextBytes, _ dictionary: UnsafeMutablePointer<FeatureDictionary>) -> Int? {
        if let number = dictionary.pointee.table.find(text) { return number }
        return addCategory(text, dictionary)
    }

    @inline(never)
    private func addCategory(_ text: TextBytes, _ dictionary: UnsafeMutablePointer<FeatureDictionary>) -> Int? {
        if text.count > EventDecoder.nameBytes { return nil }
        if let bound = dictionary.pointee.bound, bound.precedes(text) { return nil }
        let before = dictionary.pointee.table.bytes
        let number = dictionary.pointee.table.intern(text)
        if dictionary.pointee.table.count >= dictionary.pointee.boundDue {
            dictionary.pointee.bound = Self.bound(dictionary.pointee.table, configuration.categoriesPerFeature)
            dictionary.pointee.boundDue += configuration.categoriesPerFeature + 16
        }
        state.pointee.bytes += dictionary.pointee.table.bytes - before
        return number
    }

    private func destroyState() {
        let old = state.move()
        for table in [
            old.models, old.versions, old.variants, old.environments, old.leaves, old.bases, old.requestKeys,
            old.hourKeys, old.baseHourKeys,
        ] { table.destroy() }
        old.modelSlots.forEach { _, model in
            model.pointee.features.forEach { _, dictionary in
                dictionary.pointee.table.destroy()
                dictionary.deallocate()
            }
            model.pointee.features.destroy()
            model.pointee.names.destroy()
            model.pointee.expected.deallocate()
            model.deallocate()
        }
        old.modelSlots.destroy()
        old.leafSlots.forEach { _, leaf in leaf.deallocate() }
        old.leafSlots.destroy()
        old.requestSlots.forEach { _, slot in
            slot.pointee.latency.destroy()
            slot.deallocate()
        }
        old.requestSlots.destroy()
        old.hourSlots.forEach { _, hour in
            hour.pointee.features.forEach { _, feature in
                feature.pointee.destroy()
                feature.deallocate()
            }
            hour.pointee.features.destroy()
            hour.pointee.scores?.deallocate()
            hour.pointee.classes.forEach { _, scores in scores.deallocate() }
            hour.pointee.classes.destroy()
            hour.deallocate()
        }
        old.hourSlots.destroy()
        old.baseHourSlots.forEach { _, base in
            base.pointee.features.forEach { _, feature in
                feature.pointee.bins.destroy()
                feature.deallocate()
            }
            base.pointee.features.destroy()
            base.deallocate()
        }
        old.baseHourSlots.destroy()
    }
}

/// What absent fields mean.
enum Defaults {
    static let variant = TextBytes(immortal: "champion")
    static let environment = TextBytes(immortal: "default")
    static let yes = TextBytes(immortal: "true")
    static let no = TextBytes(immortal: "false")
    static let outcomeName = "label"
    static let action = "deploy"
}

extension PointerList {
    /// Visits what is there, in order of number.
    func forEach(_ body: (Int, UnsafeMutablePointer<Pointee>) throws -> Void) rethrows {
        for number in 0..<capacity {
            if let pointer = self[number] { try body(number, pointer) }
        }
    }
}
