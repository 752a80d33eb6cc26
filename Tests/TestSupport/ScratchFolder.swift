internal import DurableIO
internal import Glibc

/// A folder of a test's own, removed with all its content when the last reference goes.
package final class ScratchFolder: Sendable {
    /// The folder's absolute path, without a slash at its end.
    package let path: String

    /// Makes an empty folder under the system's folder for temporary files.
    package init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/nadi-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError.current("make folder", base) }
        path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    }

    deinit {
        Self.removeAll(path)
    }

    /// A path inside the folder.
    package subscript(_ name: String) -> String { "\(path)/\(name)" }

    private static func removeAll(_ path: String) {
        guard let entries = try? DurableFile.list(path) else { return }
        for entry in entries {
            if entry.isDirectory { removeAll("\(path)/\(entry.name)") } else { unlink("\(path)/\(entry.name)") }
        }
        rmdir(path)
    }
}
