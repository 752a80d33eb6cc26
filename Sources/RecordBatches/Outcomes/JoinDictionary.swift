internal import Synchronization

/// The names that a join counts under, by number: series and classes that were admitted to the tables.
///
/// Predictions were admitted when they were loaded; what a cap refused then counts under `other` here too. Safe to share
/// between threads: they look a name up once and remember its number.
package final class JoinDictionary: Sendable {
    /// A model's names as the database has them.
    package struct Model: Sendable {
        package let name: String
        /// The series' numbers in the database; their ``SeriesKey/model`` is 0.
        package var series: [SeriesKey: Int64] = [:]
        /// Classes of the prediction by their numbers in the database.
        package var classes: [ExactText: Int64] = [:]

        package init(name: String) { self.name = name }
    }

    /// The class `other`.
    static let otherClass = Int32(0)
    /// What stands for a series that there is none of.
    static let none = Int32(-1)

    private struct State {
        var series: [SeriesKey: Int32] = [:]
        var seriesList: [SeriesKey] = []
        var seriesIDs: [Int64] = []
        var classes: [CategoryKey: Int32] = [:]
        var classList: [CategoryKey] = [CategoryKey(feature: -1, value: SliceName.other)]
        var classIDs: [Int64] = [0]
    }

    /// The models by number.
    package let models: [String]
    /// Whether names that are not there are given numbers rather than counted as `other`.
    private let isOpen: Bool
    private let state: Mutex<State>

    /// - Parameter models: those whose outcomes are joined.
    package init(_ models: [Model]) {
        self.models = models.map(\.name)
        isOpen = false
        var state = State()
        for (number, model) in models.enumerated() {
            for (key, id) in model.series {
                var key = key
                key.model = number
                state.series[key] = Int32(truncatingIfNeeded: state.seriesList.count)
                state.seriesList.append(key)
                state.seriesIDs.append(id)
            }
            for (text, id) in model.classes {
                let key = CategoryKey(feature: number, value: text.text)
                state.classes[key] = Int32(truncatingIfNeeded: state.classList.count)
                state.classList.append(key)
                state.classIDs.append(id)
            }
        }
        self.state = Mutex(state)
    }

    /// One that takes every name as it comes.
    package init(open models: [String]) {
        self.models = models
        isOpen = true
        state = Mutex(State())
    }

    /// How many series there are now.
    var seriesCount: Int { state.withLock { $0.seriesList.count } }

    /// The series of a number, as named here; its model is the place in ``models``.
    package func series(_ number: Int) -> SeriesKey { state.withLock { $0.seriesList[number] } }

    /// The database's number of a series; in an open dictionary 0.
    package func seriesID(_ number: Int) -> Int64 {
        state.withLock { $0.seriesIDs.indices.contains(number) ? $0.seriesIDs[number] : 0 }
    }

    /// The class of a number.
    package func className(_ number: Int) -> String { state.withLock { $0.classList[number].value } }

    /// The database's number of a class, 0 for `other`; in an open dictionary 0.
    package func classID(_ number: Int) -> Int64 {
        state.withLock { $0.classIDs.indices.contains(number) ? $0.classIDs[number] : 0 }
    }

    /// The number of a class of a model's predictions; nil where it was not admitted.
    func find(class text: String, model: Int) -> Int32? {
        state.withLock { state in
            let key = CategoryKey(feature: model, value: text)
            if let found = state.classes[key] { return found }
            guard isOpen else { return nil }
            let number = Int32(truncatingIfNeeded: state.classList.count)
            state.classes[key] = number
            state.classList.append(key)
            return number
        }
    }

    /// The series that a prediction's counts go to: the one of its names, else as admission renamed what is beyond a cap.
    ///
    /// Always one of the prediction's own model: a swap replaces the rows of the models that it joins. Where the model was
    /// admitted after the prediction was counted, there may be none, and ``none`` is counted nowhere.
    func find(_ key: SeriesKey) -> Int32 {
        state.withLock { state in
            if let found = state.series[key] { return found }
            if isOpen {
                let number = Int32(truncatingIfNeeded: state.seriesList.count)
                state.series[key] = number
                state.seriesList.append(key)
                return number
            }
            for isOther in [false, true] {
                for value in [key.sliceValue, SliceName.other] {
                    var other = key
                    other.sliceValue = value
                    if isOther {
                        other.version = SliceName.other
                        other.variant = Self.variant
                        other.environment = Self.environment
                    }
                    if let found = state.series[other] { return found }
                }
            }
            return Self.none
        }
    }

    private static let variant = "champion"
    private static let environment = "default"
}
