import ServiceSupport
import Testing

@Suite struct BackoffTests {
    private let backoff = Backoff(base: .milliseconds(200), cap: .seconds(60), floor: .milliseconds(50))

    @Test func boundsDoubleUpToTheCap() {
        let bounds = (1...12).map { backoff.delay(failures: $0, random: 1) }
        #expect(bounds.prefix(4) == [.milliseconds(200), .milliseconds(400), .milliseconds(800), .milliseconds(1600)])
        #expect(bounds.suffix(3) == [.seconds(60), .seconds(60), .seconds(60)])
        #expect(backoff.delay(failures: .max, random: 1) == .seconds(60))
    }

    @Test func jitterIsFull() {
        #expect(backoff.delay(failures: 9, random: 0) == .milliseconds(50))
        #expect(backoff.delay(failures: 10, random: 0.5) == .seconds(30))
    }

    @Test func theServersWishIsHonouredWithinReason() {
        #expect(backoff.delay(failures: 1, random: 0, retryAfter: .seconds(7)) == .seconds(7))
        #expect(backoff.delay(failures: 20, random: 1, retryAfter: .seconds(7)) == .seconds(60))
        #expect(backoff.delay(failures: 1, random: 0, retryAfter: .seconds(86_400)) == .seconds(600))
    }
}
