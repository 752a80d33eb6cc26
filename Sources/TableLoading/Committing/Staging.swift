internal import RecordBatches
internal import Sketches
internal import TableStorage

/// Copies a batch's aggregates into the session's temporary tables and merges them into the tables.
struct Staging {
    let connection: Connection
    let batch: AdmittedAggregates
    /// Minute rows of days before this, in seconds, are not written: their partitions are past retention.
    let firstMinute_s: Int64

    /// Stages and merges everything, in the order of ``MergeStatements/tables``; days only `withDays`, else the caller
    /// derives them from their hours.
    func merge(withDays: Bool = true) throws {
        let rows = batch.rows
        let days = withDays ? rows.days() : DayAggregates()
        try requests("request_minute", rows.requestMinutes.filter { $0.key.time_s >= firstMinute_s })
        try requests("request_hour", rows.requestHours)
        try requests("request_day", days.requestDays)
        try features("feature_hour", rows.featureHours)
        try features("feature_day", days.featureDays)
        try scores("score_hour", rows.scoreHours)
        try scores("score_day", days.scoreDays)
        try resources("resource_minute", rows.resourceMinutes.filter { $0.key.time_s >= firstMinute_s })
        try resources("resource_hour", rows.resourceHours)
    }

    private func finish(_ writer: inout CopyWriter, _ table: String) throws {
        try writer.finish()
        guard writer.rows > 0, let time = MergeStatements.tables.first(where: { $0.table == table })?.time else {
            return
        }
        try connection.query(MergeStatements.merge(table, time))
    }

    private func open(_ table: String) throws -> CopyWriter {
        let time = MergeStatements.tables.first { $0.table == table }?.time ?? ""
        return try connection.copy(into: "stage_\(table)", columns: MergeStatements.columns(table, time))
    }

    private func requests(_ table: String, _ rows: [TimeKey: RequestCounts]) throws {
        if rows.isEmpty { return }
        var writer = try open(table)
        for (key, counts) in rows {
            writer.append(batch.series[key.series])
            writer.append(time: key.time_s * 1000)
            writer.append(counts.requests)
            writer.append(counts.predictions)
            writer.append(counts.errors)
            writer.append(counts.failedPredictions)
            writer.append(counts.latencyCount)
            writer.append(counts.latencySum)
            writer.append(counts.latency.codes)
            writer.append(counts.latency.counts)
            try writer.endRow()
        }
        try finish(&writer, table)
    }

    private func features(_ table: String, _ rows: [FeatureTimeKey: FeatureCounts]) throws {
        if rows.isEmpty { return }
        var writer = try open(table)
        for (key, counts) in rows {
            let categories = SparseCounts(
                unordered: zip(counts.categories.codes, counts.categories.counts).map {
                    (code: Int32(batch.categories[Int($0)]), count: $1)
                })
            let isNumeric = counts.moments.count > 0
            writer.append(batch.series[key.series])
            writer.append(batch.features[key.feature])
            writer.append(time: key.time_s * 1000)
            writer.append(Int64(counts.edges.edgeSet ?? EdgeCounts.none))
            writer.append(counts.moments.count)
            writer.append(counts.categoricalCount)
            writer.append(counts.nullCount)
            writer.append(counts.wrongTypeCount)
            writer.append(counts.moments.meanHigh)
            writer.append(counts.moments.meanLow)
            writer.append(counts.moments.m2)
            writer.append(isNumeric ? counts.moments.minimum : nil)
            writer.append(isNumeric ? counts.moments.maximum : nil)
            writer.append(counts.logBins.codes)
            writer.append(counts.logBins.counts)
            writer.append(categories.codes)
            writer.append(categories.counts)
            writer.append(counts.otherCount)
            if let counts = counts.edges.counts { writer.append(counts) } else { writer.appendNull() }
            try writer.endRow()
        }
        try finish(&writer, table)
    }

    private func scores(_ table: String, _ rows: [ScoreTimeKey: ScoreCounts]) throws {
        if rows.isEmpty { return }
        var writer = try open(table)
        for (key, counts) in rows {
            writer.append(batch.series[key.series])
            writer.append(key.category == ScoreTimeKey.score ? 0 : batch.categories[key.category])
            writer.append(time: key.time_s * 1000)
            writer.append(counts.bins)
            writer.append(counts.counts)
            writer.append(counts.sums)
            writer.append(counts.positiveCounts)
            writer.append(counts.positiveSums)
            try writer.endRow()
        }
        try finish(&writer, table)
    }

    private func resources(_ table: String, _ rows: [ResourceTimeKey: ResourceCounts]) throws {
        if rows.isEmpty { return }
        var writer = try open(table)
        for (key, counts) in rows {
            writer.append(batch.resources[key.resource])
            writer.append(key.measure)
            writer.append(time: key.time_s * 1000)
            writer.append(counts.count)
            writer.append(counts.sum)
            writer.append(counts.maximum)
            try writer.endRow()
        }
        try finish(&writer, table)
    }
}
