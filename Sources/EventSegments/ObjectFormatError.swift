/// Bytes or a name that are not what the object format says.
package struct ObjectFormatError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What kind of fault it is; new kinds may be added.
    package struct Code: RawRepresentable, Hashable, Sendable {
        package let rawValue: String

        package init(rawValue: String) { self.rawValue = rawValue }

        /// The object does not end with a manifest: it was cut off, or another program wrote it.
        package static let noManifest = Code(rawValue: "no_manifest")
        /// The manifest's JSON is not valid, or a field is missing or impossible.
        package static let invalidManifest = Code(rawValue: "invalid_manifest")
        /// The manifest was written by a newer version of this project.
        package static let unknownVersion = Code(rawValue: "unknown_version")
        /// A host's report is not valid.
        package static let invalidReport = Code(rawValue: "invalid_report")
        /// A segment's bytes are not the bytes that were announced.
        package static let changedSegment = Code(rawValue: "changed_segment")
        /// A sealed segment does not hold what its name says.
        package static let damagedSegment = Code(rawValue: "damaged_segment")
    }

    /// The kind of fault.
    package let code: Code
    /// One sentence for a person: the thing, the reason and the remedy.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
