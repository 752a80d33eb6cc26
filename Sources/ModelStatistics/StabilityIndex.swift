internal import Glibc

/// The population stability index of two histograms over the same groups.
///
/// Sum of (p - q) ln(p / q) with p = (a + 0.5) / (N + 0.5 B): the half count keeps empty groups finite, whatever the sizes.
///
/// - Returns: 0 where there are no groups.
package func populationStabilityIndex(_ baseline: [Int64], _ current: [Int64]) -> Double {
    precondition(baseline.count == current.count, "both histograms have the same groups")
    let groups = Double(baseline.count)
    let all = Double(baseline.reduce(0, +)) + 0.5 * groups
    let now = Double(current.reduce(0, +)) + 0.5 * groups
    var sum = 0.0
    for (a, b) in zip(baseline, current) {
        let p = (Double(a) + 0.5) / all
        let q = (Double(b) + 0.5) / now
        sum += (p - q) * log(p / q)
    }
    return sum
}

/// Numbers that look random and are the same in every run: splitmix64 (Steele, Lea and Flood, 2014).
package struct SplitMix: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(_ seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mixed(state)
    }

    /// A mixture of all bits.
    package static func mixed(_ value: UInt64) -> UInt64 {
        var bits = value
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}
