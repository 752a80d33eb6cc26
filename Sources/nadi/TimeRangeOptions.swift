import ArgumentParser
import TableLoading

/// Bounds in time, as options.
struct TimeRangeOptions: ParsableArguments {
    @Option(help: "From this time on, such as 2026-11-23T10:00:00Z or 2026-11-23 (UTC).")
    var from: String?

    @Option(help: "Up to this time.")
    var to: String?

    var from_ms: Int64? { from.flatMap(LooseTime.parse) }
    var to_ms: Int64? { to.flatMap(LooseTime.parse) }

    func validate() throws {
        for time in [from, to] {
            if let time, LooseTime.parse(time) == nil {
                throw ValidationError("'\(time)' is no time such as 2026-11-23T10:00:00Z")
            }
        }
    }
}
