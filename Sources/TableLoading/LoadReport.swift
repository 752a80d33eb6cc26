/// What one run of the loader did.
package struct LoadReport: Sendable {
    package var objects = 0
    package var segments = 0
    package var duplicates = 0
    package var conflicts = 0
    package var lines: Int64 = 0
    package var rejectedLines: Int64 = 0
    package var poisoned: [(key: String, reason: String)] = []
    package var pending: [(key: String, mapping: String)] = []
    /// Objects that were left for the next run because the store or the database failed.
    package var failed: [(key: String, reason: String)] = []
    /// Reports of hosts that could not be read.
    package var unreadableReports: [(key: String, reason: String)] = []
    /// Keys below `events/` that no shipper makes, where everything was listed: how many, and the first ones.
    package var strangers = 0
    package var strangerKeys: [String] = []
    package var batches = 0
    /// Names that a cap refused, by kind.
    package var refused: [String: Int] = [:]
    package var joinedHours = 0
    /// Hours in which predictions of outcomes without a time were looked for.
    package var sweptHours = 0
    /// Hours whose stored drift was computed anew.
    package var driftHours = 0
    package var seconds = 0.0

    package init() {}

    mutating func add(stranger key: String) {
        strangers += 1
        if strangerKeys.count < 10 { strangerKeys.append(key) }
    }

    mutating func add(_ counts: BatchCommit.Counts) {
        batches += 1
        objects += counts.objects
        segments += counts.segments
        duplicates += counts.duplicates
        conflicts += counts.conflicts
        lines += counts.lines
        rejectedLines += counts.rejectedLines
    }
}
