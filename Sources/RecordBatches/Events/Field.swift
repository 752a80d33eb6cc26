/// The fields of events that are read, by the names of the event schema.
enum Field: UInt8, CaseIterable, Sendable {
    case schema
    case type
    case time
    case id
    case recordedTime  // recorded_time
    case source
    case service
    case serviceVersion  // service_version
    case instance
    case environment
    case requestID  // request_id
    case traceID  // trace_id
    case spanID  // span_id
    case tags
    case extra
    case predictionID  // prediction_id
    case modelName  // model_name
    case modelVersion  // model_version
    case modelVariant  // model_variant
    case task
    case prediction
    case score
    case scores
    case threshold
    case features
    case featuresSchema  // features_schema
    case latencySeconds  // latency_seconds
    case queueSeconds  // queue_seconds
    case preprocessSeconds  // preprocess_seconds
    case inferenceSeconds  // inference_seconds
    case postprocessSeconds  // postprocess_seconds
    case status
    case errorType  // error_type
    case httpStatusCode  // http_status_code
    case route
    case batchSize  // batch_size
    case batchIndex  // batch_index
    case entityIDHash  // entity_id_hash
    case genai
    case name
    case label
    case value
    case valueCurrency  // value_currency
    case predictionTime  // prediction_time
    case labelTime  // label_time
    case labelSource  // label_source
    case weight
    case revision
    case explanation
    case annotatorKind  // annotator_kind
    case annotatorIDHash  // annotator_id_hash
    case intervalSeconds  // interval_seconds
    case cpuUtilizationRatio  // cpu_utilization_ratio
    case cpuSeconds  // cpu_seconds
    case memoryRssBytes  // memory_rss_bytes
    case memoryLimitBytes  // memory_limit_bytes
    case openFds  // open_fds
    case threads
    case inflightRequests  // inflight_requests
    case queueDepth  // queue_depth
    case diskFreeBytes  // disk_free_bytes
    case gpus
    case previousVersion  // previous_version
    case action
    case actor
    case referenceID  // reference_id
    case writer
    case segment
    case appended
    case written
    case dropped
    case end
    case adopted
    case found
    case replay

    /// What a field's value must be.
    enum Kind: UInt8 {
        /// Not a field of that type of event: ignored.
        case unknown
        /// 1 to 256 bytes without NUL.
        case name
        /// A finite number; one that is not negative; one that is positive; one from 0 to 1.
        case number, seconds, positive, probability
        /// An integer from 0 to 2^53 - 1.
        case count
        case boolean, time, tags, features, scores, object, gpus, scalar, prediction, explanation
        /// One of a few words.
        case status, task, action, labelSource, annotator
        case hex32, hex16, httpStatus, currency, dropped
        /// Checked before all others.
        case schema, type
    }

    /// The field's name in the event.
    var key: String { Self.names[Int(rawValue)] }

    static let names: [String] = [
        "schema", "type", "time", "id", "recorded_time", "source",
        "service", "service_version", "instance", "environment", "request_id", "trace_id",
        "span_id", "tags", "extra", "prediction_id", "model_name", "model_version",
        "model_variant", "task", "prediction", "score", "scores", "threshold",
        "features", "features_schema", "latency_seconds", "queue_seconds", "preprocess_seconds", "inference_seconds",
        "postprocess_seconds", "status", "error_type", "http_status_code", "route", "batch_size",
        "batch_index", "entity_id_hash", "genai", "name", "label", "value",
        "value_currency", "prediction_time", "label_time", "label_source", "weight", "revision",
        "explanation", "annotator_kind", "annotator_id_hash", "interval_seconds", "cpu_utilization_ratio",
        "cpu_seconds",
        "memory_rss_bytes", "memory_limit_bytes", "open_fds", "threads", "inflight_requests", "queue_depth",
        "disk_free_bytes", "gpus", "previous_version", "action", "actor", "reference_id",
        "writer", "segment", "appended", "written", "dropped", "end",
        "adopted", "found", "replay",
    ]

    /// The kind of a field in an event of a type.
    static func kind(_ field: Field, in type: EventType) -> Kind {
        switch (field, type) {
        case (.schema, _):
            .schema
        case (.type, _):
            .type
        case (.time, _), (.recordedTime, _), (.predictionTime, .outcome), (.predictionTime, .feedback),
            (.labelTime, .outcome):
            .time
        case (.id, _), (.source, _), (.service, _), (.serviceVersion, _), (.instance, _), (.environment, _),
            (.requestID, _), (.predictionID, .prediction), (.predictionID, .outcome), (.predictionID, .feedback),
            (.modelName, .prediction), (.modelName, .outcome), (.modelName, .feedback), (.modelName, .resource),
            (.modelName, .deployment), (.modelVersion, .prediction), (.modelVersion, .deployment),
            (.modelVariant, .prediction), (.featuresSchema, .prediction), (.errorType, .prediction),
            (.route, .prediction), (.entityIDHash, .prediction), (.entityIDHash, .outcome), (.name, .outcome),
            (.name, .feedback), (.label, .feedback), (.annotatorIDHash, .feedback), (.previousVersion, .deployment),
            (.actor, .deployment), (.referenceID, .deployment), (.writer, .writer):
            .name
        case (.traceID, _):
            .hex32
        case (.spanID, _):
            .hex16
        case (.tags, _):
            .tags
        case (.extra, _), (.genai, .prediction):
            .object
        case (.task, .prediction):
            .task
        case (.prediction, .prediction):
            .prediction
        case (.score, .prediction):
            .probability
        case (.score, .feedback), (.threshold, .prediction), (.value, .outcome), (.weight, .outcome):
            .number
        case (.scores, .prediction):
            .scores
        case (.features, .prediction):
            .features
        case (.latencySeconds, .prediction), (.queueSeconds, .prediction), (.preprocessSeconds, .prediction),
            (.inferenceSeconds, .prediction), (.postprocessSeconds, .prediction), (.cpuUtilizationRatio, .resource),
            (.cpuSeconds, .resource):
            .seconds
        case (.status, .prediction):
            .status
        case (.httpStatusCode, .prediction):
            .httpStatus
        case (.batchSize, .prediction), (.batchIndex, .prediction), (.revision, .outcome), (.revision, .feedback),
            (.memoryRssBytes, .resource), (.memoryLimitBytes, .resource), (.openFds, .resource),
            (.threads, .resource), (.inflightRequests, .resource), (.queueDepth, .resource),
            (.diskFreeBytes, .resource), (.segment, .writer), (.appended, .writer), (.written, .writer),
            (.found, .writer):
            .count
        case (.label, .outcome):
            .scalar
        case (.valueCurrency, .outcome):
            .currency
        case (.labelSource, .outcome):
            .labelSource
        case (.explanation, .feedback):
            .explanation
        case (.annotatorKind, .feedback):
            .annotator
        case (.intervalSeconds, .resource):
            .positive
        case (.gpus, .resource):
            .gpus
        case (.action, .deployment):
            .action
        case (.dropped, .writer):
            .dropped
        case (.end, .writer), (.adopted, .writer), (.replay, .writer):
            .boolean
        default:
            .unknown
        }
    }
}
