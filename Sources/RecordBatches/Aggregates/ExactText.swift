/// A text that equals another only byte for byte, as in PostgreSQL.
///
/// Swift's `String` equals by canonical equivalence: "é" of one and of two code points would be one dictionary entry
/// here and two rows there. Wherever texts from events are keys, they are compared as this type does.
package struct ExactText: Hashable, Comparable, Sendable {
    package let text: String

    package init(_ text: String) {
        self.text = text
    }

    package static func == (left: Self, right: Self) -> Bool { same(left.text, right.text) }

    /// By bytes, which is also the order of code points.
    package static func < (left: Self, right: Self) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }

    package func hash(into hasher: inout Hasher) { Self.hash(text, into: &hasher) }

    @inline(__always)
    static func same(_ left: String, _ right: String) -> Bool {
        left.utf8.count == right.utf8.count && left.utf8.elementsEqual(right.utf8)
    }

    @inline(__always)
    static func hash(_ text: String, into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        hasher.combine(0xFF as UInt8)
    }
}

extension SeriesKey {
    package static func == (left: Self, right: Self) -> Bool {
        left.model == right.model && ExactText.same(left.version, right.version)
            && ExactText.same(left.variant, right.variant) && ExactText.same(left.environment, right.environment)
            && ExactText.same(left.sliceKey, right.sliceKey) && ExactText.same(left.sliceValue, right.sliceValue)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(model)
        for text in [version, variant, environment, sliceKey, sliceValue] { ExactText.hash(text, into: &hasher) }
    }
}

extension FeatureKey {
    package static func == (left: Self, right: Self) -> Bool {
        left.model == right.model && left.role == right.role && ExactText.same(left.name, right.name)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(model)
        hasher.combine(role)
        ExactText.hash(name, into: &hasher)
    }
}

extension CategoryKey {
    package static func == (left: Self, right: Self) -> Bool {
        left.feature == right.feature && ExactText.same(left.value, right.value)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(feature)
        ExactText.hash(value, into: &hasher)
    }
}

extension ResourceKey {
    package static func == (left: Self, right: Self) -> Bool {
        ExactText.same(left.service, right.service) && ExactText.same(left.instance, right.instance)
            && ExactText.same(left.environment, right.environment) && ExactText.same(left.device, right.device)
    }

    package func hash(into hasher: inout Hasher) {
        for text in [service, instance, environment, device] { ExactText.hash(text, into: &hasher) }
    }
}
