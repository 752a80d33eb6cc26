internal import EventModel

/// Waiting outcomes by model and prediction id, looked up by an event's bytes.
///
/// Some 100 bytes an outcome for ids of 36 characters: records one after the other in blocks, and slots of eight bytes that
/// hold a record's place and half of its key's hash. Filled by one thread; from then on any number may look things up.
package final class OutcomeTable: @unchecked Sendable {
    /// What many outcomes have in common.
    struct Shape {
        let name: OutcomeName
        let isLabelName: Bool
        let isThumbs: Bool
    }

    /// Names of the models by number; outcomes of others are not taken.
    package let models: [String]
    private(set) var shapes: [Shape] = []
    /// Labels' texts by number.
    private(set) var texts = ByteTable()
    /// ``Verdict`` of each text as an outcome's and as feedback's label.
    private var verdicts: [(outcome: Verdict, feedback: Verdict)] = []
    private var shapeKeys = ByteTable()
    private var modelNames = ByteTable()
    private let buffer: UnsafeMutablePointer<UInt8>

    /// How many outcomes there are.
    package private(set) var count = 0
    /// How many predictions they wait for.
    package private(set) var keys = 0
    private var blocks: [UnsafeMutableRawPointer] = []
    /// Where ``blocks`` is, for looking up.
    private var blockList: UnsafeMutablePointer<UnsafeMutableRawPointer>
    private var blockRoom = 64
    private var used = OutcomeTable.blockBytes
    /// The upper half is the hash, the lower the record's place; 0 is none.
    private var slots: UnsafeMutablePointer<UInt64>
    private var mask: Int

    static let blockBytes = 1 << 20
    private static let unit = 8

    /// - Parameter capacity: how many outcomes to expect.
    package init(models: [String], capacity: Int = 0) {
        self.models = models
        var size = 64
        while size * 2 < capacity * 3 { size *= 2 }
        mask = size - 1
        slots = .allocate(capacity: size)
        slots.initialize(repeating: 0, count: size)
        blockList = .allocate(capacity: blockRoom)
        buffer = .allocate(capacity: 1024)
        buffer.initialize(repeating: 0, count: 1024)
        for name in models { _ = Self.withBytes(name) { modelNames.intern($0) } }
    }

    deinit {
        for block in blocks { block.deallocate() }
        blockList.deallocate()
        slots.deallocate()
        buffer.deallocate()
        texts.destroy()
        shapeKeys.destroy()
        modelNames.destroy()
    }

    /// Bytes in use.
    package var memory: Int {
        blocks.count * Self.blockBytes + (mask + 1) * 8 + texts.bytes + shapeKeys.bytes + shapes.count * 80
    }

    // MARK: Filling

    /// An outcome's fields by their bytes, as a database sends them; each text needs eight readable bytes behind it.
    package struct Fields {
        /// Place in ``OutcomeTable/models``.
        package var model = 0
        package var type = EventType.outcome
        package var name: UnsafeRawBufferPointer
        package var predictionID: UnsafeRawBufferPointer
        /// What the caller calls the outcome.
        package var number: Int64 = 0
        package var time_ms: Int64 = 0
        package var labelText: UnsafeRawBufferPointer?
        package var labelNumber: Double?
        package var value: Double?
        package var currency: UnsafeRawBufferPointer?
        package var score: Double?

        package init(name: UnsafeRawBufferPointer, predictionID: UnsafeRawBufferPointer) {
            self.name = name
            self.predictionID = predictionID
        }
    }

    /// Adds an outcome, the newest of its prediction, type and name; ids that no prediction can have are passed over.
    package func append(_ fields: Fields) {
        let id = Self.text(fields.predictionID)
        guard id.count <= EventDecoder.nameBytes else { return }
        let shape = shape(fields)
        var record = OutcomeRecord.Header()
        record.model = UInt32(truncatingIfNeeded: fields.model)
        record.shape = UInt32(truncatingIfNeeded: shape)
        record.time_ms = fields.time_ms
        record.number = fields.number
        record.idCount = UInt16(truncatingIfNeeded: id.count)
        var flags: OutcomeRecord.Flags = []
        var verdict = Verdict(
            value: fields.value, score: fields.score, isThumbs: shapes[shape].isThumbs)
        if let text = fields.labelText {
            let number = texts.intern(Self.text(text))
            if number == verdicts.count {
                let bytes = texts.text(number)
                verdicts.append((Verdict(text: bytes), Verdict(feedback: bytes)))
            }
            record.label = UInt32(truncatingIfNeeded: number + 1)
            verdict = fields.type == .feedback ? verdicts[number].feedback : verdicts[number].outcome
            flags.formUnion(.label(verdicts[number].outcome))
        } else if let number = fields.labelNumber {
            flags.insert(.hasNumber)
            verdict = Verdict(number: number)
            flags.formUnion(.label(verdict))
        }
        if verdict == .yes { flags.insert(.positive) }
        if verdict == .no { flags.insert(.negative) }
        if fields.value != nil { flags.insert(.hasValue) }
        if fields.score != nil { flags.insert(.hasScore) }
        if shapes[shape].isLabelName, fields.labelText != nil || fields.labelNumber != nil { flags.insert(.isLabel) }
        record.flags = flags
        insert(record, fields, id)
    }

    private func insert(_ header: OutcomeRecord.Header, _ fields: Fields, _ id: TextBytes) {
        if (count + 1) * 3 > (mask + 1) * 2 { grow() }
        var header = header
        let hash = Self.hash(fields.model, id)
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            if UInt32(truncatingIfNeeded: slots[slot] >> 32) == hash {
                let head = record(UInt32(truncatingIfNeeded: slots[slot]))
                if head.header.model == header.model, head.id.equals(id) {
                    header.key = head.header.key
                    header.next = head.header.next
                    head.setNext(store(header, fields, id))
                    count += 1
                    return
                }
            }
            slot = (slot &+ 1) & mask
        }
        header.key = UInt32(truncatingIfNeeded: keys)
        keys += 1
        count += 1
        slots[slot] = UInt64(hash) << 32 | UInt64(store(header, fields, id))
    }

    /// Writes a record; returns its place.
    private func store(_ header: OutcomeRecord.Header, _ fields: Fields, _ id: TextBytes) -> UInt32 {
        let size = OutcomeRecord.size(header)
        if used + size > Self.blockBytes {
            if blocks.count == blockRoom { growList() }
            if let last = blocks.last, used + OutcomeRecord.headerBytes <= Self.blockBytes {
                (last + used).storeBytes(of: OutcomeRecord.Header(shape: OutcomeRecord.end), as: OutcomeRecord.Header.self)
            }
            let block = UnsafeMutableRawPointer.allocate(byteCount: Self.blockBytes, alignment: 16)
            (blockList + blocks.count).initialize(to: block)
            blocks.append(block)
            // Place 0 stands for none.
            used = blocks.count == 1 ? Self.unit : 0
        }
        let place = ((blocks.count - 1) * Self.blockBytes + used) / Self.unit
        var target = blocks[blocks.count - 1] + used
        used += size
        target.storeBytes(of: header, as: OutcomeRecord.Header.self)
        target += OutcomeRecord.headerBytes
        for number in [header.flags.contains(.hasNumber) ? fields.labelNumber : nil, fields.value, fields.score] {
            guard let number else { continue }
            target.storeBytes(of: number, as: Double.self)
            target += 8
        }
        target.copyMemory(from: id.start, byteCount: id.count)
        (target + id.count).initializeMemory(as: UInt8.self, repeating: 0, count: 8)
        return UInt32(truncatingIfNeeded: place)
    }

    private func growList() {
        let larger = UnsafeMutablePointer<UnsafeMutableRawPointer>.allocate(capacity: blockRoom * 2)
        larger.update(from: blockList, count: blocks.count)
        blockList.deallocate()
        blockList = larger
        blockRoom *= 2
    }

    private func grow() {
        let size = (mask + 1) * 2
        let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: size)
        larger.initialize(repeating: 0, count: size)
        for old in 0...mask where slots[old] != 0 {
            var slot = Int(truncatingIfNeeded: slots[old] >> 32) & (size - 1)
            while larger[slot] != 0 { slot = (slot &+ 1) & (size - 1) }
            larger[slot] = slots[old]
        }
        slots.deallocate()
        slots = larger
        mask = size - 1
    }

    /// The number of what the outcome has in common with others.
    private func shape(_ fields: Fields) -> Int {
        let name = UnsafeRawBufferPointer(rebasing: fields.name.prefix(EventDecoder.nameBytes))
        let currency = UnsafeRawBufferPointer(rebasing: (fields.currency ?? fields.name).prefix(fields.currency == nil ? 0 : 8))
        let raw = UnsafeMutableRawPointer(buffer)
        raw.storeBytes(of: UInt32(truncatingIfNeeded: fields.model), as: UInt32.self)
        raw.storeBytes(of: UInt8(truncatingIfNeeded: fields.type.place), toByteOffset: 4, as: UInt8.self)
        raw.storeBytes(of: UInt8(truncatingIfNeeded: currency.count), toByteOffset: 5, as: UInt8.self)
        var end = 6
        for part in [currency, name] {
            if let start = part.baseAddress { (raw + end).copyMemory(from: start, byteCount: part.count) }
            end += part.count
        }
        let number = shapeKeys.intern(TextBytes(start: UnsafePointer(buffer), count: end))
        if number == shapes.count {
            let full = OutcomeName(
                model: fields.model, type: fields.type, name: String(decoding: name, as: UTF8.self),
                currency: String(decoding: currency, as: UTF8.self))
            shapes.append(Shape(name: full, isLabelName: full.isLabel, isThumbs: full.name == "thumbs"))
        }
        return number
    }

    // MARK: Looking up

    /// The number of a model that outcomes wait for.
    @inline(__always)
    func model(_ name: TextBytes) -> Int? { modelNames.find(name) }

    /// The first outcome of the prediction; others follow by ``OutcomeRecord/Header/next``.
    @inline(__always)
    func find(_ model: Int, _ id: TextBytes) -> OutcomeRecord? {
        let hash = Self.hash(model, id)
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            if UInt32(truncatingIfNeeded: slots[slot] >> 32) == hash {
                let found = record(UInt32(truncatingIfNeeded: slots[slot]))
                if Int(found.header.model) == model, found.id.equals(id) { return found }
            }
            slot = (slot &+ 1) & mask
        }
        return nil
    }

    /// The record at a place that is not 0.
    @inline(__always)
    func record(_ place: UInt32) -> OutcomeRecord {
        let offset = Int(place) &* Self.unit
        return OutcomeRecord(
            place: place, start: blockList[offset >> 20] + (offset & (Self.blockBytes - 1)))
    }

    /// Visits all records in the order they came.
    func forEach(_ body: (OutcomeRecord) -> Void) {
        var place = 0
        var left = count
        while left > 0 {
            var offset = place == 0 ? Self.unit : 0
            while left > 0, offset + OutcomeRecord.headerBytes <= Self.blockBytes {
                if place == blocks.count - 1, offset >= used { break }
                let found = OutcomeRecord(
                    place: UInt32(truncatingIfNeeded: (place * Self.blockBytes + offset) / Self.unit),
                    start: blocks[place] + offset)
                if found.header.shape == OutcomeRecord.end { break }
                body(found)
                left -= 1
                offset += OutcomeRecord.size(found.header)
            }
            place += 1
        }
    }

    /// Whether the prediction may have outcomes, of whatever model it is: no where it has none, and hardly ever a wrong yes.
    @inline(__always)
    func mayHold(_ id: TextBytes) -> Bool {
        let idHash = id.hash
        for model in models.indices {
            let hash = Self.hash(model, idHash)
            var slot = Int(truncatingIfNeeded: hash) & mask
            while slots[slot] != 0 {
                if UInt32(truncatingIfNeeded: slots[slot] >> 32) == hash { return true }
                slot = (slot &+ 1) & mask
            }
        }
        return false
    }

    @inline(__always)
    private static func hash(_ model: Int, _ id: TextBytes) -> UInt32 { hash(model, id.hash) }

    @inline(__always)
    private static func hash(_ model: Int, _ idHash: UInt64) -> UInt32 {
        let hash = idHash ^ UInt64(truncatingIfNeeded: model &+ 1) &* 0x9E37_79B9_7F4A_7C15
        return UInt32(truncatingIfNeeded: hash ^ hash >> 32)
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> TextBytes {
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return .empty }
        return TextBytes(start: start.assumingMemoryBound(to: UInt8.self), count: bytes.count)
    }

    /// Lends a string's bytes with what must be readable behind them.
    static func withBytes<Result>(_ text: String, _ body: (TextBytes) -> Result) -> Result {
        let bytes = Array(text.utf8) + [UInt8](repeating: 0, count: 8)
        return bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return body(.empty) }
            return body(TextBytes(start: start, count: buffer.count - 8))
        }
    }
}
