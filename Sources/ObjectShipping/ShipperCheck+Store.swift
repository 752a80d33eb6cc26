import DurableIO
import EventSegments
import ObjectStorage
import ServiceSupport

/// What may be wrong with the store and the way to it.
extension ShipperCheck {
    /// A clock that is this far off is a fault, seconds: stores refuse requests that are 15 minutes off.
    private static let mostSkew_s: Int64 = 60

    func checkStore(_ tell: (Finding) -> Void) async {
        var settings = configuration.store
        settings.http.connectTimeout_s = 5
        settings.http.requestTimeout_s = 20
        if settings.url.hasPrefix("s3://") {
            let credentials = await checkCredentials()
            tell(credentials)
            if credentials.verdict == .fault { return }
        }
        let store: any ObjectStore
        do {
            store = try settings.makeStore(environment: Environment(environment))
        } catch {
            return tell(failure(error, doing: "the store cannot be used"))
        }
        let prefix = configuration.prefix.isEmpty ? "" : configuration.prefix + "/"
        let key = "\(prefix)checks/\(configuration.host).txt"
        let body = Array("nadi-shipper check \(SystemTime.text(SystemTime.now_ms()))\n".utf8)
        guard await checkPut(store, key, body, tell) else { return }
        await checkPromises(store, key, body, tell)
        await checkProof(store, key, body, tell)
        await checkName(store, tell)
        do {
            try await store.delete(key)
        } catch {
            tell(
                Finding(
                    .good, "store_delete",
                    "the object \(key) stays there: these credentials may not delete, which is right"))
        }
    }

    private func checkCredentials() async -> Finding {
        do {
            let provider = try configuration.store.makeCredentials(environment: Environment(environment))
            _ = try await provider.credentials()
            return Finding(.good, "credentials", "credentials from \(provider.name)")
        } catch {
            return Finding(.fault, "credentials_missing", "credentials: \(error.message)", mend: error.remedy)
        }
    }

    /// Stores an object; false when that fails for good.
    private func checkPut(
        _ store: any ObjectStore, _ key: String, _ body: [UInt8], _ tell: (Finding) -> Void
    ) async -> Bool {
        var failures: [any Error] = []
        for _ in 0..<2 {
            do {
                _ = try await store.put(key, body, PutOptions(contentType: "text/plain", isTrial: true))
                tell(Finding(.good, "store", "the store takes objects"))
                checkClock(store, tell)
                return true
            } catch let error as StorageError where error.kind == .clockSkew {
                // The next request is signed by the store's clock.
                failures.append(error)
            } catch {
                failures.append(error)
                break
            }
        }
        checkClock(store, tell)
        if let error = failures.last { tell(failure(error, doing: "the store does not take objects")) }
        return false
    }

    private func checkClock(_ store: any ObjectStore, _ tell: (Finding) -> Void) {
        guard let difference = (store as? S3Store)?.clockDifference_s else { return }
        guard abs(difference) > ShipperCheck.mostSkew_s else {
            return tell(Finding(.good, "clock", "this host's clock and the store's agree"))
        }
        tell(
            Finding(
                .fault, "clock_skew",
                "this host's clock is \(abs(difference)) s \(difference > 0 ? "behind" : "ahead of") the store's, so "
                    + "objects stand in the wrong hour", mend: "set it by NTP (timedatectl)"))
    }

    /// What the store promises with its answers is tried, never assumed.
    private func checkPromises(
        _ store: any ObjectStore, _ key: String, _ body: [UInt8], _ tell: (Finding) -> Void
    ) async {
        let options = PutOptions(contentType: "text/plain", ifAbsent: true)
        let receipt = try? await store.put(key, body, options)
        if receipt?.alreadyExisted != true {
            tell(
                Finding(
                    .caution, "conditions_ignored",
                    "the store ignores If-None-Match: an object sent again overwrites itself",
                    mend: "nothing; every object is proven before its segments go"))
        }
        if (store as? S3Store)?.checksSHA256 == false {
            tell(
                Finding(
                    .caution, "checksums_ignored",
                    "the store took an object with a wrong SHA-256, so it checks none",
                    mend: "nothing; every object is proven by what the store holds"))
        }
    }

    private func checkProof(
        _ store: any ObjectStore, _ key: String, _ body: [UInt8], _ tell: (Finding) -> Void
    ) async {
        var info: ObjectInfo?
        var denied: [String] = []
        do {
            info = try await store.head(key)
        } catch {
            denied.append("HEAD (GetObject): \(error)")
        }
        var isListed = true
        do {
            let page = try await store.list(prefix: key, startAfter: nil, limit: 1)
            if info == nil { info = page.objects.first }
        } catch {
            isListed = false
            denied.append("LIST (ListBucket): \(error)")
        }
        guard let info else {
            return tell(
                Finding(
                    .fault, "proof_denied",
                    "objects cannot be proven, so no segment would ever be removed: " + denied.joined(separator: ", "),
                    mend: "allow s3:ListBucket on the bucket, or s3:GetObject on the prefix"))
        }
        let way =
            if info.sha256 == SHA256.hash(body) {
                "the stored SHA-256"
            } else if info.etag?.lowercased() == hex(MD5.hash(body)) {
                "the MD5 entity tag"
            } else {
                "the answer to PUT and the size"
            }
        tell(Finding(.good, "proof", "objects are proven by \(way)"))
        if !isListed {
            tell(
                Finding(
                    configuration.streams.isEmpty ? .caution : .fault, "list_denied",
                    "the bucket may not be listed, so a lost state of foreign logs cannot be found again: "
                        + denied.joined(separator: ", "), mend: "allow s3:ListBucket on the bucket"))
        }
    }

    /// Whether another machine reports under this host's name: no shipper runs here, and one reported just now.
    private func checkName(_ store: any ObjectStore, _ tell: (Finding) -> Void) async {
        let key = ObjectKey.hostReport(prefix: configuration.prefix, host: configuration.host)
        guard let bytes = try? await store.get(key), let report = try? HostReport(decoding: bytes),
            report.state == .running
        else { return }
        let age_ms = SystemTime.now_ms() - report.time_ms
        guard !configuration.spools.contains(where: SpoolLock.isTaken),
            abs(age_ms) < 2 * configuration.machine.report_ms + 1_000
        else { return }
        tell(
            Finding(
                .caution, "host_taken",
                "host \(configuration.host) reported \(max(0, age_ms) / 1_000) s ago and no shipper runs here",
                mend: "if it was not stopped just now, another machine has the same name: set 'host'"))
    }

    /// A failed operation as a finding.
    private func failure(_ error: any Error, doing: String) -> Finding {
        guard let error = error as? StorageError else { return Finding(.fault, "store", "\(doing): \(error)") }
        var plain = error
        plain.remedy = ""
        let (name, mend): (String, String) =
            switch (error.kind, error.code) {
            case (_, "curl 6"): ("dns", "check the endpoint's spelling and this host's resolver (/etc/resolv.conf)")
            case (.unreachable, _): ("unreachable", error.remedy)
            case (.tls, _): ("tls", "trust the store's authority (ca_bundle), or mend its certificate")
            case (_, "InvalidAccessKeyId"):
                ("wrong_key", "check the access key's id; it is not the secret that is wrong")
            case (_, "SignatureDoesNotMatch"):
                ("wrong_secret", "check the secret; the key's id is known to the store")
            case (.accessDenied, _):
                ("put_denied", "allow s3:PutObject on the bucket and prefix of \(configuration.store.url)")
            default: (error.kind.rawValue, error.remedy)
            }
        return Finding(.fault, name, "\(doing): \(plain)", mend: mend)
    }
}
