/// What a loader does, apart from where its store and its database are.
package struct LoadSettings: Sendable {
    /// What stands before `events/` and `hosts/` in keys; empty for none.
    package var prefix = ""
    /// Tags whose values become slices.
    package var sliceTags: [String] = []
    /// Most distinct names that are admitted to the dictionaries.
    package var caps = Caps()
    /// When a batch is committed.
    package var batch = BatchLimits()
    /// How long things are kept.
    package var retention = Retention()
    /// When outcomes are joined again.
    package var join = JoinThresholds()
    /// How much of the daily sweep is done in one run.
    package var sweep = SweepLimits()
    /// How long a claimed object is left to its loader, in seconds.
    package var lease_s: Int64 = 900
    /// How many objects are downloaded and parsed at once; 0 for one per core, but 8.
    package var parallelism = 0
    /// This loader's name in claims.
    package var owner = "loader"
    /// The program's version, for `load_run`.
    package var version = "0.1.0"

    package init() {}

    /// Caps of the dictionaries: beyond them counts go to `other`.
    package struct Caps: Sendable {
        /// Models in the database.
        package var models = 200
        /// Series of one model.
        package var seriesPerModel = 2000
        /// Features of one model.
        package var featuresPerModel = 500
        /// Categories of one feature.
        package var categoriesPerFeature = 200
        /// Values of one tag of one model.
        package var sliceValues = 50
        /// Instances of services, and their GPUs.
        package var resources = 50_000

        package init() {}
    }

    /// Limits of a batch: whichever is reached first closes it.
    package struct BatchLimits: Sendable {
        /// Objects.
        package var objects = 256
        /// Bytes before compression.
        ///
        /// Each batch merges all rows of its days once more: few large ones load a backlog a fifth faster than many.
        package var rawBytes = 2 << 30
        /// Lines.
        package var lines = 1_500_000
        /// Rows that the aggregates would write.
        package var rows = 200_000
        /// Memory of the rows of two batches, of which one commits while the other is filled, and of all objects being
        /// parsed, in bytes: the rows of one object that has more go through a temporary file.
        package var memoryBytes = 64 << 20

        package init() {}
    }

    /// Days that rows and objects are kept.
    package struct Retention: Sendable {
        /// Minute rows and rejected lines.
        package var minuteDays: Int64 = 35
        /// Outcome and feedback rows.
        package var labelDays: Int64 = 100
        /// Objects in the bucket; gone after this is `expired`, before it `lost`.
        package var archiveDays: Int64 = 400

        package init() {}
    }

    /// How much of the daily sweep is done in one run, so that what is new never waits long.
    package struct SweepLimits: Sendable {
        /// Hours, each as often as there are parts of the ids; at least one.
        package var hoursPerRun = 48
        /// Seconds after which no other hour is begun; as long as it took to begin, if that is longer.
        package var secondsPerRun = 10.0

        package init() {}
    }

    /// When an hour whose outcomes changed is joined again.
    package struct JoinThresholds: Sendable {
        /// Waiting outcomes as a share of the hour's predictions.
        package var share = 0.01
        /// Seconds since the oldest waiting change.
        ///
        /// 0 joins at once, however old the hour.
        package var age_s: Int64 = 900
        /// An hour waits at least this share of its own age, so that a trickle of labels for months of hours does not read
        /// the archive all day: at 5 %, an hour 90 days old is read at most every 4.5 days.
        package var ageShare = 0.05
        /// Hours joined in one run.
        package var hoursPerRun = 48
        /// Memory of outcomes and of what joins them, in bytes, for all hours that are joined at the same time; an hour with
        /// more is joined in parts, of which each reads the hour's objects.
        package var memoryBytes = 160 << 20
        /// Outcomes without a prediction that are written in a transaction of their own, of some seconds.
        package var lostAtATime = 200_000

        package init() {}
    }
}
