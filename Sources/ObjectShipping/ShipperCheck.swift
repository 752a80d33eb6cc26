import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectStorage
import ServiceSupport

/// Tries everything the shipper needs and tells what is wrong and how to mend it.
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
        /// One sentence.
        package let text: String
    }

    private let configuration: ShipperConfiguration
    private let environment: [String: String]

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
        tell(.init(verdict: .good, text: "host \(configuration.host), objects under \(configuration.store.url)"))
        for spool in configuration.spools { checkFolder(spool, called: "spool", isSpool: true).forEach(tell) }
        if !configuration.streams.isEmpty {
            checkFolder(configuration.stateDirectory, called: "state", isSpool: false).forEach(tell)
        }
        for stream in configuration.streams { checkStream(stream).forEach(tell) }
        let store: any ObjectStore
        do {
            store = try configuration.store.makeStore(environment: Environment(environment))
        } catch {
            return tell(.init(verdict: .fault, text: "\(error)"))
        }
        if configuration.store.url.hasPrefix("s3://") { tell(await checkCredentials()) }
        await checkStore(store, tell)
    }

    private func checkFolder(_ path: String, called name: String, isSpool: Bool) -> [Finding] {
        do {
            guard let entry = try DurableFile.entry(path) else {
                return [.init(verdict: .fault, text: "\(name) \(path) does not exist: make it, writable for this user")]
            }
            guard entry.isDirectory else {
                return [.init(verdict: .fault, text: "\(name) \(path) is not a directory (links are not followed)")]
            }
            let kind = try FileSystemKind(of: path)
            if isSpool, let refusal = kind.refusal {
                return [.init(verdict: .fault, text: "\(name) \(path) \(refusal)")]
            }
            let probe = "\(path)/.nadi-check-\(getpid())"
            try DurableFile.replace(path: probe, bytes: Array("probe\n".utf8))
            defer { unlink(probe) }
            guard try FileLock.attempt(path: probe) != nil else {
                return [
                    .init(
                        verdict: .fault,
                        text: "\(name) \(path): a file of our own cannot be locked: use another file system")
                ]
            }
            var findings = [Finding(verdict: .good, text: "\(name) \(path) is writable and locks work (\(kind.name))")]
            if isSpool, let caution = kind.caution {
                findings.append(.init(verdict: .caution, text: "\(name) \(path): \(caution)"))
            }
            if isSpool {
                let unreadable = ShipperCheck.unreadable(try Spool(reading: path)) {
                    access("\(path)/\($0)", R_OK) == 0
                }
                if let first = unreadable.first {
                    findings.append(
                        .init(
                            verdict: .fault,
                            text: "\(unreadable.count) files of writers in \(path) cannot be read, such as \(first): "
                                + "let writers and the shipper share a group"))
                }
            }
            return findings
        } catch {
            return [.init(verdict: .fault, text: "\(name) \(path): \(error)")]
        }
    }

    /// The names of writers' files that cannot be read: sealed segments are shipped, and what a dead writer left open is
    /// sealed with the counts of its lock file.
    static func unreadable(_ spool: Spool, _ canRead: (String) -> Bool) -> [String] {
        let names =
            spool.sealed.map(\.name.fileName) + spool.open.map(\.name.fileName) + spool.locks.map(\.writer.lockFileName)
        return names.filter { !canRead($0) }
    }

    private func checkStream(_ stream: StreamConfiguration) -> [Finding] {
        let found = Glob.look(stream.paths)
        if let fault = found.faults.first {
            return [.init(verdict: .fault, text: "stream \(stream.name): \(fault)")]
        }
        let paths = found.paths.filter { !Glob.matches($0, stream.exclude) }
        let rotated = paths.filter { path in
            RotatedName(String(path.split(separator: "/").last ?? "")).isRotated
        }
        if let unreadable = rotated.first(where: { access($0, R_OK) != 0 }) {
            return [
                .init(
                    verdict: .fault,
                    text: "stream \(stream.name): \(unreadable) cannot be read: add this user to the log's group")
            ]
        }
        let first =
            paths.isEmpty
            ? Finding(verdict: .caution, text: "stream \(stream.name): no file matches yet; check the globs")
            : Finding(
                verdict: .good, text: "stream \(stream.name): \(rotated.count) rotated of \(paths.count) files")
        return [first] + checkRemoval(stream, rotated)
    }

    /// Tries whether shipped files can be removed from the folders they lie in.
    private func checkRemoval(_ stream: StreamConfiguration, _ rotated: [String]) -> [Finding] {
        guard stream.deletesAfterShipping else { return [] }
        let folders =
            rotated.isEmpty ? stream.paths.map(Glob.fixedFolder) : rotated.map { DurableFile.folder(of: $0) }
        return Set(folders).sorted().map { folder in
            let probe = "\(folder)/.nadi-check-\(getpid())"
            do {
                try DurableFile.replace(path: probe, bytes: [])
                try DurableFile.remove(path: probe)
                return Finding(
                    verdict: .good,
                    text: "stream \(stream.name): files can be removed from \(folder) by this user here; under "
                        + "systemd the unit needs ReadWritePaths=\(folder)")
            } catch {
                return Finding(
                    verdict: .fault,
                    text: "stream \(stream.name): delete_after_shipping is on and nothing can be removed from "
                        + "\(folder): let this user write there, and under systemd add ReadWritePaths=\(folder): \(error)"
                )
            }
        }
    }

    private func checkCredentials() async -> Finding {
        do {
            let provider = try configuration.store.makeCredentials(environment: Environment(environment))
            _ = try await provider.credentials()
            return .init(verdict: .good, text: "credentials from \(provider.name)")
        } catch {
            return .init(verdict: .fault, text: "credentials: \(error)")
        }
    }

    private func checkStore(_ store: any ObjectStore, _ tell: (Finding) -> Void) async {
        let prefix = configuration.prefix.isEmpty ? "" : configuration.prefix + "/"
        let key = "\(prefix)checks/\(configuration.host).txt"
        let body = Array("nadi-shipper check \(SystemTime.text(SystemTime.now_ms()))\n".utf8)
        do {
            _ = try await store.put(key, body, PutOptions(contentType: "text/plain", isTrial: true))
            tell(.init(verdict: .good, text: "the store takes objects"))
        } catch {
            return tell(.init(verdict: .fault, text: "the store does not take objects: \(error)"))
        }
        var info: ObjectInfo?
        var denied: [String] = []
        do {
            info = try await store.head(key)
        } catch {
            denied.append("HEAD (\(error))")
        }
        do {
            let page = try await store.list(prefix: key, startAfter: nil, limit: 1)
            if info == nil { info = page.objects.first }
        } catch {
            denied.append("LIST (\(error))")
        }
        if let info {
            let way =
                if info.sha256 != nil {
                    "the stored SHA-256"
                } else if info.etag?.lowercased() == hex(MD5.hash(body)) {
                    "the MD5 entity tag"
                } else {
                    "the answer to PUT and the size"
                }
            tell(.init(verdict: .good, text: "objects are proven by \(way)"))
            let skew_ms = abs(info.modified_ms - SystemTime.now_ms())
            tell(
                skew_ms > 60_000
                    ? .init(
                        verdict: .fault,
                        text:
                            "this host's clock and the store's differ by \(skew_ms / 1_000) s: set it by NTP"
                    )
                    : .init(verdict: .good, text: "this host's clock and the store's agree"))
        } else {
            tell(
                .init(
                    verdict: .fault,
                    text:
                        "objects cannot be proven, so no segment would ever be removed: allow ListBucket or GetObject; "
                        + denied.joined(separator: ", ")))
        }
        do {
            try await store.delete(key)
        } catch {
            tell(
                .init(
                    verdict: .good,
                    text: "the object \(key) stays there: these credentials may not delete, which is right"))
        }
    }
}
