import Glibc
import Synchronization

/// Makes writers survive `fork`.
///
/// The parent's locks are taken around the fork, so that the child's copy is whole; the child closes its copies of the
/// parent's files at once and becomes a new writer when it first logs.
enum ForkWatch {
    private static let counter = Atomic<Int>(0)
    private static let lock = Lock()
    nonisolated(unsafe) private static var cores: [Unmanaged<WriterCore>] = []

    /// How many forks lie between the program's start and this process.
    @inline(__always)
    static var generation: Int { counter.load(ordering: .acquiring) }

    private static let handlers: Void = {
        let result = pthread_atfork(
            {
                ForkWatch.lock.lock()
                for core in ForkWatch.cores { core.takeUnretainedValue().beforeFork() }
            },
            {
                for core in ForkWatch.cores { core.takeUnretainedValue().afterForkInParent() }
                ForkWatch.lock.unlock()
            },
            {
                ForkWatch.counter.add(1, ordering: .releasing)
                for core in ForkWatch.cores { core.takeUnretainedValue().afterForkInChild() }
                ForkWatch.lock.reinitialise()
            })
        precondition(result == 0, "no memory for the fork handlers")
    }()

    /// From now on forks take this writer into account.
    ///
    /// Its owner must call ``remove(_:)`` before it goes.
    static func add(_ core: WriterCore) {
        handlers
        lock.lock()
        cores.append(.passUnretained(core))
        lock.unlock()
    }

    static func remove(_ core: WriterCore) {
        lock.lock()
        cores.removeAll { $0.toOpaque() == Unmanaged.passUnretained(core).toOpaque() }
        lock.unlock()
    }
}
