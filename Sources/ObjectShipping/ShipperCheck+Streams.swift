import DurableIO
import Glibc

/// What may be wrong with foreign logs.
extension ShipperCheck {
    func checkStream(_ stream: StreamConfiguration) -> [Finding] {
        let found = Glob.look(stream.paths)
        if let fault = found.faults.first {
            return [Finding(.fault, "stream_folder", "stream \(stream.name): \(fault)")]
        }
        let paths = found.paths.filter { !Glob.matches($0, stream.exclude) }
        let rotated = paths.filter { path in
            RotatedName(String(path.split(separator: "/").last ?? "")).isRotated
        }
        if let unreadable = rotated.first(where: { access($0, R_OK) != 0 }) {
            return [
                Finding(
                    .fault, "stream_unreadable", "stream \(stream.name): \(unreadable) cannot be read by this user",
                    mend: "add this user to the log's group (SupplementaryGroups= under systemd)")
            ]
        }
        let first =
            paths.isEmpty
            ? Finding(
                .caution, "stream_empty",
                "stream \(stream.name): no file matches \(stream.paths.joined(separator: ", "))",
                mend: "check the globs")
            : Finding(.good, "stream", "stream \(stream.name): \(rotated.count) rotated of \(paths.count) files")
        let live =
            !paths.isEmpty && rotated.isEmpty
            ? [
                Finding(
                    .caution, "stream_live",
                    "stream \(stream.name): only live files match, such as \(paths[0]), and these are never read",
                    mend: "let the globs match the rotated files too, such as \(paths[0])*")
            ] : []
        return [first] + live + checkRemoval(stream, rotated)
    }

    /// Live files that were cut in place, as the shipper noted them.
    func checkTruncated() -> Finding? {
        guard !configuration.streams.isEmpty,
            let refused = ForeignState.peek("\(configuration.stateDirectory)/foreign.json")?.refused.first
        else { return nil }
        return Finding(
            .fault, "stream_truncated",
            "\(refused.path) was cut in place (copytruncate, or a service that empties its log), which loses lines, so "
                + "its rotated files are not shipped", mend: "rotate by renaming ('create' in logrotate)")
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
                    .good, "stream_removal",
                    "stream \(stream.name): files can be removed from \(folder) by this user here; under "
                        + "systemd the unit needs ReadWritePaths=\(folder)")
            } catch {
                return Finding(
                    .fault, "stream_removal",
                    "stream \(stream.name): delete_after_shipping is on and nothing can be removed from \(folder): "
                        + "\(error)", mend: "let this user write there, and under systemd add ReadWritePaths=\(folder)")
            }
        }
    }
}
