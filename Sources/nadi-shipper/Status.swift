import ArgumentParser
import EventModel
import EventSegments
import ObjectShipping
import ServiceSupport

/// `nadi-shipper status`.
struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell what is waiting, how old it is, and what went wrong last.",
        discussion: """
            Reads the spool and asks the running shipper's admin page, which tells what it holds back and why. Changes \
            nothing.
            """)

    @OptionGroup var option: ConfigurationOption

    func run() throws {
        let (configuration, _) = try option.load()
        let now_ms = SystemTime.now_ms()
        for path in configuration.spools {
            guard let spool = try? Spool(reading: path) else {
                print("spool \(path)\n  cannot be read: nadi-shipper check tells why")
                continue
            }
            let bytes = spool.sealed.reduce(0) { $0 + $1.size }
            let lines = spool.sealed.reduce(0) { $0 + $1.name.lines }
            print("spool \(path)")
            print("  sealed   \(spool.sealed.count) segments, \(lines) lines, \(Units.text(bytes: bytes))")
            if let oldest = spool.sealed.map(\.name.sealed_ms).min() {
                print("  oldest   sealed \(SystemTime.text(oldest)), \(age(oldest, now_ms)) ago")
            }
            print("  open     \(spool.open.count) segments, \(spool.locks.count) writers")
            if !spool.damaged.isEmpty {
                print("  damaged  \(spool.damaged.count) segments that were put aside")
            }
            if !spool.irregular.isEmpty {
                print("  links    \(spool.irregular.count) names of segments that are no regular files")
            }
            if let space = FileSystemSpace(of: path) {
                print("  disk     \(Units.text(bytes: space.freeBytes)) free of \(Units.text(bytes: space.totalBytes))")
            }
            let others = spool.others.filter { !$0.hasPrefix(".") }
            if !others.isEmpty {
                print("  other    \(others.count) files that are not segments and are left alone")
            }
        }
        guard let address = configuration.admin else {
            print("shipper    its admin page is off: what it does is in its log")
            return
        }
        guard let answer = AdminClient.get(address, path: "/status"), answer.status == 200,
            let report = try? HostReport(decoding: Array(answer.body.utf8))
        else {
            print("shipper    does not run, or not with the admin page http://\(address)")
            return
        }
        print(
            "shipper    version \(report.shipperVersion), host \(report.host), runs for "
                + age(report.started_ms, now_ms)
        )
        print("  waiting  \(report.unshipped.segments) segments, \(Units.text(bytes: report.unshipped.bytes))")
        print("  upload   \(report.lastUpload_ms.map { age($0, now_ms) + " ago" } ?? "none yet")")
        print("  error    \(report.lastError ?? "none")")
        tellHeld(answer.body)
    }

    /// What the shipper holds back, and why.
    private func tellHeld(_ body: String) {
        guard case .array(let held) = JSONValue.parse(prefixOf: Array(body.utf8))?["held"], let first = held.first,
            let writer = first["writer"]?.string, let seq = first["seq"]?.integer, let reason = first["reason"]?.string
        else { return }
        print("  held     \(held.count) segments, the first: segment \(seq) of \(writer): \(reason)")
    }

    private func age(_ time_ms: Int64, _ now_ms: Int64) -> String {
        Units.text(.milliseconds(max(0, now_ms - time_ms)))
    }
}
