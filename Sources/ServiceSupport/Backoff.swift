/// How long to wait after failures: exponential with full jitter.
///
/// The n-th wait is uniform between `floor` and `min(cap, base 2^n)` ("Exponential Backoff And Jitter", AWS
/// Architecture Blog 2015: full jitter). There is no last attempt: whoever waits for data to be safe waits for ever.
package struct Backoff: Equatable, Sendable {
    /// The bound of the first wait.
    package var base: Duration
    /// The bound that waits do not grow beyond.
    package var cap: Duration
    /// The shortest wait, so that a low draw does not become a busy loop.
    package var floor: Duration

    package init(base: Duration = .milliseconds(200), cap: Duration = .seconds(60), floor: Duration = .milliseconds(50))
    {
        self.base = base
        self.cap = cap
        self.floor = floor
    }

    /// The wait after a failure.
    ///
    /// - Parameters:
    ///   - failures: how many came in a row, from 1.
    ///   - random: a draw from 0 up to 1.
    ///   - retryAfter: what the server asked for; the wait is not shorter, but never longer than ten times `cap`.
    package func delay(failures: Int, random: Double, retryAfter: Duration? = nil) -> Duration {
        var bound = base
        for _ in 1..<max(1, min(failures, 64)) where bound < cap { bound = bound * 2 }
        let wait = max(floor, min(bound, cap) * min(max(random, 0), 1))
        guard let retryAfter else { return wait }
        return max(wait, min(retryAfter, cap * 10))
    }
}
