import DurableIO
import TestSupport

/// A CSV file of the shape of NannyML's car_loan: an index, mixed columns, scores, predictions, labels, times.
struct TrainingFile {
    static let header =
        "id,car_value,salary_range,debt_to_income_ratio,loan_length,repaid_loan_on_prev_car,size_of_downpayment,driver_tenure,"
        + "repaid,timestamp,y_pred_proba,y_pred"
    static let options = [
        "--time", "timestamp", "--prediction", "y_pred", "--score", "y_pred_proba", "--label", "repaid", "--ignore",
        "id",
    ]

    let text: String

    /// - Parameter rows: one every 8 minutes 43 seconds.
    init(rows: Int, seed: UInt64 = 11) {
        var random = SeededGenerator(seed: seed)
        var lines = [Self.header]
        let salaries = ["0 - 20K €", "20K - 40K €", "\"40K, or more\""]
        for row in 0..<rows {
            let ratio = (Double.random(in: 0...1, using: &random) * 1e6).rounded() / 1e6
            let score = (Double.random(in: 0...1, using: &random) * 100).rounded() / 100
            let label = Double.random(in: 0...1, using: &random) < score * score ? "1.0" : "0.0"
            let seconds = row * 523
            let day = seconds / 86_400 % 28 + 1
            let clock = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }
            lines.append(
                [
                    "\(row)", "\(Double(Int.random(in: 5000...60_000, using: &random)))",
                    salaries[Int.random(in: 0..<3, using: &random)], row % 50 == 0 ? "" : "\(ratio)",
                    "\(Int.random(in: 1...8, using: &random))", row % 3 == 0 ? "True" : "False",
                    "\(Int.random(in: 0...4, using: &random) * 20)%", row % 100 == 7 ? "unknown" : "\(row % 12)", label,
                    "2018-01-\(day < 10 ? "0" : "")\(day) \(clock.joined(separator: ":")).000", "\(score)",
                    score >= 0.5 ? "1" : "0",
                ].joined(separator: ","))
        }
        text = lines.joined(separator: "\n") + "\n"
    }

    /// Writes it and returns its path.
    func write(_ folder: ScratchFolder, name: String = "train.csv") throws -> String {
        let path = folder[name]
        try DurableFile.replace(path: path, bytes: Array(text.utf8))
        return path
    }
}
