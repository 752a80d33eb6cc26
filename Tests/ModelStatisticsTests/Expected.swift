import DurableIO
import TestSupport

/// What numpy and scikit-learn say: Tests/Fixtures/references/make.py.
enum Expected {
    static let table: [String: [Double]] = {
        let path = Fixtures.path("references/expected.txt")
        guard let bytes = try? DurableFile.read(path: path) else { fatalError("\(path) cannot be read") }
        var table: [String: [Double]] = [:]
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            table[String(words[0])] = words.dropFirst().map { word in
                guard let number = Double(word) else { fatalError("\(word) is no number") }
                return number
            }
        }
        return table
    }()

    static func all(_ name: String) -> [Double] {
        guard let values = table[name] else { fatalError("there is no \(name)") }
        return values
    }

    static func one(_ name: String) -> Double { all(name)[0] }

    static func isClose(_ left: Double, _ right: Double, _ tolerance: Double = 1e-12) -> Bool {
        (left - right).magnitude <= tolerance * max(1, right.magnitude)
    }
}
