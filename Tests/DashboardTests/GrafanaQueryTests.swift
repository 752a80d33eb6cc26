import Testing

/// The expander says what Grafana's source says, so that the panel tests run what a dashboard would.
@Suite struct GrafanaQueryTests {
    let query = GrafanaQuery(
        from: 1_523_556_000_000, to: 1_523_559_600_500, interval: 5400,
        variables: ["model": ["a", "o'clock"], "none": []])

    @Test(arguments: [
        ("$__time(c)", "c AS \"time\""),
        ("$__timeFilter(c)", "c BETWEEN '2018-04-12T18:00:00Z' AND '2018-04-12T19:00:00.5Z'"),
        ("$__timeFrom()::timestamptz", "'2018-04-12T18:00:00Z'::timestamptz"),
        ("$__timeTo()", "'2018-04-12T19:00:00.5Z'"),
        ("$__timeGroup(c, '5m') AS t", "floor(extract(epoch from c)/300)*300 AS t"),
        ("$__timeGroup(c,5m), x", "floor(extract(epoch from c)/300)*300 AS \"time\", x"),
        ("$__timeGroupAlias(c,$__interval)", "floor(extract(epoch from c)/3600)*3600 AS \"time\""),
        ("$__interval_ms $__interval", "5400000 1h"),
        ("$__unixEpochFrom() $__unixEpochFilter(c)", "1523556000 c >= 1523556000 AND c <= 1523559600"),
        ("m IN (${model:sqlstring})", "m IN ('a','o''clock')"),
        ("ARRAY[${none:sqlstring}]::text[]", "ARRAY[]::text[]"),
    ])
    func expands(_ statement: String, _ expected: String) throws {
        #expect(try query.expand(statement) == expected)
    }

    @Test(arguments: ["$__nonsense(c)", "${model}", "${model:csv}", "${unknown:sqlstring}", "$fn(x)"])
    func refuses(_ statement: String) {
        #expect(throws: GrafanaQuery.Failure.self) { try query.expand(statement) }
    }
}
