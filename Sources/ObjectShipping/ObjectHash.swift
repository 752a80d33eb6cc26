import DurableIO

/// The SHA-256 of bytes in memory, 32 bytes.
func hashOf(_ bytes: [UInt8]) -> [UInt8] { SHA256.hash(bytes) }
