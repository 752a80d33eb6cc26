import ArgumentParser
import EventModel
import EventSegments
import ObjectShipping
import ServiceSupport

/// `nadi-shipper status`.
struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell what is waiting, how old it is, and what went wrong last.",
        discussion: "Reads the spool and asks the running shipper's admin page. Changes nothing.")

    @OptionGroup var option: ConfigurationOption

    func run() throws {
        let (configuration, _) = try option.load()
        let now_ms = SystemTime.now_ms()
        for path in configuration.spools {
            let spool = try Spool(reading: path)
            let bytes = spool.sealed.reduce(0) { $0 + $1.size }
            let lines = spool.sealed.reduce(0) { $0 + $1.name.lines }
            print("spool \(path)")
            print("  sealed   \(spool.sealed.count) segments, \(lines) lines, \(Units.text(bytes: bytes))")
            if let oldest = spool.sealed.map(\.name.sealed_ms).min() {
                print("  oldest   sealed \(SystemTime.text(oldest)), \(age(oldest, now_ms)) ago")
            }
            print("  open     \(spool.open.count) segments, \(spool.locks.count) writers")
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
    }

    private func age(_ time_ms: Int64, _ now_ms: Int64) -> String {
        Units.text(.milliseconds(max(0, now_ms - time_ms)))
    }
}
