// Logs predictions and prints the id of each event once `flush` has returned for it: what is printed must survive.
//
//     event-writer-probe DIRECTORY COUNT RATE [option=value ...]
//
// RATE is events a second, 0 for as fast as possible. Options:
//     service=NAME  threads=N       who logs; each thread logs COUNT events
//     flush=N                       flush after every N events (default 1)
//     seal_bytes=N seal_age=SECONDS buffer=BYTES payload=BYTES
//     end=close|exit|wait           how it ends: close, exit without closing, or wait to be killed (default close)
//     fork=1                        fork in the middle; the child logs COUNT events too, its ids follow `child `
//     forks=N                       meanwhile fork N children, each of which logs 50 events
//     replay=1 block=1 host=NAME    as in the configuration
//     judged=MS                     writes for Tests/Oracle instead: see JudgedWork.swift
//     commands=FIFO                 do what the lines of this FIFO say instead: see Commands.swift
// The last line is `counts APPENDED WRITTEN DROPPED`, after close only.
import EventModel
import EventWriting
import Glibc

struct Options {
    var values: [String: String] = [:]

    init(_ arguments: ArraySlice<String>) {
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1)
            guard parts.count == 2 else { fail("not option=value: \(argument)") }
            values[String(parts[0])] = String(parts[1])
        }
    }

    func integer(_ name: String, _ otherwise: Int) -> Int {
        guard let text = values[name] else { return otherwise }
        guard let value = Int(text) else { fail("\(name): not a number: \(text)") }
        return value
    }
}

func fail(_ message: String) -> Never {
    say("event-writer-probe: \(message)", to: 2)
    exit(64)
}

/// One write, so that lines of threads and processes do not mix.
func say(_ text: String, to file: Int32 = 1) {
    let bytes = Array((text + "\n").utf8)
    guard write(file, bytes, bytes.count) == bytes.count else { exit(74) }
}

func pause(seconds: Double) {
    var time = timespec(tv_sec: Int(seconds), tv_nsec: Int(seconds.truncatingRemainder(dividingBy: 1) * 1e9))
    nanosleep(&time, nil)
}

/// What one thread does.
struct Work: Sendable {
    let log: EventWriter
    let count: Int
    let rate: Double
    let flushEvery: Int
    let payload: String
    let prefix: String

    func run() {
        var waiting: [String] = []
        for number in 0..<count {
            let id = log.append(
                .prediction(
                    model: "probe", version: "1", prediction: "yes", score: 0.75,
                    features: ["number": .integer(number), "payload": .text(payload)], latency_seconds: 0.001))
            if let id { waiting.append("\(id)") }
            if (number + 1) % flushEvery == 0 || number + 1 == count {
                if log.flush() { for id in waiting { say(prefix + id) } }
                waiting = []
            }
            if rate > 0 { pause(seconds: 1 / rate) }
        }
    }
}

final class Box: Sendable {
    let work: Work
    init(_ work: Work) { self.work = work }
}

func runThreads(_ work: Work, _ threads: Int) {
    var handles: [pthread_t] = []
    for _ in 0..<threads {
        var handle = pthread_t()
        let argument = Unmanaged.passRetained(Box(work)).toOpaque()
        let code = pthread_create(
            &handle, nil,
            { argument in
                if let argument { Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().work.run() }
                return nil
            }, argument)
        if code != 0 { fail("pthread_create: \(code)") }
        handles.append(handle)
    }
    for handle in handles { pthread_join(handle, nil) }
}

/// Swift hides `fork`; services written in other languages, and frameworks, call it all the same.
func forkProcess() -> pid_t {
    typealias Fork = @convention(c) () -> pid_t
    guard let symbol = dlsym(nil, "fork") else { fail("no fork") }
    return unsafeBitCast(symbol, to: Fork.self)()
}

/// Forks children beside threads that log, and waits for them.
final class ForkingThread: @unchecked Sendable {
    private let work: Work
    private let count: Int
    private var handle = pthread_t()

    init(_ work: Work, _ count: Int) {
        self.work = Work(
            log: work.log, count: 50, rate: 0, flushEvery: 25, payload: work.payload, prefix: "child ")
        self.count = count
        guard count > 0 else { return }
        let code = pthread_create(
            &handle, nil,
            { argument in
                if let argument { Unmanaged<ForkingThread>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        if code != 0 { fail("pthread_create: \(code)") }
    }

    private func run() {
        for _ in 0..<count {
            let child = forkProcess()
            if child == 0 {
                work.run()
                _exit(work.log.close() ? 0 : 1)
            }
            var status: Int32 = 0
            guard child > 0, waitpid(child, &status, 0) == child, status == 0 else {
                fail("a child failed: \(status)")
            }
        }
    }

    func wait() { if count > 0 { pthread_join(handle, nil) } }
}

let arguments = CommandLine.arguments
guard arguments.count >= 4, let count = Int(arguments[2]), let rate = Double(arguments[3]) else {
    fail("usage: event-writer-probe DIRECTORY COUNT RATE [option=value ...]")
}
let options = Options(arguments[4...])
var configuration = EventWriter.Configuration(
    directory: arguments[1], service: options.values["service"] ?? "probe")
configuration.seal_bytes = options.integer("seal_bytes", configuration.seal_bytes)
configuration.seal_age_seconds = options.values["seal_age"].flatMap(Double.init) ?? configuration.seal_age_seconds
configuration.buffer_bytes = options.integer("buffer", configuration.buffer_bytes)
configuration.host = options.values["host"] ?? configuration.host
configuration.replay = options.integer("replay", 0) == 1
configuration.pressure = options.integer("block", 0) == 1 ? .block : .drop

do {
    let log = try EventWriter(configuration)
    if let fifo = options.values["commands"] { Commands(log, fifo: fifo).obey() }
    let work = Work(
        log: log, count: count, rate: rate, flushEvery: options.integer("flush", 1),
        payload: String(repeating: "x", count: options.integer("payload", 0)), prefix: "")
    if options.values["judged"] != nil {
        JudgedWork(log: log, batches: count, hour_ms: Int64(options.integer("judged", 0)))
            .run(threads: options.integer("threads", 1))
        exit(log.close() ? 0 : 1)
    }
    var child: pid_t = -1
    if options.integer("fork", 0) == 1 {
        runThreads(work, 1)
        // One event waits in the buffer across the fork: it is the parent's alone.
        log.append(.prediction(model: "probe", version: "1", prediction: "across"))
        child = forkProcess()
        if child == 0 {
            let mine = Work(
                log: log, count: count, rate: rate, flushEvery: work.flushEvery, payload: work.payload,
                prefix: "child ")
            mine.run()
            _exit(log.close() ? 0 : 1)
        }
    }
    let forks = ForkingThread(work, options.integer("forks", 0))
    runThreads(work, options.integer("threads", 1))
    forks.wait()
    if child > 0 {
        var status: Int32 = 0
        guard waitpid(child, &status, 0) == child, status == 0 else { fail("the child failed: \(status)") }
    }
    switch options.values["end"] ?? "close" {
    case "exit": exit(0)
    case "wait": while true { pause(seconds: 60) }
    default:
        let closed = log.close()
        let counts = log.status.counts
        say("counts \(counts.appended) \(counts.written) \(counts.dropped.total)")
        exit(closed ? 0 : 1)
    }
} catch {
    fail("\(error)")
}
