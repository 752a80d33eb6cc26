import DurableIO
import ObjectStorage
import TestSupport
import Testing

/// The real program on servers and keys of all kinds: the way in which it proves is the one that this server deserves.
@Suite(
    .serialized, .enabled(if: TestServers.s3 != nil, "set NADI_TEST_S3_ENDPOINT and its kin, or use Tests/run"),
    .timeLimit(.minutes(5)))
struct OtherServersTests {
    struct Place: CustomTestStringConvertible, Sendable {
        /// The server's name in the environment.
        let name: String
        /// How objects are proven there.
        let proof: String
        /// The server by whose key the test reads back.
        var reader: String { name == "SHIPPER" ? "S3" : name }
        var testDescription: String { name }
    }

    /// SeaweedFS checks what it keeps; JuiceFS keeps no checksum; rclone repeats one without a look, and is not believed; a
    /// key that may not read finds the entity tag in a listing.
    static let places = [
        Place(name: "S3", proof: "sha256"), Place(name: "JUICEFS", proof: "etag"), Place(name: "RCLONE", proof: "etag"),
        Place(name: "SHIPPER", proof: "etag"),
    ].filter { TestServers.s3($0.name) != nil && TestServers.s3($0.reader) != nil }

    @Test(arguments: places) func shipsAndProves(place: Place) async throws {
        let s3 = try #require(TestServers.s3(place.name))
        let program = try ShipperProgram(s3: s3, more: "admin: off")
        let store = try program.store(TestServers.s3(place.reader))
        let daemon = try program.start("run")
        // With its first report the program finds out what the server checks.
        let isReported = try await eventually(within: 50) { (try? await program.report(store)) != nil }
        try #require(isReported, "\(program.log)")
        let ids = try program.writeSegments(3)
        let isShipped = try await eventually(within: 50) { try program.waiting().isEmpty }
        #expect(isShipped, "\(program.log)")
        daemon.send(15)
        #expect(try await daemon.end() == 0)
        let segments = try await program.segments(store)
        #expect(eventIDs(segments.values.joined()).sorted() == ids.sorted())
        let proofs = program.log.split(separator: "\n").filter { $0.contains("stored and proven") }
        #expect(!proofs.isEmpty && proofs.allSatisfy { $0.contains(place.proof) }, "\(program.log)")
        #expect(!program.log.contains(s3.secretKey))
    }
}
