/// What an audit found: sums of both sides of each equation, and by name what does not fit.
package struct AuditReport: Sendable {
    /// One equation: two sums from records of different programs.
    package struct Balance: Sendable {
        /// What is compared.
        package let name: String
        /// Where the left side comes from, and its sum.
        package let left: (source: String, lines: Int64)
        /// Where the right side comes from, and its sum.
        package let right: (source: String, lines: Int64)
        /// Whether both must be equal; else the difference is still on its way and shown only.
        package let mustBeEqual: Bool

        package var isBalanced: Bool { !mustBeEqual || left.lines == right.lines }
    }

    /// One thing that does not fit.
    package struct Finding: Sendable {
        /// `kind:name`, the word for `--accept-lost`.
        package let id: String
        /// A sentence with names and numbers.
        package let text: String
        /// What to do.
        package let remedy: String
        /// Lines concerned, where known.
        package let lines: Int64?
        /// False for what is only worth knowing.
        package let isFailure: Bool
        /// Set when a person accepted it: who, when and why.
        package var accepted: String?

        /// What stands before the colon of ``id``.
        package var kind: String { String(id.prefix { $0 != ":" }) }
    }

    package var balances: [Balance] = []
    package var findings: [Finding] = []
    /// What the view `nadi.complete_until` says: everything before this is counted, silent hosts left out; nil when
    /// nothing is known.
    package var completeUntil_ms: Int64?
    /// Hosts that are left out of ``completeUntil_ms``.
    package var silentHosts: [String] = []

    package init() {}

    /// Whether nothing is wrong but what was accepted.
    package var isClean: Bool {
        !findings.contains { $0.isFailure && $0.accepted == nil }
    }
}
