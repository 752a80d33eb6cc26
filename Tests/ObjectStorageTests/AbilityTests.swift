import DurableIO
import ObjectStorage
import TestSupport
import Testing

/// What servers promise and what they do: tried, not assumed.
@Suite(.enabled(if: !StoreKind.servers.isEmpty, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"))
struct AbilityTests {
    /// Prints the table, and leaves it where `NADI_TEST_ABILITIES` says.
    @Test func aTableOfWhatEachServerDoes() async throws {
        let kinds = StoreKind.servers
        var columns: [[String]] = []
        for kind in kinds { columns.append(try await kind.abilities().rows.map(\.answer)) }
        let names = try await kinds[0].abilities().rows.map(\.ability)
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(1, width - text.count))
        }
        var table = padded("", 48) + kinds.map { padded($0.rawValue, 10) }.joined() + "\n"
        for (row, name) in names.enumerated() {
            table += padded(name, 48) + columns.map { padded($0[row], 10) }.joined() + "\n"
        }
        print(table)
        if let path = TestServers.variable("NADI_TEST_ABILITIES") {
            try DurableFile.replace(path: path, bytes: Array(table.utf8))
        }
        #expect(columns.allSatisfy { $0.count == names.count })
    }

    /// A new version of a server that does otherwise shows here.
    @Test(.enabled(if: TestServers.variable("NADI_TEST_S3_ALONE") == nil, "another server is tested"))
    func whatIsKnownOfTheTestsServers() async throws {
        for kind in StoreKind.servers {
            var expected = StoreAbilities()
            switch kind {
            case .directory: break
            case .s3:
                expected.payloadHash = false
                expected.etagIsMD5 = true
                (expected.refusesPast, expected.refusesFuture) = (true, true)
                expected.listsByBytes = false
            case .juicefs:
                (expected.conditions, expected.checksum, expected.headGivesSHA256) = (false, false, false)
                expected.etagIsMD5 = true
                (expected.refusesPast, expected.refusesFuture) = (true, true)
            case .rclone:
                (expected.conditions, expected.checksum, expected.headGivesSHA256) = (false, false, false)
                expected.payloadHash = false
                expected.etagIsMD5 = true
                (expected.refusesPast, expected.refusesFuture) = (true, true)
            }
            var seen = try await kind.abilities()
            // Whether names below localhost lead to the server is up to how it was started.
            seen.virtualHost = expected.virtualHost
            #expect(seen == expected, "\(kind)")
        }
    }
}
