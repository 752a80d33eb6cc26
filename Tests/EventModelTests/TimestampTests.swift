import EventModel
import Testing

struct TimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_428_930_123, "2026-11-23T10:15:30.123Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        ] as [(Int64, String)])
    func formatsAndReadsBack(time_ms: Int64, text: String) {
        #expect(Timestamp.format(time_ms) == text)
        #expect(Timestamp.parse(text) == time_ms)
    }

    @Test(
        arguments: [
            ("2026-11-23T10:15:30Z", 1_795_428_930_000),
            ("2026-11-23t10:15:30z", 1_795_428_930_000),
            ("2026-11-23 10:15:30Z", 1_795_428_930_000),
            ("2026-11-23T10:15:30.1Z", 1_795_428_930_100),
            ("2026-11-23T10:15:30.12Z", 1_795_428_930_120),
            ("2026-11-23T10:15:30.123999999Z", 1_795_428_930_123),
            ("2026-11-23T10:15:30+00:00", 1_795_428_930_000),
            ("2026-11-23T15:45:30.123456+05:30", 1_795_428_930_123),
            ("2026-11-22T22:15:30-12:00", 1_795_428_930_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ] as [(String, Int64)])
    func readsWhatRFC3339Allows(text: String, time_ms: Int64) {
        #expect(Timestamp.parse(text) == time_ms)
    }

    @Test(arguments: [
        "", "2026-11-23", "2026-11-23T10:15:30", "2026-11-23T10:15:30.Z", "2026-11-23T10:15:30.1234567890Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T10:60:00Z", "2026-11-23T10:15:61Z",
        "2026-11-23T10:15:30+0000", "2026-11-23T10:15:30+24:00", "2026-11-23T10:15:30+00:60", "2026-11-23T10:15:30ZZ",
        "2026-11-23T10:15:30.123", "2026/11/23T10:15:30Z", "-026-11-23T10:15:30Z", "1795428930123",
        "2026-11-23T10:15:3aZ",
        "２026-11-23T10:15:30Z",
    ])
    func refusesNonsense(text: String) {
        #expect(Timestamp.parse(text) == nil)
    }

    @Test func everyDayOfFourCenturiesFollowsTheOneBefore() {
        var expected = (year: 1800, month: 1, day: 1)
        var day = Timestamp.days(year: 1800, month: 1, day: 1)
        while expected.year < 2201 {
            let found = Timestamp.civil(Int64(day) * 86_400_000)
            guard found.year == expected.year, found.month == expected.month, found.day == expected.day else {
                Issue.record("day \(day): \(found), expected \(expected)")
                return
            }
            #expect(Timestamp.days(year: found.year, month: found.month, day: found.day) == day)
            let leap = expected.year % 4 == 0 && (expected.year % 100 != 0 || expected.year % 400 == 0)
            let lengths = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            expected.day += 1
            if expected.day > lengths[expected.month - 1] { expected = (expected.year, expected.month + 1, 1) }
            if expected.month > 12 { expected = (expected.year + 1, 1, 1) }
            day += 1
        }
        #expect(day == Timestamp.days(year: 2201, month: 1, day: 1))
    }

    @Test func clampsTimesOutsideFourDigitYears() {
        #expect(Timestamp.format(.max) == "9999-12-31T23:59:59.999Z")
        #expect(Timestamp.format(.min) == "0000-01-01T00:00:00.000Z")
    }
}
