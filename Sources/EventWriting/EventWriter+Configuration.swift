package import EventModel

extension EventWriter {
    /// How a writer is opened.
    ///
    /// Defaults suit a service with one spool per host.
    public struct Configuration: Sendable {
        /// What `append` does when the disk is slower than the service, or full.
        public enum Pressure: Sendable {
            /// Give the event up and count it. The service never waits.
            case drop
            /// Wait for room. For batch programs that would rather stop than lose an event.
            case block
        }

        /// The spool: a directory on a local file system that the shipper watches.
        public var directory: String
        /// The service's name, 1 to 256 bytes.
        public var service: String
        /// For example `prod`; left out of the events where it is nil.
        public var environment: String?
        /// The host's name; nil means the kernel's.
        public var host: String?
        /// Memory for events that wait for the writing thread, in bytes; twice this much is allocated.
        ///
        /// 64 KiB to 1 GiB.
        public var buffer_bytes = 4 << 20
        /// What `append` does when that memory is full.
        public var pressure = Pressure.drop
        /// Old events are being written on purpose, so that the limit of 400 days does not hold.
        public var replay = false
        /// A segment is sealed when it has reached this size, in bytes.
        public var seal_bytes = EventLimits.sealBytes
        /// A segment that holds an event is sealed when it is this old, in seconds.
        public var seal_age_seconds = Double(EventLimits.sealAge_ms) / 1000
        /// Longest time that `close` waits for a disk that does not take the last events, in seconds.
        public var close_timeout_seconds = 10.0

        /// What tests hold fixed.
        package var testing = Testing()

        /// A configuration with the defaults.
        public init(directory: String, service: String, environment: String? = nil) {
            self.directory = directory
            self.service = service
            self.environment = environment
        }

        /// Clock, identity and randomness, fixed in tests.
        package struct Testing: Sendable {
            /// Milliseconds since the epoch; nil means the system's clock.
            package var wall_ms: (@Sendable () -> Int64)?
            /// The first writer's identity.
            package var identity: UUIDv7?
            /// The process id in records.
            package var pid: Int?
            /// A segment's `fsync`, to let it fail.
            package var synchronise: (@Sendable (Int32) -> Int32)?

            package init() {}
        }

        func check() throws(EventWriterError) {
            for (setting, name) in [("service", service), ("environment", environment ?? "none")]
            where !(1...EventLimits.nameBytes).contains(name.utf8.count) || name.utf8.contains(0) {
                throw EventWriterError(setting: setting, "must have 1 to \(EventLimits.nameBytes) bytes and no NUL")
            }
            guard (64 << 10...1 << 30).contains(buffer_bytes) else {
                throw EventWriterError(setting: "buffer_bytes", "must be 64 KiB to 1 GiB")
            }
            guard seal_bytes > 0 else { throw EventWriterError(setting: "seal_bytes", "must be positive") }
            guard seal_age_seconds > 0, seal_age_seconds < 1e9 else {
                throw EventWriterError(setting: "seal_age_seconds", "must be positive and finite")
            }
            guard close_timeout_seconds >= 0, close_timeout_seconds < 1e9 else {
                throw EventWriterError(setting: "close_timeout_seconds", "must be 0 or more, and finite")
            }
        }
    }
}
