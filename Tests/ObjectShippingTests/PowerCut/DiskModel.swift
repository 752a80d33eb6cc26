import DurableIO
import Glibc
import TestSupport

/// A disk that forgets what was not synchronised: replays what a program did, and tells what a power cut may leave.
///
/// Stricter than any file system in use: bytes are there once their file was synchronised, names once their folder was.
struct DiskModel {
    /// What a power cut does with what was not synchronised.
    enum Cut: Hashable {
        /// All of it is gone.
        case forgetful
        /// All of it had reached the disk.
        case lucky
        /// Each change of a name and each file's bytes had or had not, by chance.
        case random(UInt64)
    }

    private final class File {
        var bytes: [UInt8] = []
        var safe: [UInt8] = []
        init(_ bytes: [UInt8] = []) {
            self.bytes = bytes
            safe = bytes
        }
    }

    /// One change of names, which a cut leaves whole or not at all.
    private struct Change {
        var folders: Set<String>
        var removed: String?
        var added: (path: String, file: File?)?
    }

    private struct Handle {
        var path: String
        var file: File?
        var position: Int
        var appends: Bool
    }

    /// Files by path; folders are nil.
    private var names: [String: File?] = [:]
    private var safeNames: [String: File?] = [:]
    private var pending: [Change] = []
    private var handles: [Int32: Handle] = [:]

    /// Begins with files that are all on the disk.
    ///
    /// - Parameters:
    ///   - root: the folder to look into, with all below it.
    ///   - other: where they are to lie; there if nil.
    init(reading root: String, as other: String? = nil) throws {
        try add(root, as: other ?? root)
        safeNames = names
    }

    private mutating func add(_ folder: String, as other: String) throws {
        names[other] = .some(nil)
        guard let listing = opendir(folder) else { throw SystemError.current("list", folder) }
        defer { closedir(listing) }
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if name == "." || name == ".." { continue }
            if Int32(entry.pointee.d_type) == Int32(DT_DIR) {
                try add("\(folder)/\(name)", as: "\(other)/\(name)")
            } else {
                names["\(other)/\(name)"] = File(try DurableFile.read(path: "\(folder)/\(name)"))
            }
        }
    }

    // MARK: What the program does

    mutating func apply(_ record: FileRecord) {
        switch record.kind {
        case .start: handles = [:]
        case .open: open(record)
        case .close: handles[record.descriptor] = nil
        case .write: write(record)
        case .sync: synchronise(record.descriptor)
        case .rename:
            guard let file = names[record.path] else { return }
            names[record.path] = nil
            names[record.other] = file
            change(removed: record.path, added: (record.other, file))
        case .link:
            guard let file = names[record.path] else { return }
            names[record.other] = file
            change(removed: nil, added: (record.other, file))
        case .unlink:
            names[record.path] = nil
            change(removed: record.path, added: nil)
        case .mkdir:
            names[record.path] = .some(nil)
            change(removed: nil, added: (record.path, nil))
        case .truncate:
            guard let file = handles[record.descriptor]?.file else { return }
            resize(file, Int(record.number))
        case .say: break
        }
    }

    private mutating func change(removed: String?, added: (path: String, file: File?)?) {
        let folders = Set([removed, added?.path].compactMap { $0.map(DurableFile.folder(of:)) })
        pending.append(Change(folders: folders, removed: removed, added: added))
    }

    private mutating func open(_ record: FileRecord) {
        let flags = Int32(truncatingIfNeeded: record.number)
        if names[record.path] == nil, flags & O_CREAT != 0 {
            let file = File()
            names[record.path] = file
            change(removed: nil, added: (record.path, file))
        }
        let file = names[record.path].flatMap { $0 }
        if let file, flags & O_TRUNC != 0 { file.bytes = [] }
        handles[record.descriptor] = Handle(
            path: record.path, file: file, position: 0, appends: flags & O_APPEND != 0)
    }

    private mutating func write(_ record: FileRecord) {
        guard var handle = handles[record.descriptor], let file = handle.file else { return }
        let start =
            record.number >= 0 ? Int(record.number) : handle.appends ? file.bytes.count : handle.position
        let end = start + record.data.count
        if file.bytes.count < end { resize(file, end) }
        file.bytes.replaceSubrange(start..<end, with: record.data)
        if record.number < 0 { handle.position = end }
        handles[record.descriptor] = handle
    }

    private func resize(_ file: File, _ size: Int) {
        if file.bytes.count > size { file.bytes.removeSubrange(size...) }
        file.bytes.append(contentsOf: repeatElement(0, count: size - file.bytes.count))
    }

    private mutating func synchronise(_ descriptor: Int32) {
        guard let handle = handles[descriptor] else { return }
        if let file = handle.file {
            file.safe = file.bytes
            return
        }
        // A folder: what was changed in it is durable; a change of two folders needs both.
        for index in pending.indices { pending[index].folders.remove(handle.path) }
        for change in pending where change.folders.isEmpty { Self.apply(change, to: &safeNames) }
        pending.removeAll { $0.folders.isEmpty }
    }

    private static func apply(_ change: Change, to names: inout [String: File?]) {
        if let removed = change.removed { names[removed] = nil }
        if let added = change.added { names[added.path] = .some(added.file) }
    }

    // MARK: What is left

    /// The files as a running program sees them.
    var live: [String: [UInt8]] { names.compactMapValues { $0?.bytes } }

    /// The files that are there when the power comes back, by path.
    func after(_ cut: Cut) -> [String: [UInt8]] {
        var left = safeNames
        var random: SeededGenerator? =
            if case .random(let seed) = cut { SeededGenerator(seed: seed) } else { nil }
        func survives() -> Bool { cut == .lucky || (random?.next() ?? 1) & 1 == 0 && random != nil }
        for change in pending where survives() { Self.apply(change, to: &left) }
        var files: [String: [UInt8]] = [:]
        for (path, entry) in left.sorted(by: { $0.key < $1.key }) {
            guard let file = entry, hasFolders(path, left) else { continue }
            if case .random = cut {
                files[path] = Self.torn(file.safe, file.bytes, &random)
            } else {
                files[path] = cut == .lucky ? file.bytes : file.safe
            }
        }
        return files
    }

    private func hasFolders(_ path: String, _ names: [String: File?]) -> Bool {
        var folder = DurableFile.folder(of: path)
        while let known = self.names[folder] ?? safeNames[folder], known == nil {
            guard names[folder] != nil else { return false }
            folder = DurableFile.folder(of: folder)
        }
        return true
    }

    /// The synchronised bytes, and of those written since as many as came through.
    private static func torn(_ safe: [UInt8], _ bytes: [UInt8], _ random: inout SeededGenerator?) -> [UInt8] {
        guard safe != bytes, let draw = random?.next() else { return bytes }
        switch draw % 3 {
        case 0: return safe
        case 1: return bytes
        default:
            let count = Int(draw / 3 % UInt64(bytes.count + 1))
            return Array(bytes[..<count]) + (count < safe.count ? safe[count...] : [])
        }
    }
}
