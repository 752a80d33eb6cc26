// Replaced by its first type.
