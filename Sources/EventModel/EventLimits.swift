/// The numbers that writers, the shipper and the loader must agree on.
package enum EventLimits {
    /// Version of the event schema, the `schema` field of every line.
    package static let schemaVersion = 1

    /// Longest line in bytes, its newline not counted (1 MiB).
    ///
    /// Longer ones are rejected as `too_long`.
    package static let lineBytes = 1 << 20

    /// A segment that has reached this many bytes is sealed (16 MiB).
    package static let sealBytes = 16 << 20

    /// A segment that holds an event is sealed when its first event is this old, in milliseconds (20 s).
    package static let sealAge_ms: Int64 = 20_000

    /// A writer is dead when its lock is free and nothing was written for this long, in milliseconds (three seal ages).
    package static let deadAge_ms: Int64 = 3 * sealAge_ms

    /// Size of a lock file in bytes: one block, allocated at creation, so that counts can be kept on a full disk.
    package static let lockRecordBytes = 4096

    /// Longest normalised host name in bytes.
    package static let hostBytes = 64

    /// Longest name or id in bytes, the service's too.
    package static let nameBytes = 256

    /// Longest explanation in bytes; clients cut longer ones.
    package static let explanationBytes = 2048

    /// Counts and sizes are below this (2^53), so that any JSON reader keeps them whole.
    package static let countLimit = 1 << 53

    /// How far beside 0 to 1 a probability may lie: rounding errors of a model's last layer.
    package static let probabilitySlack = 1e-6
}
