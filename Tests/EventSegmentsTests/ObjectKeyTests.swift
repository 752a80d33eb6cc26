import EventSegments
import Testing

@Suite struct ObjectKeyTests {
    private func manifest(sealed: [Int64]) -> Manifest {
        Manifest(
            host: "web-1.example",
            segments: sealed.enumerated().map { index, sealed_ms in
                Manifest.Segment(
                    writer: "web-1.example-0192f0c1a2b37c4d8e9f00112233445a", seq: index, sealed_ms: sealed_ms,
                    lines: 10 + index, rawBytes: 100, rawSHA256: String(repeating: "ab", count: 32), offset: 0,
                    compressedBytes: 10, file: "f")
            })
    }

    @Test func namesTheHourOfTheNewestSeal() {
        let key = ObjectKey(prefix: "/team/ml/", manifest: manifest(sealed: [1_700_000_000_000, 1_709_251_199_999]))
        #expect(key.path.hasPrefix("team/ml/events/dt=2024-02-29/hr=23/web-1.example/1709251199999-2-21-"))
        #expect(key.path.hasSuffix(".jsonl.zst"))
    }

    @Test(arguments: ["", "nadi", "a/b"]) func readsItsOwnPaths(prefix: String) {
        let key = ObjectKey(prefix: prefix, manifest: manifest(sealed: [1_700_000_000_000]))
        #expect(ObjectKey(parsing: key.path, prefix: prefix) == key)
        #expect(ObjectKey(parsing: key.path, prefix: "other") == nil)
        #expect(key.path.hasPrefix(ObjectKey.hourFolder(prefix: prefix, hourContaining_ms: 1_700_000_123_456)))
    }

    @Test(arguments: [
        "events/dt=2023-11-14/hr=22/h/1700000000000-1-10-0123456789abcdef.jsonl",
        "events/dt=2023-11-14/hr=22/h/1700000000000-1-10-0123456789abcdeg.jsonl.zst",
        "events/dt=2023-11-14/hr=21/h/1700000000000-1-10-0123456789abcdef.jsonl.zst",
        "events/dt=2023-11-14/hr=22/h/01700000000000-1-10-0123456789abcdef.jsonl.zst",
        "events/dt=2023-11-14/hr=22/h/1700000000000-1-0123456789abcdef.jsonl.zst",
        "events/dt=2023-11-14/hr=22/h/x/1700000000000-1-10-0123456789abcdef.jsonl.zst",
        "hosts/h.json", "",
    ]) func refusesOtherNames(path: String) {
        #expect(ObjectKey(parsing: path, prefix: "") == nil)
    }

    @Test func hashCoversIdentityAndNothingElse() {
        var manifest = manifest(sealed: [1_700_000_000_000])
        let hash = ObjectKey.hash(of: manifest.segments)
        // printf 'web-1.example-0192f0c1a2b37c4d8e9f00112233445a\t0\t10\tabab…\n' | sha256sum
        #expect(hash.utf8.count == 16)
        manifest.segments[0].compressedBytes = 99
        manifest.segments[0].offset = 7
        manifest.segments[0].file = "g"
        #expect(ObjectKey.hash(of: manifest.segments) == hash)
        manifest.segments[0].lines += 1
        #expect(ObjectKey.hash(of: manifest.segments) != hash)
    }

    @Test func hostReportsStandBesideTheEvents() {
        #expect(ObjectKey.hostReport(prefix: "", host: "a") == "hosts/a.json")
        #expect(ObjectKey.hostReport(prefix: "p", host: "a") == "p/hosts/a.json")
    }
}
