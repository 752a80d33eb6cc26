internal import EventModel
internal import EventSegments

/// Numbers of the names that a reader meets, remembered by their bytes.
final class JoinNames {
    private let dictionary: JoinDictionary
    private let slices: [String]
    private var seriesKeys = ByteTable()
    /// The series of each key: `all`, then one for each slice.
    private var seriesNumbers: UnsafeMutablePointer<Int32>
    private var seriesRoom = 64
    private var classKeys = ByteTable()
    private var classNumbers: [Int32] = []
    private let buffer: UnsafeMutablePointer<UInt8>
    /// Writes a label's number as a class.
    let numberText = ClassText()
    private let answerText = ClassText()

    /// Most keys that are remembered.
    private static let most = 65_536

    init(_ dictionary: JoinDictionary, slices: [String]) {
        self.dictionary = dictionary
        self.slices = slices
        seriesNumbers = .allocate(capacity: seriesRoom * (1 + slices.count))
        // Each part has at most 256 bytes, and two for its length.
        let bytes = 64 + (EventDecoder.nameBytes + 2) * (4 + slices.count) + (1 << 20)
        buffer = .allocate(capacity: bytes)
        buffer.initialize(repeating: 0, count: bytes)
    }

    deinit {
        seriesKeys.destroy()
        classKeys.destroy()
        seriesNumbers.deallocate()
        buffer.deallocate()
    }

    // MARK: Series

    /// The prediction's series, in a list that lives until the next call.
    func series(_ event: EventDecoder, _ model: Int, _ sliceKeys: [TextBytes]) -> UnsafePointer<Int32> {
        var end = 4
        UnsafeMutableRawPointer(buffer).storeBytes(of: Int32(truncatingIfNeeded: model), as: Int32.self)
        put(event.text(.modelVersion) ?? .empty, &end)
        put(event.text(.modelVariant) ?? Defaults.variant, &end)
        put(event.text(.environment) ?? Defaults.environment, &end)
        if !sliceKeys.isEmpty {
            let tags = event.value(.tags)
            for key in sliceKeys { put(Self.slice(tags?.member(key)), &end) }
        }
        let key = TextBytes(start: UnsafePointer(buffer), count: end)
        if seriesKeys.count >= Self.most, seriesKeys.find(key) == nil {
            seriesKeys.destroy()
            seriesKeys = ByteTable()
        }
        let known = seriesKeys.count
        let number = seriesKeys.intern(key)
        let width = 1 + slices.count
        if number == known { resolve(number, key, model) }
        return UnsafePointer(seriesNumbers + number * width)
    }

    @inline(__always)
    private func put(_ text: TextBytes, _ end: inout Int) {
        UnsafeMutableRawPointer(buffer + end).storeBytes(of: UInt16(truncatingIfNeeded: text.count), as: UInt16.self)
        (buffer + end + 2).update(from: text.start, count: text.count)
        end &+= 2 &+ text.count
    }

    private static let missing = TextBytes(immortal: SliceName.missing)
    private static let other = TextBytes(immortal: SliceName.other)

    private static func slice(_ tag: TapeValue?) -> TextBytes {
        guard let tag, tag.kind == TapeValue.Kind.string else { return missing }
        return tag.text.count > EventDecoder.nameBytes ? other : tag.text
    }

    /// Asks the dictionary for a key's series.
    @inline(never)
    private func resolve(_ number: Int, _ key: TextBytes, _ model: Int) {
        let width = 1 + slices.count
        if number == seriesRoom {
            let larger = UnsafeMutablePointer<Int32>.allocate(capacity: seriesRoom * 2 * width)
            larger.update(from: seriesNumbers, count: seriesRoom * width)
            seriesNumbers.deallocate()
            seriesNumbers = larger
            seriesRoom *= 2
        }
        var place = 4
        func next() -> String {
            let count = Int(UnsafeRawPointer(key.start + place).loadUnaligned(as: UInt16.self))
            defer { place += 2 + count }
            return TextBytes(start: key.start + place + 2, count: count).string
        }
        var series = SeriesKey(
            model: model, version: next(), variant: next(), environment: next(), sliceKey: SliceName.all,
            sliceValue: SliceName.all)
        let target = seriesNumbers + number * width
        target.initialize(to: dictionary.find(series))
        for (slice, key) in slices.enumerated() {
            series.sliceKey = key
            series.sliceValue = next()
            (target + 1 + slice).initialize(to: dictionary.find(series))
        }
    }

    // MARK: Classes

    /// The class that a classifier's answer names; nil where it names none. Lives until the next call.
    func classText(_ answer: TapeValue) -> TextBytes? {
        switch answer.kind {
        case TapeValue.Kind.string: answer.text
        case TapeValue.Kind.yes: Defaults.yes
        case TapeValue.Kind.no: Defaults.no
        default: answer.number.map { answerText.write($0) }
        }
    }

    /// The class's number, ``JoinDictionary/otherClass`` where it was not admitted.
    func classNumber(_ text: TextBytes, model: Int) -> Int32 {
        let raw = UnsafeMutableRawPointer(buffer)
        raw.storeBytes(of: Int32(truncatingIfNeeded: model), as: Int32.self)
        (buffer + 4).update(from: text.start, count: text.count)
        let key = TextBytes(start: UnsafePointer(buffer), count: 4 + text.count)
        if let known = classKeys.find(key) { return classNumbers[known] }
        if classKeys.count >= Self.most {
            classKeys.destroy()
            classKeys = ByteTable()
            classNumbers = []
        }
        let number = dictionary.find(class: text.string, model: model) ?? JoinDictionary.otherClass
        _ = classKeys.intern(key)
        classNumbers.append(number)
        return number
    }
}
