internal import ModelStatistics

/// Which columns of a file are what; the rest are features.
package struct RowOptions: Sendable {
    /// Column of the time; nil for `time`, where there is one.
    package var time: String?
    /// Column of the prediction; nil for `prediction`, where there is one.
    package var prediction: String?
    /// Column of the score; nil for `score`, where there is one.
    package var score: String?
    /// Column of the label; nil for `label`, where there is one.
    package var label: String?
    /// Classes and the columns of their scores.
    package var classScores: [(className: String, column: String)] = []
    /// Columns that are left out.
    package var ignored: Set<String> = []
    /// Texts of a CSV file that say that a value is missing, besides the empty one and NaN.
    package var missing: Set<String> = []
    /// What separates fields of a CSV file; nil for a comma.
    package var delimiter: UInt8?

    package init() {}

    /// What a column is.
    enum Role: Equatable {
        case time, prediction, score, label
        case classScore(String)
        case feature
        case ignored
    }

    /// - Throws: ``LoadError`` with ``LoadError/Code/reference`` for a column that two options name.
    package func check() throws(LoadError) {
        let named = [time, prediction, score, label].compactMap { $0 } + classScores.map(\.column) + ignored
        var seen: Set<String> = []
        for name in named where !seen.insert(name).inserted {
            throw LoadError(
                .reference,
                "the column \(name) is named by two of --time, --prediction, --score, --class-score, --label "
                    + "and --ignore", remedy: "A column is one of them")
        }
    }

    /// The options that name columns and were given, `--ignore` left out.
    var columnOptions: [String] {
        let named = [("--time", time), ("--prediction", prediction), ("--score", score), ("--label", label)]
        return named.filter { $0.1 != nil }.map(\.0) + (classScores.isEmpty ? [] : ["--class-score"])
    }

    /// What the column of a name is.
    func role(_ column: String) -> Role {
        if ignored.contains(column) { return .ignored }
        if column == time ?? "time" { return .time }
        if column == prediction ?? "prediction" { return .prediction }
        if column == score ?? "score" { return .score }
        if column == label ?? "label" { return .label }
        for one in classScores where one.column == column { return .classScore(one.className) }
        return .feature
    }

    /// Columns that were named and are not there.
    func absent(_ columns: [String]) -> [String] {
        let known = Set(columns)
        let named = [time, prediction, score, label].compactMap { $0 } + classScores.map(\.column) + ignored.sorted()
        return named.filter { !known.contains($0) }
    }
}

extension ReferenceBuilder {
    /// Sets what a column of the row at hand holds.
    ///
    /// - Returns: false where the value is not what the column's role wants.
    mutating func set(_ role: RowOptions.Role, feature: Int, _ value: ReferenceValue) -> Bool {
        switch role {
        case .ignored: return true
        case .feature: set(feature, value)
        case .prediction: setPrediction(value)
        case .label: setLabel(value)
        case .score:
            guard case .number(let score) = value, score >= 0, score <= 1 else { return value == .missing }
            setScore(score)
        case .classScore(let name):
            guard case .number(let score) = value, score >= 0, score <= 1 else { return value == .missing }
            setClassScore(name, score)
        case .time:
            switch value {
            case .missing: return true
            case .text(let text):
                guard let time = LooseTime.parse(text) else { return false }
                setTime(time)
            case .number(let number):
                guard let time = LooseTime.parse(epoch: number) else { return false }
                setTime(time)
            case .bool, .other: return false
            }
        }
        return true
    }
}
