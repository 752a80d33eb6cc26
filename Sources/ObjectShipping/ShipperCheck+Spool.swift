import DurableIO
import EventModel
import EventSegments
import Glibc
import ServiceSupport

/// What may be wrong with a spool directory.
extension ShipperCheck {
    /// Less free space than this, bytes, is a fault: writers drop what does not fit.
    private static let leastFreeBytes = 64 << 20
    /// Fewer free inodes than this is a fault: every segment takes one.
    private static let leastFreeInodes = 1_000

    func checkSpool(_ path: String) -> [Finding] {
        do {
            guard let entry = try DurableFile.entry(path) else {
                return [
                    Finding(
                        .fault, "spool_missing", "spool \(path) does not exist",
                        mend: "make it: install -d -m 2770 -o nadi -g nadi \(path)")
                ]
            }
            guard entry.isDirectory else {
                return [
                    Finding(
                        .fault, "spool_no_directory", "spool \(path) is not a directory (links are not followed)",
                        mend: "name the directory itself")
                ]
            }
            let kind = try FileSystemKind(of: path)
            if let refusal = kind.refusal {
                return [Finding(.fault, "spool_network", "spool \(path) \(refusal)")]
            }
            var findings = space(path)
            let isFull = findings.contains { $0.verdict == .fault }
            // A full disk refuses the probe as well; that is told already, and shipping needs no space.
            if let fault = tryFolder(path, "spool"), !isFull { findings.append(fault) }
            findings += contents(path)
            if let fault = holder(path) { findings.append(fault) }
            if let caution = kind.caution {
                findings.append(
                    Finding(.caution, "spool_volatile", "spool \(path): \(caution)", mend: "use a disk that stays"))
            }
            if !findings.contains(where: { $0.verdict == .fault }) {
                findings.insert(
                    Finding(.good, "spool", "spool \(path) is writable and locks work (\(kind.name))"), at: 0)
            }
            return findings
        } catch {
            return [Finding(.fault, "spool_unreadable", "spool \(path): \(error)")]
        }
    }

    private func space(_ path: String) -> [Finding] {
        guard let space = FileSystemSpace(of: path) else { return [] }
        var findings: [Finding] = []
        if space.freeBytes < ShipperCheck.leastFreeBytes {
            findings.append(
                Finding(
                    .fault, "disk_full",
                    "the disk of spool \(path) has \(Units.text(bytes: space.freeBytes)) free of "
                        + "\(Units.text(bytes: space.totalBytes)), and writers drop what does not fit",
                    mend: "free space there, or see below why nothing is shipped"))
        }
        if space.totalInodes > 0, space.freeInodes < ShipperCheck.leastFreeInodes {
            findings.append(
                Finding(
                    .fault, "inodes",
                    "the disk of spool \(path) has \(space.freeInodes) free inodes of \(space.totalInodes), and every "
                        + "segment takes one", mend: "remove small files there (df -i shows it)"))
        }
        return findings
    }

    /// What lies in the spool and cannot be shipped.
    private func contents(_ path: String) -> [Finding] {
        let spool: Spool
        do {
            spool = try Spool(reading: path)
        } catch {
            return [
                Finding(
                    .fault, "spool_unreadable", "spool \(path) cannot be listed: \(error)",
                    mend: "let this user read and search it")
            ]
        }
        var findings: [Finding] = []
        func fault(_ name: String, _ names: [String], _ what: String, mend: String) {
            guard let first = names.first else { return }
            findings.append(Finding(.fault, name, "\(names.count) \(what) in \(path), such as \(first)", mend: mend))
        }
        let unreadable = ShipperCheck.unreadable(spool) { access("\(path)/\($0)", R_OK) == 0 }
        fault(
            "segment_unreadable", unreadable, "files of writers cannot be read by this user",
            mend: "let writers and the shipper share a group (the spool's mode 2770 and the writers' umask)")
        fault(
            "spool_link", spool.irregular, "names of segments are no regular files",
            mend: "links are not followed: move the file itself there")
        fault(
            "segment_damaged", spool.damaged.map { $0.name.fileName + Spool.damagedSuffix },
            "segments were damaged after they were sealed and are put aside",
            mend: "mend one and take the ending away, or remove it and accept the loss in the audit")
        let torn = spool.locks.filter { lock in
            SystemTime.now_ms() - lock.modified_ms > 5_000 && !unreadable.contains(lock.writer.lockFileName)
                && LockRecord.read("\(path)/\(lock.writer.lockFileName)") == nil
        }
        fault(
            "lock_corrupt", torn.map(\.writer.lockFileName), "lock files hold no counts",
            mend: "the writer's own counts are lost and the audit shows what was found; if its process is gone the "
                + "shipper ends it, so leave the file")
        let dead = spool.locks.filter { lock in
            SystemTime.now_ms() - lock.modified_ms > configuration.deadAfter_ms
                && (try? FileLock.isHeld(path: "\(path)/\(lock.writer.lockFileName)")) == false
        }
        if let first = dead.first {
            findings.append(
                Finding(
                    .caution, "writers_dead",
                    "\(dead.count) writers in \(path) died and are not ended, such as \(first.writer)",
                    mend: "the shipper ends them while it runs"))
        }
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & 0o020 == 0 {
            findings.append(
                Finding(
                    .caution, "spool_mode",
                    "spool \(path) has mode 0\(String(status.st_mode & 0o7777, radix: 8)): only its owner can write",
                    mend: "chmod 2770, if services of other users write there"))
        }
        return findings
    }

    /// Whether another shipper than this configuration's works on the spool.
    private func holder(_ path: String) -> Finding? {
        SpoolLock.isTaken(path) ? foreignHolder(path) : nil
    }

    private func foreignHolder(_ path: String) -> Finding? {
        guard let address = configuration.admin else {
            return Finding(
                .caution, "spool_taken", "a shipper works on spool \(path)",
                mend: "fine if it is the one of this configuration; its admin page is off")
        }
        if let answer = AdminClient.get(address, path: "/status"), answer.status == 200,
            let report = try? HostReport(decoding: Array(answer.body.utf8)), report.host == configuration.host
        {
            return nil
        }
        return Finding(
            .fault, "spool_taken",
            "another shipper works on spool \(path): it is locked, and the admin page http://\(address) of this "
                + "configuration does not answer for host \(configuration.host)", mend: "stop the other one")
    }

    /// The names of writers' files that cannot be read: sealed segments are shipped, and what a dead writer left open is
    /// sealed with the counts of its lock file.
    static func unreadable(_ spool: Spool, _ canRead: (String) -> Bool) -> [String] {
        let names =
            spool.sealed.map(\.name.fileName) + spool.open.map(\.name.fileName) + spool.locks.map(\.writer.lockFileName)
        return names.filter { !canRead($0) }
    }
}
