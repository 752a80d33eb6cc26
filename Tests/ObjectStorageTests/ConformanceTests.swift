import DurableIO
import ObjectStorage
import TestSupport
import Testing

/// What every store must do, run on each.
@Suite struct ConformanceTests {
    @Test(.enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"))
    func theS3ServersTakePart() {
        #expect(StoreKind.available.contains(.s3))
        // Tests/run starts all of them; with --s3 there is one.
        if TestServers.variable("NADI_TEST_S3_ALONE") == nil, TestServers.variable("NADI_TEST_BINARIES") != nil {
            #expect(StoreKind.available == StoreKind.allCases)
        }
    }

    @Test(arguments: StoreKind.available) func putHeadGet(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let (store, key) = (fixture.store, fixture.prefix + "events/dt=2026-11-23/hr=04/web-1/1-2-3.jsonl.zst")
        let abilities = try await kind.abilities()
        _ = try await store.put(key, [0], PutOptions(isTrial: true))
        var generator = SeededGenerator(seed: 1)
        for length in [0, 1, 100_000, 3_000_000] {
            let body = generator.bytes(length)
            let receipt = try await store.put(key, body, PutOptions(contentType: "application/zstd"))
            #expect(!receipt.alreadyExisted)
            if abilities.etagIsMD5 { #expect(receipt.etag == hex(MD5.hash(body))) }
            let info = try #require(try await store.head(key))
            #expect(info.key == key && info.size == length)
            #expect(info.sha256 == (abilities.headGivesSHA256 ? SHA256.hash(body) : nil))
            #expect(info.modified_ms > 1_700_000_000_000)
            #expect(try await store.get(key) == body)
        }
    }

    @Test(arguments: StoreKind.available) func ranges(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let (store, key) = (fixture.store, fixture.prefix + "r")
        let body = Array(0..<200 as Range<UInt8>)
        _ = try await store.put(key, body, PutOptions())
        for range in [0..<1, 0..<200, 10..<20, 199..<200, 150..<900, 5..<5] {
            let part = Array(body[range.clamped(to: 0..<200)])
            #expect(try await store.get(key, range: range) == part, "\(range)")
        }
        let error = await storageError { _ = try await store.get(key, range: 200..<201) }
        #expect(error?.kind == .rangeNotSatisfiable && error?.isRetryable == false)
    }

    @Test(arguments: StoreKind.available) func missingObjects(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let (store, key) = (fixture.store, fixture.prefix + "none/such")
        #expect(try await store.head(key) == nil)
        let error = await storageError { _ = try await store.get(key) }
        #expect(error?.kind == .notFound && error?.isRetryable == false)
        try await store.delete(key)
        #expect(try await store.list(prefix: fixture.prefix, startAfter: nil, limit: 10).objects.isEmpty)
    }

    @Test(arguments: StoreKind.available) func deleting(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let (store, key) = (fixture.store, fixture.prefix + "d")
        _ = try await store.put(key, [1], PutOptions())
        try await store.delete(key)
        try await store.delete(key)
        #expect(try await store.head(key) == nil)
    }

    @Test(arguments: StoreKind.available) func ifAbsentKeepsWhatIsThere(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let (store, key) = (fixture.store, fixture.prefix + "once")
        let options = PutOptions(ifAbsent: true)
        #expect(try await !store.put(key, [1], options).alreadyExisted)
        if try await kind.abilities().conditions {
            #expect(try await store.put(key, [2], options).alreadyExisted)
            #expect(try await store.get(key) == [1])
        } else {
            // Then the answer must not claim that the object was kept.
            #expect(try await !store.put(key, [2], options).alreadyExisted)
            #expect(try await store.get(key) == [2])
        }
        #expect(try await !store.put(key, [3], PutOptions()).alreadyExisted)
        #expect(try await store.get(key) == [3])
    }

    @Test(arguments: StoreKind.available) func ofManyIfAbsentOneWins(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let (store, key) = (fixture.store, fixture.prefix + "race")
        let winners = try await withThrowingTaskGroup(of: Int?.self) { group in
            for number in 0..<8 {
                group.addTask {
                    let body = [UInt8](repeating: UInt8(number), count: 1000)
                    for _ in 0..<20 {
                        do {
                            let receipt = try await store.put(key, body, PutOptions(ifAbsent: true))
                            return receipt.alreadyExisted ? nil : number
                        } catch let error as StorageError where error.isRetryable {
                            try await Task.sleep(for: .milliseconds(100))
                        }
                    }
                    Issue.record("writer \(number) never got an answer")
                    return nil
                }
            }
            return try await group.reduce(into: [Int]()) { if let winner = $1 { $0.append(winner) } }
        }
        if try await !kind.abilities().conditions {
            // All were stored, one after the other: one of them is there, whole.
            #expect(winners.count == 8)
            let left = try await store.get(key)
            #expect(left.count == 1000 && Set(left).count == 1)
            return
        }
        try #require(winners.count == 1)
        #expect(try await store.get(key) == [UInt8](repeating: UInt8(winners[0]), count: 1000))
    }

    @Test(arguments: StoreKind.available) func listingInPages(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let store = fixture.store
        let count = kind.longListing
        let keys = (0..<count).map { number in
            let digits = String(number)
            return fixture.prefix + "many/h\(number % 3)/" + String(repeating: "0", count: 5 - digits.count) + digits
        }.sorted()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, key) in keys.enumerated() {
                if index >= 8 { try await group.next() }
                group.addTask {
                    // rclone answers 500 now and then to what comes at once; whoever ships tries again.
                    for _ in 0..<3 where (try? await store.put(key, [1, 2, 3], PutOptions())) != nil { return }
                    _ = try await store.put(key, [1, 2, 3], PutOptions())
                }
            }
            try await group.waitForAll()
        }
        _ = try await store.put(fixture.prefix + "other", [1], PutOptions())
        let whole = try await store.list(prefix: fixture.prefix + "many/", startAfter: nil, limit: 10_000)
        #expect(whole.objects.map(\.key) == keys && !whole.isTruncated)
        #expect(whole.objects.allSatisfy { $0.size == 3 && $0.modified_ms > 1_700_000_000_000 })
        for pageSize in [77, 1000, count - 1, count] {
            var seen: [String] = []
            try await store.forEachObject(prefix: fixture.prefix + "many/", pageSize: pageSize) { seen.append($0.key) }
            #expect(seen == keys, "pages of \(pageSize)")
        }
        let exact = try await store.list(prefix: fixture.prefix + "many/", startAfter: nil, limit: count)
        #expect(exact.objects.count == count)
        // Within the second third, so that five keys of its beginning follow.
        let inside = count / 3 + 100
        let part = try await store.list(prefix: fixture.prefix + "many/h1/0", startAfter: keys[inside], limit: 5)
        #expect(part.objects.map(\.key) == Array(keys[inside + 1..<inside + 6]) && part.isTruncated)
        let last = try await store.list(prefix: fixture.prefix + "many/", startAfter: keys[count - 2], limit: 5)
        #expect(last.objects.map(\.key) == [keys[count - 1]] && !last.isTruncated)
        let begun = fixture.prefix + "many/h2/010"
        let prefixOfNames = try await store.list(prefix: begun, startAfter: nil, limit: 5000)
        #expect(prefixOfNames.objects.map(\.key) == keys.filter { $0.hasPrefix(begun) })
        #expect(prefixOfNames.objects.count > 30)
    }

    @Test(arguments: StoreKind.available) func listingGivesEveryKeyOnceWhateverItsOrder(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let names = ["web/1", "web-1/1", "web-1.txt", "web.z/1", "web0/1", "web0", "w"].filter { $0 != "web0" }
        for name in names { _ = try await fixture.store.put(fixture.prefix + name, [1], PutOptions()) }
        for pageSize in 1...3 {
            var seen: [String] = []
            try await fixture.store.forEachObject(prefix: fixture.prefix, pageSize: pageSize) { seen.append($0.key) }
            #expect(seen.count == names.count)
            #expect(Set(seen) == Set(names.map { fixture.prefix + $0 }))
        }
    }

    @Test(arguments: StoreKind.available) func groupsAreWholeAndSortedByBytes(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let hours = ["hr=03", "hr=04", "hr=11"]
        let names = ["web/1", "web/2", "web-1/1", "web-1/2", "web.example/1"]
        for hour in hours {
            for name in names { _ = try await fixture.store.put("\(fixture.prefix)\(hour)/\(name)", [1], PutOptions()) }
        }
        let sorted = names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for pageSize in [1, 2, 4, 1000] {
            var groups: [String] = []
            try await fixture.store.forEachGroup(
                prefix: fixture.prefix, pageSize: pageSize,
                of: { $0.dropFirst(fixture.prefix.count).prefix(5) }
            ) { hour, objects in
                groups.append(String(hour))
                #expect(objects.map(\.key) == sorted.map { "\(fixture.prefix)\(hour)/\($0)" })
            }
            #expect(groups == hours)
        }
    }

    @Test(arguments: StoreKind.available) func strangeKeys(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let names = [
            "a b", "a+b", "a%2Bb", "a=b&c", "ü/水/🐟", "x~y", "(1)*'!", "q?x#y", "a@b:c;d", "e\u{301}", "<&>\"",
            "..a/.b./c..",
        ]
        for (index, name) in names.enumerated() {
            _ = try await fixture.store.put(fixture.prefix + name, [UInt8(index)], PutOptions())
        }
        for (index, name) in names.enumerated() {
            #expect(try await fixture.store.get(fixture.prefix + name) == [UInt8(index)], "\(name)")
            #expect(try await fixture.store.head(fixture.prefix + name)?.size == 1, "\(name)")
        }
        let page = try await fixture.store.list(prefix: fixture.prefix, startAfter: nil, limit: 100)
        #expect(Set(page.objects.map { Array($0.key.utf8) }) == Set(names.map { Array((fixture.prefix + $0).utf8) }))
    }

    @Test(arguments: StoreKind.available) func forbiddenKeys(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let long = String(repeating: "k", count: 1025)
        for key in ["", "/a", "a/", "a//b", "a/../b", "./a", "a/.", "..", "a\nb", "a\\b", long] {
            let error = await storageError { _ = try await fixture.store.put(key, [1], PutOptions()) }
            #expect(error?.kind == .invalidKey, "\(key)")
            let reading = await storageError { _ = try await fixture.store.get(key) }
            #expect(reading?.kind == .invalidKey, "\(key)")
        }
    }

    @Test(arguments: StoreKind.available) func aWrongChecksumIsRefusedAndNothingStored(kind: StoreKind) async throws {
        let fixture = try kind.make()
        let key = fixture.prefix + "wrong"
        _ = try await fixture.store.put(fixture.prefix + "trial", [1], PutOptions(isTrial: true))
        let error = await storageError {
            _ = try await fixture.store.put(key, [1, 2], PutOptions(sha256: SHA256.hash([1, 3])))
        }
        #expect(error?.kind == .badDigest)
        #expect(try await fixture.store.head(key) == nil)
        _ = try await fixture.store.put(key, [1, 2], PutOptions(sha256: SHA256.hash([1, 2])))
        #expect(try await fixture.store.get(key) == [1, 2])
    }
}
