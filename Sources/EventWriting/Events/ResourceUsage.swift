import EventModel

/// What a process used over the last ``interval_seconds``.
public struct ResourceUsage: Sendable {
    /// One graphics processor's share.
    public struct GPU: Sendable {
        /// The device's number.
        public var index: Int
        /// 0 to 1.
        public var utilization_ratio: Double?
        /// Memory in use, in bytes.
        public var memory_used_bytes: Int?
        /// Memory of the device, in bytes.
        public var memory_limit_bytes: Int?
        /// Temperature in degrees Celsius.
        public var temperature_celsius: Double?
        /// Power drawn, in watts.
        public var power_watts: Double?

        /// A device by its number.
        public init(index: Int) { self.index = index }
    }

    /// How long was measured, in seconds; more than 0.
    public var interval_seconds: Double
    /// The model that runs here, where it is one.
    public var model: String?
    /// 0 to 1 of the limit.
    public var cpu_utilization_ratio: Double?
    /// Processor time used in this interval, in seconds.
    public var cpu_seconds: Double?
    /// Resident memory, in bytes.
    public var memory_rss_bytes: Int?
    /// Limit on memory, in bytes.
    public var memory_limit_bytes: Int?
    /// Open file descriptors.
    public var open_fds: Int?
    /// Threads of the process.
    public var threads: Int?
    /// Requests being answered.
    public var inflight_requests: Int?
    /// Requests waiting.
    public var queue_depth: Int?
    /// Free room on the disk, in bytes.
    public var disk_free_bytes: Int?
    /// At most 64.
    public var gpus: [GPU] = []
    /// Time, ids, tags.
    public var context = EventContext()

    /// Usage over an interval, in seconds.
    public init(interval_seconds: Double) { self.interval_seconds = interval_seconds }

    /// The common case in one expression.
    public static func resource(
        interval_seconds: Double, cpu_utilization_ratio: Double? = nil, cpu_seconds: Double? = nil,
        memory_rss_bytes: Int? = nil, memory_limit_bytes: Int? = nil, inflight_requests: Int? = nil,
        queue_depth: Int? = nil, gpus: [GPU] = [], time_ms: Int64? = nil
    ) -> ResourceUsage {
        var event = ResourceUsage(interval_seconds: interval_seconds)
        event.cpu_utilization_ratio = cpu_utilization_ratio
        event.cpu_seconds = cpu_seconds
        event.memory_rss_bytes = memory_rss_bytes
        event.memory_limit_bytes = memory_limit_bytes
        event.inflight_requests = inflight_requests
        event.queue_depth = queue_depth
        event.gpus = gpus
        event.context.time_ms = time_ms
        return event
    }

    borrowing func write(to event: inout EventFields) {
        if !(interval_seconds > 0 && interval_seconds.isFinite) || gpus.count > 64 { event.line.isInvalid = true }
        event.optional(",\"interval_seconds\":", interval_seconds)
        event.optional(",\"model_name\":", name: model)
        event.optional(",\"cpu_utilization_ratio\":", atLeastZero: cpu_utilization_ratio)
        event.optional(",\"cpu_seconds\":", atLeastZero: cpu_seconds)
        event.optional(",\"memory_rss_bytes\":", count: memory_rss_bytes)
        event.optional(",\"memory_limit_bytes\":", count: memory_limit_bytes)
        event.optional(",\"open_fds\":", count: open_fds)
        event.optional(",\"threads\":", count: threads)
        event.optional(",\"inflight_requests\":", count: inflight_requests)
        event.optional(",\"queue_depth\":", count: queue_depth)
        event.optional(",\"disk_free_bytes\":", count: disk_free_bytes)
        if !gpus.isEmpty { writeGPUs(to: &event) }
        context.write(to: &event)
    }

    private func writeGPUs(to event: inout EventFields) {
        event.line.append(",\"gpus\":[")
        for (place, gpu) in gpus.enumerated() {
            event.line.append(place == 0 ? "{\"index\":" : ",{\"index\":")
            if !(0..<EventLimits.countLimit).contains(gpu.index) { event.line.isInvalid = true }
            event.line.append(gpu.index)
            event.optional(",\"utilization_ratio\":", atLeastZero: gpu.utilization_ratio)
            event.optional(",\"memory_used_bytes\":", count: gpu.memory_used_bytes)
            event.optional(",\"memory_limit_bytes\":", count: gpu.memory_limit_bytes)
            event.optional(",\"temperature_celsius\":", gpu.temperature_celsius)
            event.optional(",\"power_watts\":", atLeastZero: gpu.power_watts)
            event.line.append("}")
        }
        event.line.append("]")
    }
}
