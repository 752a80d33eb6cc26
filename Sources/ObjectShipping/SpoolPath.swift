import DurableIO
import EventModel
import EventSegments

/// A configured spool, which may lead to another directory from one look to the next: a disk is mounted over it or
/// unmounted, somebody moves it away, or removes it and its writers make it again.
///
/// Whatever directory is there is worked on: a living writer may write into it. One that is out of reach is remembered
/// with what it held, because an unmounted disk must not look as if all its writers had ended; one that was removed is
/// forgotten, so that the audit finds what was in it missing.
struct SpoolPath {
    let directory: String
    private let deadAfter_ms: Int64
    private var folder: SpoolFolder?
    private var former: [FileIdentity: SpoolFolder] = [:]

    init(directory: String, deadAfter_ms: Int64, lock: FileLock?) {
        self.directory = directory
        self.deadAfter_ms = deadAfter_ms
        folder = lock.map { SpoolFolder(directory: directory, deadAfter_ms: deadAfter_ms, lock: $0) }
    }

    mutating func scan(now_ms: Int64, steady_ms: Int64) -> SpoolScan {
        var scan: SpoolScan
        do {
            try follow()
            scan = folder?.scan(now_ms: now_ms, steady_ms: steady_ms) ?? SpoolScan()
        } catch {
            scan = folder?.unreadable(error) ?? SpoolScan(fault: error)
        }
        let found = Set(scan.writers.map(\.writer))
        for identity in former.keys {
            let held = former[identity]?.held(without: found) ?? SpoolScan()
            if held.writers.isEmpty || former[identity]?.isRemoved == true {
                former[identity] = nil
            } else {
                scan.hold(
                    held,
                    SpoolFault(
                        "is not the folder that it was (unmounted, or replaced). What comes into this one is shipped; "
                            + "\(held.candidates.count + held.openSegments) segments of \(held.writers.count) writers "
                            + "are out of reach in the former one: mount it again, move its files here, or restart "
                            + "this program to give them up", directory))
            }
        }
        return scan
    }

    /// Goes over to the directory that the path leads to now.
    private mutating func follow() throws {
        let now = try FileIdentity(of: directory)
        if let folder {
            if folder.identity == now { return }
            former[folder.identity] = folder
        }
        folder = former.removeValue(forKey: now)
        if folder != nil { return }
        guard let lock = try SpoolLock.attempt(directory) else {
            throw SpoolFault("is in the hands of another shipper: stop it first", directory)
        }
        folder = SpoolFolder(directory: directory, deadAfter_ms: deadAfter_ms, lock: lock)
    }
}

extension SpoolScan {
    /// A directory of which nothing is known, and why.
    fileprivate init(fault: any Error) {
        isEmpty = false
        faults = ["\(fault)"]
    }

    /// Adds what a directory held that is out of reach: its writers have not ended, and its segments wait, but cannot
    /// be shipped.
    fileprivate mutating func hold(_ former: SpoolScan, _ fault: SpoolFault) {
        writers += former.writers
        openSegments += former.openSegments + former.candidates.count
        openBytes += former.openBytes + former.candidates.reduce(0) { $0 + $1.rawBytes }
        oldestOpen_ms =
            [oldestOpen_ms, former.oldestOpen_ms, former.candidates.map(\.sealed_ms).min()].compactMap { $0 }.min()
        isEmpty = false
        isReadable = false
        isPartlyReadable = true
        faults.append("\(fault)")
    }
}
