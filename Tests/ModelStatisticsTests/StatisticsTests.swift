import ModelStatistics
import Sketches
import TestSupport
import Testing

/// Against numpy and scikit-learn.
struct StatisticsTests {
    @Test(arguments: ["normal", "ties", "lognormal", "offset", "two", "codes"])
    func edgesCountsAndGroupsAreNumpys(_ name: String) {
        let values = Expected.all("\(name).values").sorted()
        let bins = FrozenEdges(sorted: values)
        #expect(bins.edges == Expected.all("\(name).edges"))
        #expect(bins.counts.map(Double.init) == Expected.all("\(name).counts"))
        #expect(bins.deciles.map(Double.init) == Expected.all("\(name).deciles"))
        var moments = Moments()
        values.withUnsafeBufferPointer { moments.add($0) }
        #expect(Expected.isClose(moments.meanHigh + moments.meanLow, Expected.one("\(name).mean"), 1e-12))
        #expect(Expected.isClose(moments.m2, Expected.one("\(name).m2"), 1e-9))
    }

    @Test func isotonicRegressionIsScikitLearns() {
        let regression = IsotonicRegression(
            places: Expected.all("isotonic.places"), means: Expected.all("isotonic.means"),
            weights: Expected.all("isotonic.weights"))
        for (place, value) in zip(Expected.all("isotonic.at"), Expected.all("isotonic.values")) {
            #expect(Expected.isClose(regression.value(at: place), value))
        }
        #expect(zip(regression.values, regression.values.dropFirst()).allSatisfy { $0 <= $1 })
    }

    @Test func binaryMeasuresAreScikitLearns() {
        let scores = Expected.all("binary.scores")
        let labels = Expected.all("binary.labels").map { $0 == 1 }
        let measures = PerformanceMeasures.binary(predicted: scores.map { $0 >= 0.5 }, labels: labels, scores: scores)
        for name in ["accuracy", "precision", "recall", "f1", "roc_auc"] {
            #expect(Expected.isClose(measures[name] ?? -1, Expected.one("binary.\(name)")), "\(name)")
        }
        let pairs = zip(Expected.all("binary.distinct"), labels).map { (probability: $0, isTrue: $1) }
        #expect(Expected.isClose(expectedCalibrationError(pairs), Expected.one("binary.error")))
    }

    @Test func multiclassMeasuresAreScikitLearns() {
        let measures = PerformanceMeasures.multiclass(
            predicted: Expected.all("classes.predicted").map { Int($0) },
            labels: Expected.all("classes.labels").map { Int($0) }, classes: 4,
            scores: (0..<4).map { (class: $0, values: Expected.all("classes.scores\($0)")) })
        for name in ["accuracy", "precision", "recall", "f1", "roc_auc"] {
            #expect(Expected.isClose(measures[name] ?? -1, Expected.one("classes.\(name)")), "\(name)")
        }
    }

    @Test func theStabilityIndexIsNumpys() {
        let baseline = Expected.all("psi.baseline").map { Int64($0) }
        let current = Expected.all("psi.current").map { Int64($0) }
        #expect(Expected.isClose(populationStabilityIndex(baseline, current), Expected.one("psi.value")))
        #expect(populationStabilityIndex(baseline, baseline) == 0)
        #expect(populationStabilityIndex([], []) == 0)
    }

    @Test func whatIsNotDefinedIsLeftOut() {
        let none = PerformanceMeasures.binary(predicted: [false, false], labels: [false, false], scores: [.nan, 0.2])
        #expect(none == ["accuracy": 1])
        #expect(PerformanceMeasures.areaUnderCurve([]) == nil)
        #expect(PerformanceMeasures.areaUnderCurve([(0.5, true), (0.5, false)]) == 0.5)
        #expect(PerformanceMeasures.multiclass(predicted: [], labels: [], classes: 0, scores: []) == [:])
        #expect(expectedCalibrationError([]) == 0)
    }
}
