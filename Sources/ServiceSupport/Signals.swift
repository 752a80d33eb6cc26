import Glibc
import Synchronization

/// The write end of the pipe that the handler writes to; -1 before the first use.
private let signalPipe = Atomic<Int32>(-1)

/// Does what a signal handler may do: one `write(2)`, and `errno` is left as it was.
private func handleSignal(_ number: Int32) {
    let saved = errno
    var byte = UInt8(truncatingIfNeeded: number)
    _ = write(signalPipe.load(ordering: .relaxed), &byte, 1)
    errno = saved
}

/// Signals of the process as a stream of numbers.
package enum Signals {
    /// Takes over signals for the rest of the process's life.
    ///
    /// To be called once. A signal that comes twice while nobody reads is kept twice.
    ///
    /// - Parameter numbers: such as `SIGTERM`.
    /// - Returns: a stream that never ends by itself.
    package static func stream(_ numbers: [Int32]) -> AsyncStream<Int32> {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return AsyncStream { $0.finish() } }
        let (readEnd, writeEnd) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(writeEnd, F_SETFL, O_NONBLOCK)
        precondition(
            signalPipe.compareExchange(expected: -1, desired: writeEnd, ordering: .sequentiallyConsistent).exchanged,
            "signals are taken over once")
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
        DetachedThread.start {
            var byte: UInt8 = 0
            while true {
                let count = read(readEnd, &byte, 1)
                if count == 1 { continuation.yield(Int32(byte)) }
                if count == 0 || (count < 0 && errno != EINTR) { return }
            }
        }
        for number in numbers {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = handleSignal
            action.sa_flags = SA_RESTART
            sigaction(number, &action, nil)
        }
        return stream
    }

    /// Makes writes to closed sockets and pipes fail with an error instead of ending the process.
    package static func ignoreBrokenPipes() {
        signal(SIGPIPE, SIG_IGN)
    }
}
