import ArgumentParser
import EventModel

/// Bounds in time, as options.
struct TimeRangeOptions: ParsableArguments {
    @Option(help: "From this time on, RFC 3339, such as 2026-11-23T10:00:00Z.")
    var from: String?

    @Option(help: "Up to this time, RFC 3339.")
    var to: String?

    var from_ms: Int64? { from.flatMap(Timestamp.parse) }
    var to_ms: Int64? { to.flatMap(Timestamp.parse) }

    func validate() throws {
        for time in [from, to] {
            if let time, Timestamp.parse(time) == nil {
                throw ValidationError("'\(time)' is no time such as 2026-11-23T10:00:00Z")
            }
        }
    }
}
