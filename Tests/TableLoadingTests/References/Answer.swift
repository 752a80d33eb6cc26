import DurableIO
import TestSupport

/// What the program nadi answered.
struct Answer {
    let status: Int32
    /// Standard output and standard error, as they came.
    let text: String

    /// Runs it to its end.
    static func of(_ arguments: [String], in folder: ScratchFolder) throws -> Answer {
        let path = folder["answer-\(UInt32.random(in: 0...UInt32.max))"]
        let process = try ChildProcess(Program.path ?? "", arguments, output: path)
        let status = process.wait()
        let text = String(decoding: try DurableFile.read(path: path), as: UTF8.self)
        return Answer(status: status, text: text)
    }
}
