/// The checks of fields by kind.
extension EventDecoder {
    /// Refuses a value that a field of that kind cannot have.
    func check(_ value: TapeValue, _ number: UInt8, _ kind: Field.Kind) throws(Fault) {
        guard let field = Field(rawValue: number) else { return }
        switch kind {
        case .unknown, .schema, .type: return
        case .name: try checkName(value, field)
        case .number: _ = try checkNumber(value, field)
        case .seconds:
            guard try checkNumber(value, field) >= 0 else { throw Fault(.invalid_value, .range, field) }
        case .positive:
            guard try checkNumber(value, field) > 0 else { throw Fault(.invalid_value, .range, field) }
        case .probability:
            let number = try checkNumber(value, field)
            guard number >= 0, number <= 1 else { throw Fault(.invalid_value, .range, field) }
        case .count: try checkInteger(value, field, 0...9_007_199_254_740_991)
        case .httpStatus: try checkInteger(value, field, 100...599)
        case .boolean:
            guard value.kind == TapeValue.Kind.yes || value.kind == TapeValue.Kind.no else {
                throw Fault(.wrong_type, .kind, field, kind: value.kind)
            }
        case .time:
            if field != .time { _ = try readTime(value, field) }
        case .tags: try checkTags(value)
        case .features: try checkFeatures(value)
        case .scores: try checkScores(value)
        case .object: try checkObject(value, field)
        case .gpus: try checkGPUs(value)
        case .scalar, .prediction: try checkScalar(value, field, allowArray: kind == .prediction)
        case .explanation: try checkText(value, field, limit: 2048)
        case .status: try checkWord(value, field, EventWords.status)
        case .task: try checkWord(value, field, EventWords.task)
        case .action: try checkWord(value, field, EventWords.action)
        case .labelSource: try checkWord(value, field, EventWords.labelSource)
        case .annotator: try checkWord(value, field, EventWords.annotator)
        case .hex32: try checkCharacters(value, field, 32) { (48...57).contains($0) || (97...102).contains($0) }
        case .hex16: try checkCharacters(value, field, 16) { (48...57).contains($0) || (97...102).contains($0) }
        case .currency: try checkCharacters(value, field, 3) { (65...90).contains($0) }
        case .dropped: try checkDropped(value)
        }
    }

    @inline(__always)
    private func checkNumber(_ value: TapeValue, _ field: Field) throws(Fault) -> Double {
        guard let number = value.number else { throw Fault(.wrong_type, .kind, field, kind: value.kind) }
        return number
    }

    private func checkInteger(_ value: TapeValue, _ field: Field, _ range: ClosedRange<Double>) throws(Fault) {
        let number = try checkNumber(value, field)
        guard number == number.rounded() else { throw Fault(.wrong_type, .integer, field) }
        guard range.contains(number) else { throw Fault(.invalid_value, .range, field) }
    }

    private func checkObject(_ value: TapeValue, _ field: Field) throws(Fault) {
        guard value.kind == TapeValue.Kind.object else { throw Fault(.wrong_type, .kind, field, kind: value.kind) }
    }

    private func checkText(_ value: TapeValue, _ field: Field, limit: Int, key: TextBytes? = nil) throws(Fault) {
        guard value.kind == TapeValue.Kind.string else {
            throw Fault(.wrong_type, .kind, field, key: key, kind: value.kind)
        }
        let text = value.text
        guard text.count <= limit else { throw Fault(.invalid_value, .long_name, field, key: key) }
        guard !text.holdsNUL else { throw Fault(.invalid_value, .nul, field, key: key) }
    }

    private func checkName(_ value: TapeValue, _ field: Field) throws(Fault) {
        try checkText(value, field, limit: Self.nameBytes)
        guard value.text.count > 0 else { throw Fault(.invalid_value, .empty_name, field) }
    }

    @inline(__always)
    private func checkKey(_ key: TextBytes, _ field: Field) throws(Fault) {
        guard key.count > 0 else { throw Fault(.invalid_value, .empty_name, field, key: key) }
        guard key.count <= Self.nameBytes else { throw Fault(.invalid_value, .long_name, field, key: key) }
        guard !key.holdsNUL else { throw Fault(.invalid_value, .nul, field, key: key) }
    }

    private func checkScalar(_ value: TapeValue, _ field: Field, allowArray: Bool) throws(Fault) {
        switch value.kind {
        case TapeValue.Kind.string:
            guard !value.text.holdsNUL else { throw Fault(.invalid_value, .nul, field) }
        case TapeValue.Kind.object:
            throw Fault(.wrong_type, .kind, field, kind: value.kind)
        case TapeValue.Kind.array where !allowArray:
            throw Fault(.wrong_type, .kind, field, kind: value.kind)
        default: return
        }
    }

    private func checkWord(_ value: TapeValue, _ field: Field, _ words: [StaticString]) throws(Fault) {
        guard value.kind == TapeValue.Kind.string else {
            throw Fault(.wrong_type, .kind, field, kind: value.kind)
        }
        guard words.contains(where: { value.text.equals($0) }) else { throw Fault(.invalid_value, .word, field) }
    }

    private func checkCharacters(
        _ value: TapeValue, _ field: Field, _ count: Int, _ isAllowed: (UInt8) -> Bool
    ) throws(Fault) {
        guard value.kind == TapeValue.Kind.string else {
            throw Fault(.wrong_type, .kind, field, kind: value.kind)
        }
        let text = value.text
        guard text.count == count, UnsafeBufferPointer(start: text.start, count: text.count).allSatisfy(isAllowed)
        else { throw Fault(.invalid_value, .range, field) }
    }

    private func checkTags(_ value: TapeValue) throws(Fault) {
        try checkObject(value, .tags)
        let end = value.end
        var place = value.index + 1
        var count = 0
        while place < end {
            let key = value.at(place).text
            let tag = value.at(place + 1)
            place = tag.next
            count += 1
            guard count <= Self.tags else { throw Fault(.invalid_value, .tooMany, .tags) }
            try checkKey(key, .tags)
            try checkText(tag, .tags, limit: .max, key: key)
        }
    }

    @inline(__always)
    private func checkFeatures(_ value: TapeValue) throws(Fault) {
        try checkObject(value, .features)
        let end = value.end
        var place = value.index + 1
        while place < end {
            let key = value.at(place).text
            let feature = value.at(place + 1)
            place = feature.next
            if !isExpectedFeature(key) {
                try checkKey(key, .features)
                expectFeature(key)
            }
            if feature.kind == TapeValue.Kind.string, feature.text.holdsNUL {
                throw Fault(.invalid_value, .nul, .features, key: key)
            }
            try addFeature(key, feature)
        }
        endFeatures()
    }

    private func checkScores(_ value: TapeValue) throws(Fault) {
        try checkObject(value, .scores)
        let end = value.end
        var place = value.index + 1
        while place < end {
            let key = value.at(place).text
            let score = value.at(place + 1)
            place = score.next
            try checkKey(key, .scores)
            guard score.isNull || score.number != nil else {
                throw Fault(.wrong_type, .kind, .scores, key: key, kind: score.kind)
            }
        }
    }

    private func checkGPUs(_ value: TapeValue) throws(Fault) {
        guard value.kind == TapeValue.Kind.array else {
            throw Fault(.wrong_type, .kind, .gpus, kind: value.kind)
        }
        let end = value.end
        var place = value.index + 1
        var count = 0
        while place < end {
            let gpu = value.at(place)
            place = gpu.next
            count += 1
            guard count <= Self.gpus else { throw Fault(.invalid_value, .tooMany, .gpus) }
            try checkObject(gpu, .gpus)
            guard let index = gpu.member(GPUMeasure.index), !index.isNull else {
                throw Fault(.missing_field, .missing, .gpus, key: GPUMeasure.index)
            }
            guard let number = index.number else {
                throw Fault(.wrong_type, .kind, .gpus, key: GPUMeasure.index, kind: index.kind)
            }
            guard number == number.rounded() else {
                throw Fault(.wrong_type, .integer, .gpus, key: GPUMeasure.index)
            }
            guard number >= 0, number <= 9_007_199_254_740_991 else {
                throw Fault(.invalid_value, .range, .gpus, key: GPUMeasure.index)
            }
            for measure in GPUMeasure.all {
                guard let value = gpu.member(measure.key), !value.isNull else { continue }
                guard let number = value.number else {
                    throw Fault(.wrong_type, .kind, .gpus, key: measure.key, kind: value.kind)
                }
                if measure.isInteger, number != number.rounded() {
                    throw Fault(.wrong_type, .integer, .gpus, key: measure.key)
                }
                if !measure.isSigned, number < 0 {
                    throw Fault(.invalid_value, .range, .gpus, key: measure.key)
                }
            }
        }
    }

    private func checkDropped(_ value: TapeValue) throws(Fault) {
        try checkObject(value, .dropped)
        for key in DroppedKey.all {
            guard let count = value.member(key), !count.isNull else {
                throw Fault(.missing_field, .missing, .dropped, key: key)
            }
            guard let number = count.number, number == number.rounded() else {
                throw Fault(.wrong_type, .kind, .dropped, key: key, kind: count.kind)
            }
            guard number >= 0, number <= 9_007_199_254_740_991 else {
                throw Fault(.invalid_value, .range, .dropped, key: key)
            }
        }
    }
}

/// The words that some fields may hold.
private enum EventWords {
    static let status: [StaticString] = ["ok", "error"]
    static let task: [StaticString] = [
        "binary", "multiclass", "regression", "ranking", "generation", "embedding", "other",
    ]
    static let action: [StaticString] = ["deploy", "rollback", "promote", "shadow_start", "shadow_stop", "retire"]
    static let labelSource: [StaticString] = ["human", "system", "user", "delayed_join"]
    static let annotator: [StaticString] = ["HUMAN", "LLM", "CODE"]
}

/// The measures of a GPU.
struct GPUMeasure: @unchecked Sendable {
    let key: TextBytes
    let name: String
    let isInteger: Bool
    let isSigned: Bool

    private init(_ name: String, isInteger: Bool = false, isSigned: Bool = false) {
        key = TextBytes(immortal: name)
        self.name = name
        self.isInteger = isInteger
        self.isSigned = isSigned
    }

    static let index = TextBytes(immortal: "index")
    static let all = [
        GPUMeasure("utilization_ratio"), GPUMeasure("memory_used_bytes", isInteger: true),
        GPUMeasure("memory_limit_bytes", isInteger: true), GPUMeasure("temperature_celsius", isSigned: true),
        GPUMeasure("power_watts"),
    ]
}

private enum DroppedKey {
    static let all = ["buffer_full", "disk_full", "io_error", "too_large", "invalid"]
        .map { TextBytes(immortal: $0) }
}

extension TextBytes {
    /// Whether the bytes are those of a literal.
    @inline(__always)
    func equals(_ literal: StaticString) -> Bool {
        guard count == literal.utf8CodeUnitCount else { return false }
        for place in 0..<count where start[place] != literal.utf8Start[place] { return false }
        return true
    }
}
