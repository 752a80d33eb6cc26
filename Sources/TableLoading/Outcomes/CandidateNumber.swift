/// How a candidate of a join is called in the joiner's table: the row's number, where it stands, and whether an earlier join
/// looked for its prediction there and did not find it.
struct CandidateNumber {
    /// `outcome_no`.
    var number: Int64
    /// Hours from the joined one to the row's: -1, 0 or 1.
    var home: Int64
    var wasUnmatched: Bool

    init(number: Int64, home: Int64, wasUnmatched: Bool) {
        self.number = number
        self.home = home
        self.wasUnmatched = wasUnmatched
    }

    /// Of ``packed``.
    init(packed: Int64) {
        number = packed >> 3
        home = (packed >> 1 & 3) - 1
        wasUnmatched = packed & 1 == 1
    }

    var packed: Int64 { number << 3 | (home + 1) << 1 | (wasUnmatched ? 1 : 0) }
}
