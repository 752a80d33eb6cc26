import Glibc
import ServiceSupport
import Synchronization

/// Set by SIGTERM or SIGINT: the run that goes on is ended in order, a second signal ends the program at once.
final class StopFlag: Sendable {
    private let flag = Mutex(false)

    init() {
        let signals = Signals.stream([SIGTERM, SIGINT])
        Task { [weak self] in
            for await _ in signals {
                guard let self, !self.isSet else { exit(1) }
                self.flag.withLock { $0 = true }
            }
        }
    }

    var isSet: Bool { flag.withLock { $0 } }

    /// Waits, or less when the flag is set meanwhile.
    func pause(seconds: Int) async {
        for _ in 0..<(seconds * 10) where !isSet { try? await Task.sleep(for: .milliseconds(100)) }
    }
}
