import DurableIO
import Glibc
import TestSupport

/// One thing that a program did to files, as `Tests/Programs/file-recorder.c` wrote it down.
struct FileRecord {
    enum Kind: UInt32 {
        case start = 1
        case open, close, write, sync, rename, link, unlink, mkdir, truncate, say
    }

    var kind: Kind
    var descriptor: Int32
    /// Flags of `open`, offset of `write` (-1: where the descriptor stands), size of `truncate`.
    var number: Int64
    var path: String
    var other: String
    var data: [UInt8]

    /// All records of a file; one that was cut off at its end is left out.
    static func read(_ path: String) throws -> [FileRecord] {
        let bytes = try DurableFile.read(path: path)
        var records: [FileRecord] = []
        var place = 0
        func word(_ offset: Int) -> UInt32 {
            bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place + offset, as: UInt32.self) }
        }
        while place + 32 <= bytes.count {
            let lengths = [16, 20, 24].map { Int(word($0)) }
            guard let kind = Kind(rawValue: word(0)), place + 32 + lengths.reduce(0, +) <= bytes.count else { break }
            let number = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place + 8, as: Int64.self) }
            let descriptor = Int32(bitPattern: word(4))
            place += 32
            let parts = lengths.map { length in
                defer { place += length }
                return Array(bytes[place..<place + length])
            }
            records.append(
                FileRecord(
                    kind: kind, descriptor: descriptor, number: number, path: String(decoding: parts[0], as: UTF8.self),
                    other: String(decoding: parts[1], as: UTF8.self), data: parts[2]))
        }
        return records
    }
}

/// The library that writes records, compiled once for a test run.
enum FileRecorder {
    private static let library: Result<String, any Error> = Result {
        let folder = try ScratchFolder()
        kept = folder
        let path = folder["recorder.so"]
        let compiling = try ChildProcess(
            "clang",
            [
                "-O1", "-shared", "-fPIC", "-D_LARGEFILE64_SOURCE", "-o", path,
                "\(BuiltPrograms.root)/Tests/Programs/file-recorder.c",
            ], output: folder["log"])
        guard compiling.wait() == 0 else {
            throw SystemError(operation: "compile (see \(folder["log"]))", path: path, code: ENOEXEC)
        }
        return path
    }
    nonisolated(unsafe) private static var kept: ScratchFolder?

    /// What a program needs in its environment to be recorded.
    static func environment(root: String, log: String, dieAfter: Int? = nil) throws -> [String: String] {
        var variables = ["LD_PRELOAD": try library.get(), "NADI_RECORD_ROOT": root, "NADI_RECORD_LOG": log]
        if let dieAfter { variables["NADI_RECORD_DIE"] = "\(dieAfter)" }
        return variables
    }
}
