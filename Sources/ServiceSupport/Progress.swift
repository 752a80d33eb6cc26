import Glibc
import Synchronization

/// One line on a terminal that is written over as work goes on; nothing at all where standard error is no terminal.
package final class Progress: Sendable {
    private let isShown: Bool
    private let last_ns = Mutex<Int64>(0)

    /// - Parameter isShown: whether to write; by default where standard error is a terminal.
    package init(isShown: Bool = isatty(2) == 1) {
        self.isShown = isShown
    }

    /// Shows how far the work is, at most ten times a second.
    package func update(_ text: @autoclosure () -> String) {
        guard isShown else { return }
        let now = SystemTime.monotonic_ns()
        let isDue = last_ns.withLock { last in
            guard now - last >= 100_000_000 else { return false }
            last = now
            return true
        }
        if isDue { StandardError.write("\r\u{1B}[K" + text()) }
    }

    /// Clears the line; to be called before anything else is written.
    package func finish() {
        if isShown { StandardError.write("\r\u{1B}[K") }
    }
}

/// Writes to file descriptor 2 without buffers, so that lines of several threads are not mixed.
package enum StandardError {
    /// Writes a text; errors are ignored, as there is no better place to tell them.
    package static func write(_ text: String) {
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(2, $0.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0 {
                if errno == EINTR { continue }
                return
            }
            written += count
        }
    }
}
