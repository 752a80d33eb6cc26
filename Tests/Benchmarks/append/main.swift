// What one append costs: median and percentiles in nanoseconds, and allocations.
//
//     benchmark-append [DIRECTORY] [EVENTS]
//
// The event is the budget's: 10 numbers, 3 texts, 2 tags. Each append is timed by itself; the cost of reading the
// clock, measured alone, is printed and not subtracted. Allocations are counted by a `malloc` of this program's own,
// for the appending thread alone. A DIRECTORY on a frozen file system shows the stalled disk.
import CAllocationCount
import EventModel
import EventWriting
import Glibc

func nanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

func report(_ title: String, _ samples: inout [Int]) {
    samples.sort()
    func at(_ share: Double) -> Int { samples[min(samples.count - 1, Int(share * Double(samples.count)))] }
    print("\(title): median \(at(0.5)) ns, p90 \(at(0.9)), p99 \(at(0.99)), p99.9 \(at(0.999)), max \(at(1)) ns")
}

/// Whether an allocation is counted.
func counterWorks() -> Bool {
    let before = allocation_count()
    let made = [Int](repeating: 1, count: 1000 + CommandLine.arguments.count)
    return withExtendedLifetime(made) { allocation_count() > before }
}

@inline(never)
func appendBuilt(_ log: EventWriter, _ number: Int) {
    let x = Double(number)
    log.append(
        .prediction(
            model: "iris-classifier", version: "2026.11.3", prediction: "setosa", score: 0.98, latency_seconds: 0.0031)
    ) { event in
        event.features {
            $0.add("sepal_length", 5.1 + x / 7)
            $0.add("sepal_width", 3.5)
            $0.add("petal_length", 1.4)
            $0.add("petal_width", x * 1e-7 / 3)
            $0.add("age", 41.0)
            $0.add("amount", 1234.56)
            $0.add("ratio", 1 / (x + 1))
            $0.add("balance", -1e6 / 7)
            $0.add("clicks", number)
            $0.add("temperature", 21.5)
            $0.add("country", "Switzerland")
            $0.add("device", "mobile")
            $0.add("campaign", "autumn-sale-2026-newsletter")
        }
        event.tags {
            $0.add("region", "eu-central-1")
            $0.add("tier", "gold")
        }
    }
}

let arguments = CommandLine.arguments
var template: [CChar] = Array("/tmp/benchmark-append-XXXXXX".utf8CString)
let directory: String
if arguments.count > 1 {
    directory = arguments[1]
} else {
    guard mkdtemp(&template) != nil else { exit(73) }
    directory = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
let events = arguments.count > 2 ? Int(arguments[2]) ?? 400_000 : 400_000

do {
    var configuration = EventWriter.Configuration(directory: directory, service: "benchmark", environment: "prod")
    configuration.buffer_bytes = 64 << 20
    let log = try EventWriter(configuration)
    for number in 0..<10_000 { appendBuilt(log, number) }

    var clock = [Int](repeating: 0, count: 100_000)
    for place in clock.indices {
        let before = nanoseconds()
        clock[place] = nanoseconds() - before
    }
    report("clock alone", &clock)

    var samples = [Int](repeating: 0, count: events)
    log.flush()
    let allocationsBefore = allocation_count()
    let start = nanoseconds()
    for number in 0..<events {
        let before = nanoseconds()
        appendBuilt(log, number)
        samples[number] = nanoseconds() - before
    }
    let took = nanoseconds() - start
    let allocationsAfter = allocation_count()
    report("append", &samples)
    print("\(events) events in \(took / 1_000_000) ms, \(took / events) ns each")
    print(
        "allocations meanwhile: \(allocationsAfter - allocationsBefore) (a first one, to test the counter: \(counterWorks()))"
    )
    let closed = log.close()
    let status = log.status
    print("closed \(closed); \(status.counts)")
} catch {
    print(error)
    exit(1)
}
