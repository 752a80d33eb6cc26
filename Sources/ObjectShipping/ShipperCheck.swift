import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectStorage
import ServiceSupport

/// Tries everything the shipper needs and tells what is wrong, by which evidence, and how to mend it.
package struct ShipperCheck: Sendable {
    /// One line of the result.
    package struct Finding: Equatable, Sendable {
        /// How it stands.
        package enum Verdict: String, Sendable {
            case good = "ok"
            case caution = "note"
            case fault = "FAULT"
        }

        /// How it stands.
        package let verdict: Verdict
        /// A stable word for what was found, such as `spool_missing`.
        package let name: String
        /// What was found, with the evidence.
        package let text: String
        /// What to do; empty for nothing.
        package let mend: String

        package init(_ verdict: Verdict, _ name: String, _ text: String, mend: String = "") {
            self.verdict = verdict
            self.name = name
            self.text = text
            self.mend = mend
        }

        /// The finding for people, one line.
        package var line: String {
            let head = verdict.rawValue + String(repeating: " ", count: max(1, 7 - verdict.rawValue.utf8.count))
            let body = mend.isEmpty ? text : "\(text): \(mend)"
            return head
                + (verdict == .good ? body : "\(name): \(body)").map { $0.isNewline ? " " : String($0) }.joined()
        }

        /// The finding for programs: a JSON object on one line.
        package var json: String {
            var json = JSONText()
            json.field("verdict", verdict == .caution ? "note" : verdict.rawValue.lowercased())
            json.field("name", name)
            json.field("text", text)
            json.field("mend", mend)
            return String(decoding: json.closed, as: UTF8.self)
        }
    }

    let configuration: ShipperConfiguration
    let environment: [String: String]

    /// - Parameters:
    ///   - configuration: what to try.
    ///   - environment: where credentials may be.
    package init(_ configuration: ShipperConfiguration, environment: [String: String]) {
        self.configuration = configuration
        self.environment = environment
    }

    /// Everything, in the order of the data's way.
    ///
    /// - Parameter tell: called with each finding as soon as it is known.
    package func run(_ tell: (Finding) -> Void) async {
        tell(checkHost())
        for spool in configuration.spools { checkSpool(spool).forEach(tell) }
        if !configuration.streams.isEmpty { tell(checkState(configuration.stateDirectory)) }
        for stream in configuration.streams { checkStream(stream).forEach(tell) }
        if let refused = checkTruncated() { tell(refused) }
        await checkStore(tell)
    }

    /// Names that many machines have: their reports would overwrite each other.
    private static let commonNames: Set<String> = [
        "localhost", "localhost.localdomain", "localhost6", "unknown", "debian", "ubuntu", "raspberrypi",
    ]

    private func checkHost() -> Finding {
        let host = configuration.host
        if ShipperCheck.commonNames.contains(host) {
            return Finding(
                .fault, "host_name",
                "the host's name is '\(host)', which other machines have too, and each would "
                    + "overwrite the other's report",
                mend: "set 'host' to a name of its own, or the kernel's (hostnamectl)")
        }
        if host.utf8.count == 12, host.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) {
            return Finding(
                .caution, "host_name",
                "the host's name '\(host)' looks like a container's number, which changes with "
                    + "every start", mend: "set 'host' to a name that stays")
        }
        return Finding(.good, "host_name", "host \(host), objects under \(configuration.store.url)")
    }

    /// Tries whether files can be made in a folder and locked.
    ///
    /// - Returns: nil when they can.
    func tryFolder(_ path: String, _ name: String) -> Finding? {
        let probe = "\(path)/.nadi-check-\(getpid())"
        do {
            try DurableFile.replace(path: probe, bytes: Array("probe\n".utf8))
            defer { unlink(probe) }
            guard try FileLock.attempt(path: probe) != nil else {
                return Finding(
                    .fault, "\(name)_locks", "\(name) \(path): a file of our own cannot be locked",
                    mend: "use a local file system")
            }
            return nil
        } catch {
            var status = stat()
            let facts =
                stat(path, &status) == 0
                ? " (its mode is 0\(String(status.st_mode & 0o7777, radix: 8)), its owner \(status.st_uid), its group "
                    + "\(status.st_gid); this user is \(geteuid()), its group \(getegid()))" : ""
            return Finding(
                .fault, "\(name)_not_writable", "\(name) \(path) cannot be written to by this user\(facts): \(error)",
                mend: "let the group write (chmod 2770) and this user be a member of it")
        }
    }

    private func checkState(_ path: String) -> Finding {
        guard let entry = try? DurableFile.entry(path), entry.isDirectory else {
            return Finding(
                .fault, "state_missing", "state \(path) is no directory",
                mend: "make it, owned by this user (StateDirectory= does so under systemd)")
        }
        return tryFolder(path, "state") ?? Finding(.good, "state", "state \(path) is writable and locks work")
    }
}
