/// One outcome or feedback line, for `nadi_store.outcome`.
package struct OutcomeRow: Hashable, Sendable {
    /// Place in ``Aggregates/models``.
    package var model: Int
    /// `outcome` or `feedback`.
    package var type: EventType
    /// The outcome's name (`label` where the event has none) or the feedback's criterion.
    package var name: String
    package var predictionID: String
    /// 0 where the event has none.
    package var revision: Int64
    package var time_ms: Int64
    /// The event's `id`; empty where it has none.
    package var eventID: String
    /// A label that is a text, or `true` or `false`.
    package var labelText: String?
    /// A label that is a number.
    package var labelNumber: Double?
    package var value: Double?
    package var currency: String?
    /// Feedback's score.
    package var score: Double?
    /// From `prediction_time` (exact), else from the prediction id's UUIDv7 time (a hint), else nil.
    package var predictionTime_ms: Int64?
    /// Whether ``predictionTime_ms`` came from `prediction_time`.
    package var predictionTimeIsExact: Bool
    /// Place in ``Aggregates/segments``.
    package var segment: Int
    /// The line's number in the segment, from 1.
    package var line: Int

    package init(
        model: Int, type: EventType, name: String, predictionID: String, revision: Int64, time_ms: Int64,
        eventID: String, labelText: String?, labelNumber: Double?, value: Double?, currency: String?, score: Double?,
        predictionTime_ms: Int64?, predictionTimeIsExact: Bool, segment: Int, line: Int
    ) {
        self.model = model
        self.type = type
        self.name = name
        self.predictionID = predictionID
        self.revision = revision
        self.time_ms = time_ms
        self.eventID = eventID
        self.labelText = labelText
        self.labelNumber = labelNumber
        self.value = value
        self.currency = currency
        self.score = score
        self.predictionTime_ms = predictionTime_ms
        self.predictionTimeIsExact = predictionTimeIsExact
        self.segment = segment
        self.line = line
    }

    /// Begin of the prediction's hour in seconds since the epoch, where it is known or hinted.
    package var predictionHour_s: Int64? { predictionTime_ms.map { Period.hour(ofMs: $0) } }
}

/// One deployment line, for `nadi_store.deployment`.
package struct DeploymentRow: Hashable, Sendable {
    /// Place in ``Aggregates/models``.
    package var model: Int
    package var time_ms: Int64
    package var version: String
    package var previousVersion: String?
    /// `deploy` where the event has none.
    package var action: String
    package var actor: String?
    package var environment: String
    /// Place in ``Aggregates/segments``.
    package var segment: Int
    /// The line's number in the segment, from 1.
    package var line: Int

    package init(
        model: Int, time_ms: Int64, version: String, previousVersion: String?, action: String, actor: String?,
        environment: String, segment: Int, line: Int
    ) {
        self.model = model
        self.time_ms = time_ms
        self.version = version
        self.previousVersion = previousVersion
        self.action = action
        self.actor = actor
        self.environment = environment
        self.segment = segment
        self.line = line
    }
}

/// Begins of minutes, hours and days (UTC), in seconds since the epoch.
package enum Period {
    package static let minute_s: Int64 = 60
    package static let hour_s: Int64 = 3600
    package static let day_s: Int64 = 86_400

    /// Begin of the minute that an instant in milliseconds is in.
    @inline(__always)
    package static func minute(ofMs time_ms: Int64) -> Int64 { floor(time_ms, 60_000) * 60 }

    /// Begin of the hour that an instant in milliseconds is in.
    @inline(__always)
    package static func hour(ofMs time_ms: Int64) -> Int64 { floor(time_ms, 3_600_000) * 3600 }

    /// Begin of the hour that an instant in seconds is in.
    @inline(__always)
    package static func hour(of time_s: Int64) -> Int64 { floor(time_s, 3600) * 3600 }

    /// Begin of the day that an instant in seconds is in.
    @inline(__always)
    package static func day(of time_s: Int64) -> Int64 { floor(time_s, 86_400) * 86_400 }

    @inline(__always)
    private static func floor(_ number: Int64, _ divisor: Int64) -> Int64 {
        number >= 0 ? number / divisor : (number - divisor + 1) / divisor
    }
}
