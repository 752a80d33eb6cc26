/// An object that cannot be read as what it says it is: poisoned.
///
/// Nothing of it was aggregated.
package struct ObjectError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What kind of fault it is; new kinds may be added.
    package struct Code: RawRepresentable, Hashable, Sendable {
        package let rawValue: String

        package init(rawValue: String) { self.rawValue = rawValue }

        /// No manifest at the end, or not a valid one.
        package static let manifest = Code(rawValue: "manifest")
        /// The manifest's frames are not the object's frames.
        package static let layout = Code(rawValue: "layout")
        /// A frame cannot be decompressed.
        package static let compression = Code(rawValue: "compression")
        /// A segment's size, lines or SHA-256 differ from the manifest.
        package static let content = Code(rawValue: "content")
    }

    /// The kind of fault.
    package let code: Code
    /// What differs from what, in a sentence for a person.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
