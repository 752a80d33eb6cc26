/// What any event may carry beside its content.
public struct EventContext: Sendable {
    /// When it happened, in milliseconds since the epoch; nil means now.
    public var time_ms: Int64?
    /// When the line was written, in milliseconds since the epoch, where that differs from ``time_ms``.
    public var recorded_time_ms: Int64?
    /// The event's id, where the service has one of its own; nil means a new UUIDv7.
    public var id: String?
    /// The request that it belongs to.
    public var request_id: String?
    /// W3C trace id, 32 lower-case hexadecimal digits.
    public var trace_id: String?
    /// W3C span id, 16 lower-case hexadecimal digits.
    public var span_id: String?
    /// Version of the service, not of the model.
    public var service_version: String?
    /// Which instance of the service wrote it, for example a pod's name.
    public var instance: String?
    /// Slice dimensions of low cardinality: at most 8; numbers and flags become text.
    public var tags: NamedValues = NamedValues()
    /// Anything else worth keeping: archived, never aggregated.
    public var extra: NamedValues = NamedValues()

    /// A context; nothing in it must be given.
    public init(
        time_ms: Int64? = nil, recorded_time_ms: Int64? = nil, id: String? = nil, service_version: String? = nil,
        instance: String? = nil, request_id: String? = nil, trace_id: String? = nil, span_id: String? = nil,
        tags: NamedValues = NamedValues(), extra: NamedValues = NamedValues()
    ) {
        self.time_ms = time_ms
        self.recorded_time_ms = recorded_time_ms
        self.id = id
        self.service_version = service_version
        self.instance = instance
        self.request_id = request_id
        self.trace_id = trace_id
        self.span_id = span_id
        self.tags = tags
        self.extra = extra
    }

    borrowing func write(to event: inout EventFields) {
        event.optional(",\"recorded_time\":", time_ms: recorded_time_ms)
        event.optional(",\"service_version\":", name: service_version)
        event.optional(",\"instance\":", name: instance)
        event.optional(",\"request_id\":", name: request_id)
        event.optional(",\"trace_id\":", hex: trace_id, digits: 32)
        event.optional(",\"span_id\":", hex: span_id, digits: 16)
        event.tags(tags)
        event.extra(extra)
    }
}
