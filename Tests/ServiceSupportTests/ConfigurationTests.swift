import ServiceSupport
import Testing

@Suite struct ConfigurationTests {
    private func root(
        _ text: String, keys: [String], environment: [String: String] = [:]
    ) throws -> ConfigurationSection {
        try ConfigurationDocument(text: text, file: "shipper.yaml", environment: environment).root(
            "shipper", keys: keys)
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func unknownKeysNameTheirLineAndTheKnownOnes() {
        let text = "host: a\nstore:\n  bucket: b\n  buket: c\n"
        #expect(
            message { _ = try root(text, keys: ["host", "stores"]) }
                == "shipper.yaml:2: unknown key 'store' in 'shipper'; known keys: host, stores")
        #expect(
            message {
                _ = try root(text, keys: ["host", "store"]).section("store", keys: ["bucket"])
            } == "shipper.yaml:4: unknown key 'buket' in 'shipper.store'; known keys: bucket")
    }

    @Test func readsEveryKindOfValue() throws {
        let text = """
            # a comment
            host: web-1
            size: 8MiB
            wait: 20s
            count: 7
            share: 0.5
            on: true
            list: [a, "b"]
            one: alone
            empty:
            tilde: ~
            quoted: ""
            map: {b: $.x, a: 1}
            streams:
              - name: s
              - name: t
            named:
              z: {name: u}
              y: {name: v}
            """
        let section = try root(
            text,
            keys: [
                "host", "size", "wait", "count", "share", "on", "list", "one", "empty", "tilde", "quoted", "map",
                "streams", "named", "absent",
            ])
        #expect(try section.string("host") == "web-1")
        #expect(try section.bytes("size", in: 1...(1 << 30)) == 8 << 20)
        #expect(try section.duration("wait", in: .zero ... .seconds(60)) == .seconds(20))
        #expect(try section.integer("count", in: 0...10) == 7)
        #expect(try section.number("share", in: 0...1) == 0.5)
        #expect(try section.bool("on") == true)
        #expect(try section.strings("list") == ["a", "b"])
        #expect(try section.strings("one") == ["alone"])
        #expect(try section.string("empty") == nil)
        #expect(!section.has("tilde"))
        #expect(try section.string("quoted") == "")
        #expect(try section.string("absent") == nil)
        #expect(try section.texts("map")?.map(\.text) == ["$.x", "1"])
        let streams = try #require(try section.sections("streams", keys: ["name"]))
        #expect(try streams.map { try $0.string("name") } == ["s", "t"])
        let named = try #require(try section.namedSections("named", keys: ["name"]))
        #expect(named.map(\.name) == ["z", "y"])
    }

    @Test(arguments: [
        ("v: 8", "'shipper.v' is '8'; it must be a time with its unit, such as 500ms, 30s, 5m, 2h or 7d"),
        ("v: 2h", "'shipper.v' is 2h; it must be from 1s to 1m"),
        ("v: [1s]", "'shipper.v' must be a text, not a list"),
    ]) func wrongValuesSayWhatWouldBeRight(text: String, expected: String) {
        #expect(
            message { _ = try root(text, keys: ["v"]).duration("v", in: .seconds(1) ... .seconds(60)) }
                == "shipper.yaml:1: \(expected)")
    }

    @Test func namesTheLineOfAWrongType() {
        #expect(
            message { _ = try root("a: 1\nb: maybe", keys: ["a", "b"]).bool("b") }
                == "shipper.yaml:2: 'shipper.b' is 'maybe'; it must be true or false")
        #expect(
            message { _ = try root("a: 1", keys: ["a", "b"]).requiredString("b") }
                == "shipper.yaml:1: 'shipper.b' is missing: give it a value")
        #expect(message { _ = try root("a: 1\na: 2", keys: ["a"]) } == "shipper.yaml:1: key 'a' stands there twice")
        #expect(message { _ = try root("a: [1\nb: 2", keys: ["a"]) }.hasPrefix("shipper.yaml:2: not valid YAML: "))
        #expect(message { _ = try root("- a", keys: ["a"]) }.contains("must be a mapping"))
    }

    @Test func anEmptyFileIsAnEmptyMapping() throws {
        #expect(try root("", keys: ["a"]).string("a") == nil)
        #expect(try root("# nothing\n", keys: ["a"]).string("a") == nil)
    }

    @Test func environmentVariablesStandInValuesOnly() throws {
        let environment = ["HOME_DIR": "/srv", "EMPTY": ""]
        let text = "a: ${HOME_DIR}/spool\nb: ${EMPTY:-x}\nc: ${NONE:-}\nd: $${HOME_DIR}\ne: $.input.*\nf: ${EMPTY}"
        let section = try root(text, keys: ["a", "b", "c", "d", "e", "f"], environment: environment)
        #expect(try section.string("a") == "/srv/spool")
        #expect(try section.string("b") == "x")
        #expect(try section.string("c") == nil)
        #expect(try section.string("d") == "${HOME_DIR}")
        #expect(try section.string("e") == "$.input.*")
        #expect(try section.string("f") == nil)
        #expect(
            message { _ = try root("x: 1\na: ${NONE}", keys: ["a", "x"]) }
                == "shipper.yaml:2: environment variable NONE is not set: set it, or give a default as ${NONE:-default}"
        )
        #expect(message { _ = try root("a: ${1X}", keys: ["a"]) }.contains("does not name a variable"))
        #expect(
            message { _ = try root("${HOME_DIR}: 1", keys: ["a"], environment: environment) }.contains("unknown key"))
    }

    @Test(arguments: [("512", 512), ("1KiB", 1024), ("10 MB", 10_000_000), ("2GiB", 2 << 30)])
    func readsSizes(text: String, bytes: Int) {
        #expect(Units.bytes(text) == bytes)
    }

    @Test(arguments: ["", "MiB", "1mib", "1.5MiB", "-1", "9999999999TiB"]) func refusesOtherSizes(text: String) {
        #expect(Units.bytes(text) == nil)
    }

    @Test func writesSizesAndTimes() {
        #expect(Units.text(bytes: 1023) == "1023 B")
        #expect(Units.text(bytes: 1 << 20) == "1 MiB")
        #expect(Units.text(bytes: 1_258_291) == "1.1 MiB")
        #expect(Units.text(.milliseconds(250)) == "250ms")
        #expect(Units.text(.seconds(60)) == "1m")
        #expect(Units.text(.seconds(7_530)) == "2h 5m")
    }
}
