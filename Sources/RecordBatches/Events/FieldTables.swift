/// What the decoder looks up: fields by key, kinds by type and field, words by field.
///
/// One for the process.
struct FieldTables: @unchecked Sendable {
    /// Keys by ``Field/rawValue``.
    let keys: UnsafePointer<TextBytes>
    /// Kinds by ``Field/rawValue`` and the type's place times the number of fields.
    let kinds: UnsafePointer<Field.Kind>
    /// Types' words, in the order of ``EventType/allCases``.
    let types: UnsafePointer<TextBytes>
    /// Open addressing by a hash of the key: a field's number, or ``none``.
    private let slots: UnsafePointer<UInt8>
    private static let slotCount = 512

    static let none: UInt8 = 0xFF
    static let fieldCount = Field.allCases.count

    /// It is filled once, never changed and never freed, which is why its pointers may be shared.
    static let shared = FieldTables()

    private init() {
        let keys = UnsafeMutablePointer<TextBytes>.allocate(capacity: Self.fieldCount)
        let slots = UnsafeMutablePointer<UInt8>.allocate(capacity: Self.slotCount)
        slots.initialize(repeating: Self.none, count: Self.slotCount)
        for field in Field.allCases {
            let key = TextBytes(immortal: field.key)
            (keys + Int(field.rawValue)).initialize(to: key)
            var slot = Int(truncatingIfNeeded: key.hash) & (Self.slotCount - 1)
            while slots[slot] != Self.none { slot = (slot + 1) & (Self.slotCount - 1) }
            slots[slot] = field.rawValue
        }
        let kinds = UnsafeMutablePointer<Field.Kind>.allocate(capacity: EventType.allCases.count * Self.fieldCount)
        let types = UnsafeMutablePointer<TextBytes>.allocate(capacity: EventType.allCases.count)
        for (place, type) in EventType.allCases.enumerated() {
            (types + place).initialize(to: TextBytes(immortal: type.rawValue))
            for field in Field.allCases {
                (kinds + place * Self.fieldCount + Int(field.rawValue)).initialize(to: Field.kind(field, in: type))
            }
        }
        self.keys = UnsafePointer(keys)
        self.kinds = UnsafePointer(kinds)
        self.types = UnsafePointer(types)
        self.slots = UnsafePointer(slots)
    }

    /// The number of the field with that key, or ``none``.
    @inline(__always)
    func field(_ key: TextBytes) -> UInt8 {
        var slot = Int(truncatingIfNeeded: key.hash) & (Self.slotCount - 1)
        while slots[slot] != Self.none {
            if keys[Int(slots[slot])].equals(key) { return slots[slot] }
            slot = (slot + 1) & (Self.slotCount - 1)
        }
        return Self.none
    }
}

extension EventType {
    /// Its place in ``EventType/allCases``.
    @inline(__always)
    var place: Int {
        switch self {
        case .prediction: 0
        case .outcome: 1
        case .feedback: 2
        case .resource: 3
        case .deployment: 4
        case .writer: 5
        }
    }

    /// The type at a place.
    @inline(__always)
    static func at(_ place: Int) -> EventType {
        switch place {
        case 0: .prediction
        case 1: .outcome
        case 2: .feedback
        case 3: .resource
        case 4: .deployment
        default: .writer
        }
    }
}
