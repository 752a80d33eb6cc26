import DurableIO
import Glibc

/// The standard `process_*` metrics, read from `/proc/self` at each exposition.
package enum ProcessMetrics {
    /// Adds them to a registry.
    ///
    /// - Parameter started_ms: when the process began, milliseconds since the epoch.
    package static func add(to registry: MetricsRegistry, started_ms: Int64) {
        let cpu = registry.counter("process_cpu_seconds_total", "CPU time used by the process in seconds.")
        let resident = registry.gauge("process_resident_memory_bytes", "Resident memory of the process in bytes.")
        let virtual = registry.gauge("process_virtual_memory_bytes", "Virtual memory of the process in bytes.")
        let start = registry.gauge(
            "process_start_time_seconds", "When the process began, in seconds since the epoch.")
        let open = registry.gauge("process_open_fds", "Open file descriptors.")
        let most = registry.gauge("process_max_fds", "How many file descriptors may be open.")
        start.set(Double(started_ms) / 1_000)
        registry.beforeExposition {
            var usage = rusage()
            if getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
                let seconds = ProcessMetrics.seconds(usage.ru_utime) + ProcessMetrics.seconds(usage.ru_stime)
                cpu.add(max(0, seconds - (cpu.value() ?? 0)))
            }
            var limit = rlimit()
            if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 { most.set(Double(limit.rlim_cur)) }
            if let pages = ProcessMetrics.memoryPages() {
                let size = Double(sysconf(Int32(_SC_PAGESIZE)))
                virtual.set(Double(pages.total) * size)
                resident.set(Double(pages.resident) * size)
            }
            if let entries = try? DurableFile.list("/proc/self/fd") { open.set(Double(max(0, entries.count - 1))) }
        }
    }

    /// The first two numbers of `/proc/self/statm`.
    private static func memoryPages() -> (total: Int, resident: Int)? {
        guard let bytes = try? DurableFile.read(path: "/proc/self/statm") else { return nil }
        let numbers = String(decoding: bytes, as: UTF8.self).split(separator: " ").compactMap { Int($0) }
        return numbers.count >= 2 ? (numbers[0], numbers[1]) : nil
    }

    private static func seconds(_ time: timeval) -> Double {
        Double(time.tv_sec) + Double(time.tv_usec) / 1e6
    }
}
