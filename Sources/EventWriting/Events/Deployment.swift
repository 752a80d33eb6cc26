/// A model version came or went: a mark on every chart.
public struct Deployment: Sendable {
    /// What was done.
    public enum Action: String, Sendable {
        case deploy, rollback, promote, shadow_start, shadow_stop, retire
    }

    /// The model's name.
    public var model: String
    /// The version that came, or was retired.
    public var version: String
    /// The version before it.
    public var previous_version: String?
    /// What was done; nil means `deploy`.
    public var action: Action?
    /// Who did it.
    public var actor: String?
    /// The reference that the version was trained with.
    public var reference_id: String?
    /// Time, ids, tags.
    public var context = EventContext()

    /// A deployment with what it must have.
    public init(model: String, version: String) {
        self.model = model
        self.version = version
    }

    /// The common case in one expression.
    public static func deployment(
        model: String, version: String, previous_version: String? = nil, action: Action? = nil,
        actor: String? = nil, time_ms: Int64? = nil
    ) -> Deployment {
        var event = Deployment(model: model, version: version)
        event.previous_version = previous_version
        event.action = action
        event.actor = actor
        event.context.time_ms = time_ms
        return event
    }

    borrowing func write(to event: inout EventFields) {
        event.required(",\"model_name\":", name: model)
        event.required(",\"model_version\":", name: version)
        event.optional(",\"previous_version\":", name: previous_version)
        if let action { event.required(",\"action\":", name: action.rawValue) }
        event.optional(",\"actor\":", name: actor)
        event.optional(",\"reference_id\":", name: reference_id)
        context.write(to: &event)
    }
}
