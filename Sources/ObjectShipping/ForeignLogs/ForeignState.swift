import DurableIO
import FoundationEssentials

/// What the shipper remembers of foreign logs between its runs.
///
/// Without it the bucket is asked, see ``ForeignRecall``. Where that is not allowed, finished logs that are still there
/// are shipped again under the same names, which the ledger knows, except for those that were shipped in parts because
/// lines came late: these get a new name as a whole.
struct ForeignState: Codable, Equatable {
    /// A file whose content is known as long as its facts do not change.
    struct File: Codable, Equatable {
        var device: UInt64
        var inode: UInt64
        var size: Int
        var modified_ns: Int64
        /// When its inode last changed, which nobody can set; another time means that its content is asked again.
        var changed_ns: Int64?
        /// SHA-256 of its first and last 4 KiB as they lie on disk.
        var sample: String
        var bytes: Int
        var sha256: String
        var stream: String
    }

    /// A live file that was cut in place.
    struct Refused: Codable, Equatable {
        var path: String
        var inode: UInt64
    }

    var ledger = ForeignLedger()
    var files: [String: File] = [:]
    var refused: [Refused] = []

    /// Reads the state; an empty one when there is none.
    ///
    /// - Returns: the state, a fault when the file was there but could not be used, and whether nothing is remembered.
    static func load(_ path: String) -> (state: ForeignState, fault: String?, isLost: Bool) {
        do {
            let bytes = try DurableFile.read(path: path)
            do {
                return (try JSONDecoder().decode(ForeignState.self, from: Data(bytes)), nil, false)
            } catch {
                try? DurableFile.rename(from: path, to: path + ".damaged")
                return (
                    ForeignState(),
                    "\(path) is damaged and was renamed to \(path).damaged: what was shipped is looked up in the bucket",
                    true
                )
            }
        } catch {
            return error.isNotFound ? (ForeignState(), nil, true) : (ForeignState(), "\(error)", true)
        }
    }

    /// The state as it is, for a look that changes nothing; nil when there is none that can be read.
    static func peek(_ path: String) -> ForeignState? {
        guard let bytes = try? DurableFile.read(path: path) else { return nil }
        return try? JSONDecoder().decode(ForeignState.self, from: Data(bytes))
    }

    /// Writes the state durably.
    func save(_ path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try DurableFile.replace(path: path, bytes: Array(try encoder.encode(self)))
    }
}
