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
        /// What to know about it.
        package let note: String

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
        /// The host concerned; empty for none.
        package let host: String
        /// The writer concerned; empty for none.
        package let writer: String
        /// Set when a person accepted it: who, when and why.
        package var accepted: String?

        /// What stands before the colon of ``id``.
        package var kind: String { String(id.prefix { $0 != ":" }) }
        /// Whether it is wrong and nobody accepted it.
        package var isOpen: Bool { isFailure && accepted == nil }
    }

    /// One host's account.
    package struct Host: Sendable {
        package let name: String
        /// running, ended, silent, or unknown where it never reported.
        package let status: String
        package let reported_ms: Int64?
        /// Writers heard of, and how many of them have not ended.
        package let writers: Int64
        package let openWriters: Int64
        package let appended: Int64
        package let written: Int64
        package let dropped: Int64
        /// Lines of its writers' segments that are loaded.
        package let stored: Int64
        /// Lines and segments that it still holds, by its own report.
        package let unshipped: Int64
        package let unshippedSegments: Int64
        /// Lines lost, as accepted.
        package let lost: Int64
        /// Whether a writer was killed, so that appended is a lower bound.
        package let isLowerBound: Bool
    }

    /// What it looked at.
    package let scope: AuditScope
    package var balances: [Balance] = []
    package var findings: [Finding] = []
    package var hosts: [Host] = []
    /// What the view `nadi.complete_until` says: everything before this is counted, silent hosts left out; nil when
    /// nothing is known.
    package var completeUntil_ms: Int64?
    /// Hosts that are left out of ``completeUntil_ms``.
    package var silentHosts: [String] = []
    /// How long the audit took.
    package var seconds = 0.0

    package init(scope: AuditScope = AuditScope()) { self.scope = scope }

    /// What is wrong and not accepted.
    package var open: [Finding] { findings.filter(\.isOpen) }

    /// Whether nothing is wrong but what was accepted.
    package var isClean: Bool { !findings.contains(where: \.isOpen) }
}
