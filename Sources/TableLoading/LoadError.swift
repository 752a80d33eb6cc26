/// Why loading stopped or left something out.
package struct LoadError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it is.
    package struct Code: Hashable, Sendable {
        private let name: String
        private init(_ name: String) { self.name = name }
        /// The configuration is wrong.
        package static let configuration = Code("configuration")
        /// The object's bytes are not what its key and manifest say.
        package static let poisoned = Code("poisoned")
        /// The object holds segments of a mapping that the configuration does not have.
        package static let unknownMapping = Code("unknownMapping")
        /// Another loader did part of the batch: it has to be aggregated again without that part.
        package static let overtaken = Code("overtaken")
        /// The hour can no longer be derived: an object is gone.
        package static let closedHour = Code("closedHour")
        /// The store does not find an object that the ledger has as loaded.
        package static let missing = Code("missing")
        /// What belongs together takes more memory than there may be.
        package static let tooLarge = Code("tooLarge")
        /// An object's bytes are not those that were loaded under its key.
        package static let altered = Code("altered")
        /// A reference cannot be made, found, put in force or deleted as asked.
        package static let reference = Code("reference")
    }

    /// What kind of failure it is.
    package let code: Code
    /// What was found, on which thing.
    package let message: String
    /// What to do.
    package let remedy: String?

    package init(_ code: Code, _ message: String, remedy: String? = nil) {
        self.code = code
        self.message = message
        self.remedy = remedy
    }

    package var description: String { remedy.map { "\(message). \($0)" } ?? message }
}
