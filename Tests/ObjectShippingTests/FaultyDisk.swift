import DurableIO
import TestSupport
import Testing

/// A disk that fails when a test says so: `Tests/Programs/faulty-disk`, built here and preloaded into a writer.
struct FaultyDisk {
    /// What the writer's environment must hold.
    let environment: [String: String]
    private let control: String

    init(in folder: String) throws {
        let library = folder + "/faulty_disk.so"
        control = folder + "/faults"
        let source = DurableFile.folder(of: DurableFile.folder(of: #filePath)) + "/Programs/faulty-disk/faulty_disk.c"
        let compiler = try ChildProcess(
            "cc", ["-shared", "-fPIC", "-O1", "-o", library, source], output: folder + "/cc.log")
        let log = (try? DurableFile.read(path: folder + "/cc.log")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        try #require(compiler.wait() == 0, "\(log)")
        environment = ["LD_PRELOAD": library, "NADI_FAULTS": control]
        try heal()
    }

    /// From now on this happens: a call, how it fails, and its number.
    func fail(_ call: String, _ kind: String = "fail", _ code: Int32 = 0) throws {
        try DurableFile.replace(path: control, bytes: Array("\(call) \(kind) \(code)\n".utf8))
    }

    /// From now on nothing happens.
    func heal() throws { try DurableFile.replace(path: control, bytes: []) }
}
