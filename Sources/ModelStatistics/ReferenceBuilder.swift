package import RecordBatches

/// Takes rows and makes a ``Reference`` of them.
///
/// Rows are kept by column, eight bytes a value and each different text once, until ``build()``. Of more than ``Options/mostRows`` rows a uniform
/// sample is kept (reservoir, Vitter's algorithm R), always the same for the same rows in the same order.
package struct ReferenceBuilder: Sendable {
    package struct Options: Sendable {
        /// Kinds of features against what their values look like.
        package var kinds: [String: KindChoice] = [:]
        /// Most rows that are kept.
        package var mostRows = 1_000_000
        /// Features of events that are left out, see ``feature(number:name:)``.
        package var ignored: Set<ExactText> = []
        /// Most features; what comes after them is left out.
        package var mostFeatures = 1000
        /// Most categories of a feature; the rest counts as other.
        package var mostCategories = 200
        /// Whether numbers of a categorical feature are classes by their text, as in a file without types.
        package var numbersAreTexts = false
        /// What the model answers; nil to tell from the rows.
        package var task: ReferenceTask?
        /// From which score on a row without a prediction is positive.
        package var threshold = 0.5

        package init() {}
    }

    /// The share of numbers from which on a feature is numeric.
    static let numericShare = 0.95
    /// Most classes whose scores are kept.
    package static let mostClasses = 20
    /// Longest category in bytes; longer ones count as other.
    static let longestCategory = 256

    private(set) var options: Options
    private(set) var columns: [ReferenceColumn] = []
    private var places: [ExactText: Int] = [:]
    private var numbered: [Int] = []
    private(set) var prediction = ReferenceColumn(name: "prediction")
    private(set) var label = ReferenceColumn(name: "label")
    private(set) var scores: [Double] = []
    private(set) var classes: [ReferenceColumn] = []
    private var classPlaces: [ExactText: Int] = [:]
    private(set) var times: [Int64] = []
    /// Own thresholds of rows; nan where there is none.
    private(set) var thresholds: [Double] = []
    private var tasks: [ReferenceTask: Int] = [:]
    private var random = SplitMix(20_240_229)
    private var row = -1
    private var stamp = 0
    private(set) var droppedClasses = 0
    private(set) var droppedFeatures = 0
    private var ignoredSeen: Set<ExactText> = []

    /// How many rows came.
    package private(set) var rowsSeen = 0
    /// How many are kept.
    package var rowCount: Int { times.count }

    package init(_ options: Options = Options()) { self.options = options }

    /// How many rows are kept at most.
    package var mostRows: Int { options.mostRows }
    /// The features so far.
    package var featureNames: [String] { columns.map(\.name) }

    /// What was said of a feature's kind.
    package func choice(_ feature: String) -> KindChoice? { options.kinds[feature] }

    /// The task that rows named most often.
    var namedTask: ReferenceTask? {
        tasks.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }?.key
    }

    /// What is to be left out and never came.
    package var ignoredAbsent: [String] { options.ignored.subtracting(ignoredSeen).sorted().map(\.text) }

    /// The place of a feature, for ``set(_:_:)``; -1 for one beyond ``Options/mostFeatures``.
    ///
    /// Asked for once a name by whoever counts on ``droppedFeatures``.
    package mutating func feature(_ name: String) -> Int {
        if let place = places[ExactText(name)] { return place }
        guard columns.count < options.mostFeatures else {
            droppedFeatures += 1
            return -1
        }
        places[ExactText(name)] = columns.count
        columns.append(ReferenceColumn(name: name))
        return columns.count - 1
    }

    /// The place of an event's feature whose name the rows' reader has numbered; -1 where it is left out.
    ///
    /// - Parameter name: asked for once a number.
    package mutating func feature(number: Int, name: () -> String) -> Int {
        while numbered.count <= number { numbered.append(-2) }
        if numbered[number] == -2 {
            let name = name()
            let isIgnored = options.ignored.contains(ExactText(name))
            if isIgnored { ignoredSeen.insert(ExactText(name)) }
            numbered[number] = isIgnored ? -1 : feature(name)
        }
        return numbered[number]
    }

    /// Begins a row.
    ///
    /// - Returns: the row's place, for what is known of it later; nil where it is not in the sample: then nothing of it may
    ///   be set. A later row may take the same place.
    package mutating func beginRow() -> Int? {
        rowsSeen += 1
        stamp += 1
        if rowCount < options.mostRows {
            row = rowCount
            times.append(.min)
            scores.append(.nan)
            thresholds.append(.nan)
            return row
        }
        let place = Int(random.next() % UInt64(rowsSeen))
        guard place < options.mostRows else { return nil }
        row = place
        times[row] = .min
        scores[row] = .nan
        thresholds[row] = .nan
        for column in columns.indices { columns[column].set(row, .missing) }
        for place in classes.indices { classes[place].set(row, .missing) }
        prediction.set(row, .missing)
        label.set(row, .missing)
        return row
    }

    /// Sets a feature of the row at hand; the first value counts, and nothing is set at -1.
    package mutating func set(_ feature: Int, _ value: ReferenceValue) {
        guard feature >= 0, columns[feature].stamp != stamp else { return }
        columns[feature].stamp = stamp
        columns[feature].set(row, value)
    }

    package mutating func setPrediction(_ value: ReferenceValue) { prediction.set(row, value) }

    /// - Parameter score: what is no probability is left out.
    package mutating func setScore(_ score: Double) {
        if score >= 0, score <= 1 { scores[row] = score }
    }

    /// The probability of a class; what is none is left out, and so are classes beyond ``mostClasses``.
    package mutating func setClassScore(_ name: String, _ score: Double) {
        guard score >= 0, score <= 1 else { return }
        let place: Int
        if let found = classPlaces[ExactText(name)] {
            place = found
        } else {
            place = classes.count < Self.mostClasses ? classes.count : -1
            classPlaces[ExactText(name)] = place
            if place >= 0 { classes.append(ReferenceColumn(name: name)) } else { droppedClasses += 1 }
        }
        guard place >= 0, classes[place].stamp != stamp else { return }
        classes[place].stamp = stamp
        classes[place].set(row, .number(score))
    }

    package mutating func setLabel(_ value: ReferenceValue) { label.set(row, value) }

    /// The label of a row that is no longer at hand, by its place.
    package mutating func setLabel(_ value: ReferenceValue, row: Int) { label.set(row, value) }

    /// - Parameter time_ms: milliseconds since the epoch.
    package mutating func setTime(_ time_ms: Int64) { times[row] = time_ms }

    package mutating func setThreshold(_ threshold: Double) { thresholds[row] = threshold }

    /// Says that the rows come from a file without types: see ``Options/numbersAreTexts``.
    package mutating func takeNumbersAsTexts() { options.numbersAreTexts = true }

    /// What the row says the model answers.
    package mutating func setTask(_ task: ReferenceTask) { tasks[task, default: 0] += 1 }
}
