internal import Sketches

/// Aggregates as bytes, for a file that the same process reads again: not a format to keep.
extension Aggregates {
    /// Adds all rows; segments are left out.
    package func write(to out: inout ByteWriter) {
        out.put(models) { $0.put($1) }
        out.put(series) { out, key in
            out.put(key.model)
            for text in [key.version, key.variant, key.environment, key.sliceKey, key.sliceValue] { out.put(text) }
        }
        out.put(features) { out, key in
            out.put(key.model)
            out.put(key.role.rawValue)
            out.put(key.name)
        }
        out.put(categories) { out, key in
            out.put(key.feature)
            out.put(key.value)
        }
        out.put(resources) { out, key in
            for text in [key.service, key.instance, key.environment, key.device] { out.put(text) }
        }
        out.put(requestMinutes) { $0.put($1.key, $1.value) }
        out.put(requestHours) { $0.put($1.key, $1.value) }
        out.put(featureHours) { $0.put($1.key, $1.value) }
        out.put(scoreHours) { $0.put($1.key, $1.value) }
        out.put(resourceMinutes) { $0.put($1.key, $1.value) }
        out.put(resourceHours) { $0.put($1.key, $1.value) }
        out.put(outcomes) { $0.put($1) }
        out.put(deployments) { $0.put($1) }
    }

    /// Reads what ``write(to:)`` wrote.
    ///
    /// - Throws: ``ByteReader/Damaged`` where the bytes are others.
    package init(from input: inout ByteReader) throws(ByteReader.Damaged) {
        self.init()
        for _ in 0..<(try input.count()) { models.append(try input.text()) }
        for _ in 0..<(try input.count()) {
            series.append(
                SeriesKey(
                    model: try input.int(), version: try input.text(), variant: try input.text(),
                    environment: try input.text(), sliceKey: try input.text(), sliceValue: try input.text()))
        }
        for _ in 0..<(try input.count()) {
            let model = try input.int()
            guard let role = FeatureKey.Role(rawValue: try input.text()) else { throw ByteReader.Damaged() }
            features.append(FeatureKey(model: model, role: role, name: try input.text()))
        }
        for _ in 0..<(try input.count()) {
            categories.append(CategoryKey(feature: try input.int(), value: try input.text()))
        }
        for _ in 0..<(try input.count()) {
            resources.append(
                ResourceKey(
                    service: try input.text(), instance: try input.text(), environment: try input.text(),
                    device: try input.text()))
        }
        for _ in 0..<(try input.count()) { requestMinutes[try input.timeKey()] = try input.requestCounts() }
        for _ in 0..<(try input.count()) { requestHours[try input.timeKey()] = try input.requestCounts() }
        for _ in 0..<(try input.count()) {
            let key = FeatureTimeKey(series: try input.int(), feature: try input.int(), time_s: try input.integer())
            featureHours[key] = try input.featureCounts()
        }
        for _ in 0..<(try input.count()) {
            let key = ScoreTimeKey(series: try input.int(), category: try input.int(), time_s: try input.integer())
            scoreHours[key] = try input.scoreCounts()
        }
        for _ in 0..<(try input.count()) { resourceMinutes[try input.resourceKey()] = try input.resourceCounts() }
        for _ in 0..<(try input.count()) { resourceHours[try input.resourceKey()] = try input.resourceCounts() }
        for _ in 0..<(try input.count()) { outcomes.append(try input.outcome()) }
        for _ in 0..<(try input.count()) { deployments.append(try input.deployment()) }
    }
}

extension ByteWriter {
    fileprivate mutating func put(_ counts: SparseCounts) {
        put(counts.codes) { $0.put(Int64($1)) }
        for count in counts.counts { put(count) }
    }

    fileprivate mutating func put(_ key: TimeKey, _ row: RequestCounts) {
        put(key.series)
        put(key.time_s)
        for count in [row.requests, row.predictions, row.errors, row.failedPredictions, row.latencyCount] { put(count) }
        put(row.latencySum)
        put(row.latency)
    }

    fileprivate mutating func put(_ key: FeatureTimeKey, _ row: FeatureCounts) {
        put(key.series)
        put(key.feature)
        put(key.time_s)
        put(row.moments.count)
        for number in [
            row.moments.meanHigh, row.moments.meanLow, row.moments.m2, row.moments.minimum, row.moments.maximum,
        ] { put(number) }
        for count in [row.categoricalCount, row.nullCount, row.wrongTypeCount, row.otherCount] { put(count) }
        put(row.logBins)
        put(row.categories)
        put(row.edges.edgeSet) { $0.put(Int64($1)) }
        put(row.edges.counts) { $0.put($1) { $0.put($1) } }
    }

    fileprivate mutating func put(_ key: ScoreTimeKey, _ row: ScoreCounts) {
        put(key.series)
        put(key.category)
        put(key.time_s)
        put(row.bins.count)
        for place in row.bins.indices {
            put(Int64(row.bins[place]))
            put(row.counts[place])
            put(row.sums[place])
            put(row.positiveCounts[place])
            put(row.positiveSums[place])
        }
    }

    fileprivate mutating func put(_ key: ResourceTimeKey, _ row: ResourceCounts) {
        put(key.resource)
        put(key.measure)
        put(key.time_s)
        put(row.count)
        put(row.sum)
        put(row.maximum)
    }

    fileprivate mutating func put(_ row: OutcomeRow) {
        put(row.model)
        put(row.type.rawValue)
        put(row.name)
        put(row.predictionID)
        put(row.revision)
        put(row.time_ms)
        put(row.eventID)
        put(row.labelText) { $0.put($1) }
        put(row.labelNumber) { $0.put($1) }
        put(row.value) { $0.put($1) }
        put(row.currency) { $0.put($1) }
        put(row.score) { $0.put($1) }
        put(row.predictionTime_ms) { $0.put($1) }
        put(row.predictionTimeIsExact ? 1 : 0)
        put(row.segment)
        put(row.line)
    }

    fileprivate mutating func put(_ row: DeploymentRow) {
        put(row.model)
        put(row.time_ms)
        put(row.version)
        put(row.previousVersion) { $0.put($1) }
        put(row.action)
        put(row.actor) { $0.put($1) }
        put(row.environment)
        put(row.segment)
        put(row.line)
    }
}

extension ByteReader {
    fileprivate mutating func sparseCounts() throws(Damaged) -> SparseCounts {
        var codes: [Int32] = []
        let count = try count()
        codes.reserveCapacity(count)
        for _ in 0..<count { codes.append(Int32(truncatingIfNeeded: try integer())) }
        var counts = SparseCounts()
        counts.reserveCapacity(count)
        for code in codes { counts.append(code, try integer()) }
        return counts
    }

    fileprivate mutating func timeKey() throws(Damaged) -> TimeKey {
        TimeKey(series: try int(), time_s: try integer())
    }

    fileprivate mutating func requestCounts() throws(Damaged) -> RequestCounts {
        var row = RequestCounts()
        row.requests = try integer()
        row.predictions = try integer()
        row.errors = try integer()
        row.failedPredictions = try integer()
        row.latencyCount = try integer()
        row.latencySum = try number()
        row.latency = try sparseCounts()
        return row
    }

    fileprivate mutating func featureCounts() throws(Damaged) -> FeatureCounts {
        var row = FeatureCounts()
        row.moments.count = try integer()
        row.moments.meanHigh = try number()
        row.moments.meanLow = try number()
        row.moments.m2 = try number()
        row.moments.minimum = try number()
        row.moments.maximum = try number()
        row.categoricalCount = try integer()
        row.nullCount = try integer()
        row.wrongTypeCount = try integer()
        row.otherCount = try integer()
        row.logBins = try sparseCounts()
        row.categories = try sparseCounts()
        row.edges = try edgeCounts()
        return row
    }

    private mutating func edgeCounts() throws(Damaged) -> EdgeCounts {
        let edgeSet = try optionalInteger()
        var counts: [Int64]?
        if try int() == 1 {
            counts = []
            for _ in 0..<(try count()) { counts?.append(try integer()) }
        }
        guard let edgeSet else { return EdgeCounts() }
        return EdgeCounts(edgeSet: Int32(truncatingIfNeeded: edgeSet), counts: counts)
    }

    fileprivate mutating func scoreCounts() throws(Damaged) -> ScoreCounts {
        var row = ScoreCounts()
        for _ in 0..<(try count()) {
            row.append(
                bin: Int32(truncatingIfNeeded: try integer()), count: try integer(), sum: try number(),
                positiveCount: try integer(), positiveSum: try number())
        }
        return row
    }

    fileprivate mutating func resourceKey() throws(Damaged) -> ResourceTimeKey {
        ResourceTimeKey(resource: try int(), measure: try text(), time_s: try integer())
    }

    fileprivate mutating func resourceCounts() throws(Damaged) -> ResourceCounts {
        var row = ResourceCounts(0)
        row.count = try integer()
        row.sum = try number()
        row.maximum = try number()
        return row
    }

    private mutating func eventType() throws(Damaged) -> EventType {
        guard let type = EventType(rawValue: try text()) else { throw Damaged() }
        return type
    }

    fileprivate mutating func outcome() throws(Damaged) -> OutcomeRow {
        OutcomeRow(
            model: try int(), type: try eventType(), name: try text(), predictionID: try text(),
            revision: try integer(), time_ms: try integer(), eventID: try text(), labelText: try optionalText(),
            labelNumber: try optionalNumber(), value: try optionalNumber(), currency: try optionalText(),
            score: try optionalNumber(), predictionTime_ms: try optionalInteger(),
            predictionTimeIsExact: try int() == 1, segment: try int(), line: try int())
    }

    fileprivate mutating func deployment() throws(Damaged) -> DeploymentRow {
        DeploymentRow(
            model: try int(), time_ms: try integer(), version: try text(), previousVersion: try optionalText(),
            action: try text(), actor: try optionalText(), environment: try text(), segment: try int(),
            line: try int())
    }
}
