/// A series: model, version, variant, environment and one slice.
package struct SeriesKey: Hashable, Sendable {
    /// Place of the model in ``Aggregates/models``.
    package var model: Int
    package var version: String
    package var variant: String
    package var environment: String
    /// `all`, or a configured tag.
    package var sliceKey: String
    /// `all`, or the tag's value, or `missing`, or `other` beyond the cap.
    package var sliceValue: String

    package init(
        model: Int, version: String, variant: String, environment: String, sliceKey: String, sliceValue: String
    ) {
        self.model = model
        self.version = version
        self.variant = variant
        self.environment = environment
        self.sliceKey = sliceKey
        self.sliceValue = sliceValue
    }

    /// Whether the series is the slice `all`.
    package var isAll: Bool { sliceKey == SliceName.all && sliceValue == SliceName.all }
}

/// The words of slices that are not values of a tag.
package enum SliceName {
    /// Key and value of the slice that holds everything.
    package static let all = "all"
    /// The value of events without the tag.
    package static let missing = "missing"
    /// The value of events whose tag's value is beyond the cap.
    package static let other = "other"
}

/// An input feature, or the prediction itself.
package struct FeatureKey: Hashable, Sendable {
    /// What a feature is: the words of `nadi_store.feature.role`.
    package enum Role: String, Sendable, Comparable {
        case feature, prediction

        package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// The name of the prediction's own feature.
    package static let predictionName = "prediction"

    /// Place of the model in ``Aggregates/models``.
    package var model: Int
    package var role: Role
    package var name: String

    package init(model: Int, role: Role, name: String) {
        self.model = model
        self.role = role
        self.name = name
    }
}

/// A text value of a feature; booleans are `true` and `false`, a class that is a number its shortest text.
package struct CategoryKey: Hashable, Sendable {
    /// Place of the feature in ``Aggregates/features``.
    package var feature: Int
    package var value: String

    package init(feature: Int, value: String) {
        self.feature = feature
        self.value = value
    }
}

/// What resources are measured of: a service's instance, or one of its GPUs.
package struct ResourceKey: Hashable, Sendable {
    package var service: String
    package var instance: String
    package var environment: String
    /// Empty for the process itself; `gpu0`, `gpu1` and so on for its GPUs.
    package var device: String

    package init(service: String, instance: String, environment: String, device: String) {
        self.service = service
        self.instance = instance
        self.environment = environment
        self.device = device
    }

    /// What stands for this one where it is beyond a cap: GPUs stay apart from processes, whose samples are lines.
    package var other: ResourceKey {
        ResourceKey(
            service: "other", instance: "other", environment: "default", device: device.isEmpty ? "" : "other")
    }
}

/// A row of a series by time.
package struct TimeKey: Hashable, Sendable {
    /// Place in ``Aggregates/series``.
    package var series: Int
    /// Begin of the minute, hour or day, in seconds since the epoch.
    package var time_s: Int64

    package init(series: Int, time_s: Int64) {
        self.series = series
        self.time_s = time_s
    }
}

/// A row of a series and feature by time.
package struct FeatureTimeKey: Hashable, Sendable {
    /// Place in ``Aggregates/series``.
    package var series: Int
    /// Place in ``Aggregates/features``.
    package var feature: Int
    /// Begin of the hour or day, in seconds since the epoch.
    package var time_s: Int64

    package init(series: Int, feature: Int, time_s: Int64) {
        self.series = series
        self.feature = feature
        self.time_s = time_s
    }
}

/// A row of a series and class by time.
package struct ScoreTimeKey: Hashable, Sendable {
    /// The ``category`` of the field `score`, which belongs to no class; `category_id` 0 in the tables.
    package static let score = -1

    /// Place in ``Aggregates/series``.
    package var series: Int
    /// Place in ``Aggregates/categories`` of the class, one of the prediction's; or ``score``.
    package var category: Int
    /// Begin of the hour or day, in seconds since the epoch.
    package var time_s: Int64

    package init(series: Int, category: Int, time_s: Int64) {
        self.series = series
        self.category = category
        self.time_s = time_s
    }
}

/// A row of a resource and measure by time.
package struct ResourceTimeKey: Hashable, Sendable {
    /// The measure whose count is the number of lines; its sum is that of `interval_seconds`.
    package static let samples = "samples"

    /// Place in ``Aggregates/resources``.
    package var resource: Int
    /// The event's field, such as `cpu_utilization_ratio`, or ``samples``.
    package var measure: String
    /// Begin of the minute or hour, in seconds since the epoch.
    package var time_s: Int64

    package init(resource: Int, measure: String, time_s: Int64) {
        self.resource = resource
        self.measure = measure
        self.time_s = time_s
    }
}

/// The types of events, by the words of the field `type`.
package enum EventType: String, CaseIterable, Sendable, Comparable {
    case prediction, outcome, feedback, resource, deployment, writer

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Lines of one type in one hour.
package struct HourType: Hashable, Sendable {
    /// Begin of the hour (UTC), in seconds since the epoch.
    package var hour_s: Int64
    package var type: EventType

    package init(hour_s: Int64, type: EventType) {
        self.hour_s = hour_s
        self.type = type
    }
}
