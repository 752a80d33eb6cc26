internal import Sketches

extension Aggregates {
    /// How much memory the rows take, in bytes; a guess within a factor of two.
    ///
    /// - Complexity: linear in the rows.
    package var memory: Int {
        var bytes = models.count * 64 + series.count * 192 + features.count * 96 + categories.count * 96
        bytes += resources.count * 192 + (resourceMinutes.count + resourceHours.count) * 128
        bytes += outcomes.count * 640 + deployments.count * 320
        for counts in requestMinutes.values { bytes += 256 + 12 * counts.latency.codes.count }
        for counts in requestHours.values { bytes += 256 + 12 * counts.latency.codes.count }
        for counts in featureHours.values {
            bytes += 416 + 12 * (counts.logBins.codes.count + counts.categories.codes.count)
            bytes += 8 * (counts.edges.counts?.count ?? 0)
        }
        for counts in scoreHours.values { bytes += 384 + 36 * counts.bins.count }
        for segment in segments { bytes += 640 + 64 * segment.hours.count + 400 * segment.rejectLines.count }
        return bytes
    }
}
