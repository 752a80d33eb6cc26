import EventModel
import EventWriting
import Glibc

/// Batches of predictions, and labels of half of them, told to whoever judges by pipe what became of them:
///
///     p WHO ID CLASS EIGHTHS TIME_MS        a prediction that will be flushed next
///     o WHO ID PREDICTION_ID LABEL          an outcome that will be flushed next
///     ok WHO                                all of its since the last `ok` or `no` is flushed
///     no WHO                                `flush` said that something of it was not written
///
/// WHO is the process's number, a dot and the thread's. The numbers are multiples of 1/8, so that sums of them are exact.
struct JudgedWork: Sendable {
    let log: EventWriter
    let batches: Int
    /// The hour that the events are in, milliseconds since the epoch.
    let hour_ms: Int64

    private static let classes = ["a", "b", "c"]

    /// Runs in so many threads at once, and returns when all are done.
    func run(threads: Int) {
        var handles: [pthread_t] = []
        for number in 0..<threads {
            var handle = pthread_t()
            let argument = Unmanaged.passRetained(Part(work: self, number: number)).toOpaque()
            let code = pthread_create(
                &handle, nil,
                { argument in
                    guard let argument else { return nil }
                    let part = Unmanaged<Part>.fromOpaque(argument).takeRetainedValue()
                    part.work.run(as: "\(getpid()).\(part.number)")
                    return nil
                }, argument)
            if code != 0 { fail("pthread_create: \(code)") }
            handles.append(handle)
        }
        for handle in handles { pthread_join(handle, nil) }
    }

    /// What a thread is given.
    private final class Part: Sendable {
        let work: JudgedWork
        let number: Int

        init(work: JudgedWork, number: Int) {
            self.work = work
            self.number = number
        }
    }

    private func run(as who: String) {
        for _ in 0..<batches {
            var told: [String] = []
            for _ in 0..<Int.random(in: 1...12) {
                let answer = Int.random(in: 0..<Self.classes.count)
                let eighths = Int.random(in: -4_000...4_000)
                let time_ms = hour_ms + Int64.random(in: 0..<3_600_000)
                let id = log.append(
                    .prediction(
                        model: "oracle", version: "1", prediction: .text(Self.classes[answer]), score: 0.75,
                        features: ["x": .number(Double(eighths) / 8)], latency_seconds: 0.001, time_ms: time_ms))
                guard let id else { continue }
                told.append("p \(who) \(id) \(Self.classes[answer]) \(eighths) \(time_ms)")
                if Bool.random() { told += label("\(id)", time_ms, answer, who) }
            }
            if !told.isEmpty { say(told.joined(separator: "\n")) }
            say("\(log.flush() ? "ok" : "no") \(who)")
            pause(seconds: Double.random(in: 0...0.1))
        }
    }

    private func label(_ prediction: String, _ time_ms: Int64, _ answer: Int, _ who: String) -> [String] {
        let truth = Self.classes[Int.random(in: 0..<5) == 0 ? (answer + 1) % Self.classes.count : answer]
        let id = log.append(
            .outcome(
                prediction_id: prediction, model: "oracle", label: .text(truth),
                prediction_time_ms: Bool.random() ? time_ms : nil))
        return id.map { ["o \(who) \($0) \(prediction) \(truth)"] } ?? []
    }
}
