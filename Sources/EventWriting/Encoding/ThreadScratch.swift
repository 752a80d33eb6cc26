import EventModel
import Glibc

/// What one thread keeps between appends, so that it encodes without a lock and without allocating: a line's memory and
/// a random generator.
final class ThreadScratch {
    /// The line's memory; nil while an append uses it (an event's closure may log in turn).
    private var spare: LineEncoder? = LineEncoder()
    private var random = FastRandom()
    private var generation = ForkWatch.generation

    /// The writer that this thread last logged to.
    private(set) var writer = 0
    /// For each writer that this thread logs to: what it had lost when this thread began, or last flushed.
    private var losses: [(writer: Int, lost: Int)] = []
    /// More writers than this a thread hardly logs to; for those that come later any loss counts as a new one.
    private static let writersKept = 16
    private var hasForgotten = false

    /// Remembers what a writer has lost, from before this thread's first event; once each.
    func begin(_ number: Int, lost: () -> Int) {
        writer = number
        if losses.contains(where: { $0.writer == number }) { return }
        if losses.count == Self.writersKept {
            losses.removeFirst()
            hasForgotten = true
        }
        losses.append((number, hasForgotten ? 0 : lost()))
    }

    /// Whether a writer has lost nothing since this was last asked, or since this thread began to log to it.
    func hasLostNothing(_ number: Int, lost: Int) -> Bool {
        guard let place = losses.firstIndex(where: { $0.writer == number }) else {
            begin(number) { lost }
            return !hasForgotten || lost == 0
        }
        defer { losses[place].lost = lost }
        return losses[place].lost == lost
    }

    /// Hands out the line's memory, emptied.
    func takeLine() -> LineEncoder {
        guard var line = spare.take() else { return LineEncoder() }
        line.reset()
        return line
    }

    /// Takes the line's memory back.
    func giveBack(_ line: consuming LineEncoder) {
        spare = consume line
    }

    /// A new event id.
    ///
    /// A forked child starts a random sequence of its own.
    func makeID(time_ms: Int64) -> UUIDv7 {
        if generation != ForkWatch.generation {
            generation = ForkWatch.generation
            random = FastRandom()
        }
        return UUIDv7(time_ms: time_ms, using: &random)
    }

    /// This thread's scratch, made on first use and freed when the thread ends.
    static var current: ThreadScratch {
        if let pointer = pthread_getspecific(key) {
            return Unmanaged<ThreadScratch>.fromOpaque(pointer).takeUnretainedValue()
        }
        let scratch = ThreadScratch()
        pthread_setspecific(key, Unmanaged.passRetained(scratch).toOpaque())
        return scratch
    }

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        let result = pthread_key_create(&key) { pointer in
            if let pointer { Unmanaged<ThreadScratch>.fromOpaque(pointer).release() }
        }
        precondition(result == 0, "no thread-specific keys left in this process")
        return key
    }()
}

/// xoshiro256** (Blackman and Vigna, 2018), seeded by the system.
///
/// For ids: unique, not secret.
struct FastRandom: RandomNumberGenerator {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    init() {
        var system = SystemRandomNumberGenerator()
        state = (system.next(), system.next(), system.next(), system.next() | 1)
    }

    @inline(__always)
    mutating func next() -> UInt64 {
        let product = state.1 &* 5
        let result = (product &<< 7 | product &>> 57) &* 9
        let shifted = state.1 &<< 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = state.3 &<< 45 | state.3 &>> 19
        return result
    }
}
