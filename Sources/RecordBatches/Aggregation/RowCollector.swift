internal import EventModel

/// Collects the rows of outcomes, feedback, deployments and resources: rare beside predictions, made with strings.
struct RowCollector {
    private(set) var models: [String] = []
    private var modelPlaces: [ExactText: Int] = [:]
    private(set) var outcomes: [OutcomeRow] = []
    private(set) var deployments: [DeploymentRow] = []
    private(set) var resources: [ResourceKey] = []
    private var resourcePlaces: [ResourceKey: Int] = [:]
    private(set) var resourceMinutes: [ResourceTimeKey: ResourceCounts] = [:]
    private(set) var resourceHours: [ResourceTimeKey: ResourceCounts] = [:]
    /// A guess at the memory in use.
    private(set) var bytes = 0

    private mutating func model(_ event: EventDecoder) -> Int {
        let name = ExactText(event.text(.modelName)?.string ?? "")
        if let place = modelPlaces[name] { return place }
        modelPlaces[name] = models.count
        models.append(name.text)
        return models.count - 1
    }

    mutating func addOutcome(_ event: EventDecoder, segment: Int, line: Int) {
        guard let predictionID = event.text(.predictionID) else { return }
        var labelText: String?
        var labelNumber: Double?
        if let label = event.value(.label) {
            switch label.kind {
            case TapeValue.Kind.string: labelText = label.text.string
            case TapeValue.Kind.yes: labelText = "true"
            case TapeValue.Kind.no: labelText = "false"
            default: labelNumber = label.number
            }
        }
        var time_ms: Int64?
        var isExact = false
        if let value = event.value(.predictionTime), let time = try? event.readTime(value, .predictionTime) {
            time_ms = time
            isExact = true
        } else {
            time_ms = Self.time(ofID: predictionID)
        }
        outcomes.append(
            OutcomeRow(
                model: model(event), type: event.type,
                name: event.text(.name)?.string ?? Defaults.outcomeName,
                predictionID: predictionID.string, revision: Int64(event.number(.revision) ?? 0),
                time_ms: event.time_ms, eventID: event.text(.id)?.string ?? "", labelText: labelText,
                labelNumber: labelNumber, value: event.number(.value), currency: event.text(.valueCurrency)?.string,
                score: event.number(.score), predictionTime_ms: time_ms, predictionTimeIsExact: isExact,
                segment: segment, line: line))
        bytes += 768
    }

    /// The time in a prediction id: a UUIDv7, alone or before a `#` and a row's number.
    private static func time(ofID id: TextBytes) -> Int64? {
        let bytes = UnsafeRawBufferPointer(start: id.start, count: id.count)
        if let uuid = UUIDv7(bytes: bytes) { return uuid.time_ms }
        guard id.count > 36, id.start[36] == UInt8(ascii: "#") else { return nil }
        return UUIDv7(bytes: UnsafeRawBufferPointer(rebasing: bytes[..<36]))?.time_ms
    }

    mutating func addDeployment(_ event: EventDecoder, segment: Int, line: Int) {
        deployments.append(
            DeploymentRow(
                model: model(event), time_ms: event.time_ms, version: event.text(.modelVersion)?.string ?? "",
                previousVersion: event.text(.previousVersion)?.string,
                action: event.text(.action)?.string ?? Defaults.action, actor: event.text(.actor)?.string,
                environment: (event.text(.environment) ?? Defaults.environment).string, segment: segment, line: line))
        bytes += 256
    }

    /// - Parameter isRecent: whether the event adds minute rows.
    mutating func addResource(_ event: EventDecoder, isRecent: Bool) {
        let source = event.text(.source)?.string ?? ""
        let parts = source.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let key = ResourceKey(
            service: event.text(.service)?.string ?? String(parts.first ?? ""),
            instance: event.text(.instance)?.string ?? (parts.count > 1 ? String(parts[1]) : ""),
            environment: (event.text(.environment) ?? Defaults.environment).string, device: "")
        let resource = place(key)
        add(event.number(.intervalSeconds) ?? 0, ResourceTimeKey.samples, resource, event.time_ms, isRecent)
        for field in Self.measures {
            guard let value = event.number(field) else { continue }
            add(value, field.key, resource, event.time_ms, isRecent)
        }
        guard let gpus = event.value(.gpus) else { return }
        let end = gpus.end
        var gpuPlace = gpus.index + 1
        while gpuPlace < end {
            let gpu = gpus.at(gpuPlace)
            gpuPlace = gpu.next
            guard let index = gpu.member(GPUMeasure.index)?.number else { continue }
            var gpuKey = key
            gpuKey.device = "gpu\(Int64(index))"
            let resource = place(gpuKey)
            add(event.number(.intervalSeconds) ?? 0, ResourceTimeKey.samples, resource, event.time_ms, isRecent)
            for measure in GPUMeasure.all {
                guard let value = gpu.member(measure.key)?.number else { continue }
                add(value, measure.name, resource, event.time_ms, isRecent)
            }
        }
    }

    private static let measures: [Field] = [
        .cpuUtilizationRatio, .cpuSeconds, .memoryRssBytes, .memoryLimitBytes, .openFds, .threads,
        .inflightRequests, .queueDepth, .diskFreeBytes,
    ]

    private mutating func place(_ key: ResourceKey) -> Int {
        if let place = resourcePlaces[key] { return place }
        resourcePlaces[key] = resources.count
        resources.append(key)
        return resources.count - 1
    }

    private mutating func add(
        _ value: Double, _ measure: String, _ resource: Int, _ time_ms: Int64, _ isRecent: Bool
    ) {
        let counts = ResourceCounts(value)
        let hour = ResourceTimeKey(resource: resource, measure: measure, time_s: Period.hour(ofMs: time_ms))
        if resourceHours[hour]?.merge(counts) == nil {
            resourceHours[hour] = counts
            bytes += 200
        }
        guard isRecent else { return }
        let minute = ResourceTimeKey(resource: resource, measure: measure, time_s: Period.minute(ofMs: time_ms))
        if resourceMinutes[minute]?.merge(counts) == nil {
            resourceMinutes[minute] = counts
            bytes += 200
        }
    }
}
