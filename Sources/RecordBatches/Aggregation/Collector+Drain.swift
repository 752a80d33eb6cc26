internal import Sketches

extension Collector {
    /// What was collected, as rows, without segments.
    ///
    /// The collector is empty afterwards.
    func drain() -> Aggregates {
        var drain = Drain(collector: self)
        drain.run()
        reset()
        return drain.rows.limited(by: configuration)
    }
}

extension FeatureSlot {
    /// Numbers by bin of the edges; nil where there are none.
    fileprivate var edges: [Int64]? {
        guard let edgeCounts, let count = base.pointee.edges?.pointee.count else { return nil }
        return (0..<count).map { Int64(edgeCounts[$0]) }
    }
}

/// Makes rows of a collector's plain memory: a leaf's row counts for the slice `all` and for each of its tags' values.
private struct Drain {
    let collector: Collector
    var rows: Aggregates
    private var models: [Int?] = []
    private var series: [SeriesKey: Int] = [:]
    /// Places in ``Aggregates/series`` by leaf; the slice `all` is the first.
    private var leafSeries: [[Int]?] = []
    private var features: [FeatureKey: Int] = [:]
    private var categories: [CategoryKey: Int] = [:]

    init(collector: Collector) {
        self.collector = collector
        rows = Aggregates()
        rows.models = collector.rows.models
        rows.resources = collector.rows.resources
        rows.resourceMinutes = collector.rows.resourceMinutes
        rows.resourceHours = collector.rows.resourceHours
        rows.outcomes = collector.rows.outcomes
        rows.deployments = collector.rows.deployments
    }

    private var state: Collector.State { collector.state.pointee }

    mutating func run() {
        drainRequests()
        drainFeatures()
    }

    private mutating func model(_ number: Int) -> Int {
        while models.count <= number { models.append(nil) }
        if let place = models[number] { return place }
        let name = state.models.text(number).string
        let place: Int
        if let found = rows.models.firstIndex(where: { ExactText.same($0, name) }) {
            place = found
        } else {
            place = rows.models.count
            rows.models.append(name)
        }
        models[number] = place
        return place
    }

    private mutating func series(_ key: SeriesKey) -> Int {
        if let place = series[key] { return place }
        series[key] = rows.series.count
        rows.series.append(key)
        return rows.series.count - 1
    }

    private mutating func series(ofLeaf number: Int) -> [Int] {
        while leafSeries.count <= number { leafSeries.append(nil) }
        if let places = leafSeries[number] { return places }
        let text = state.leaves.text(number)
        let key = (0..<(text.count / 4)).map {
            Int(UnsafeRawPointer(text.start).loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self))
        }
        var series = SeriesKey(
            model: model(key[0]), version: state.versions.text(key[1]).string,
            variant: state.variants.text(key[2]).string, environment: state.environments.text(key[3]).string,
            sliceKey: SliceName.all, sliceValue: SliceName.all)
        var places = [self.series(series)]
        for slice in 0..<collector.sliceCount {
            series.sliceKey = collector.configuration.slices[slice]
            switch Int32(key[4 + slice]) {
            case Collector.missing: series.sliceValue = SliceName.missing
            case Collector.other: series.sliceValue = SliceName.other
            default: series.sliceValue = collector.sliceValues[slice].table.text(key[4 + slice] - 2).string
            }
            places.append(self.series(series))
        }
        leafSeries[number] = places
        return places
    }

    private mutating func drainRequests() {
        state.requestSlots.forEach { _, slot in
            var counts = RequestCounts()
            counts.requests = slot.pointee.requests
            counts.predictions = slot.pointee.predictions
            counts.errors = slot.pointee.errors
            counts.failedPredictions = slot.pointee.failed
            counts.latencyCount = slot.pointee.latencyCount
            counts.latencySum = slot.pointee.latencySum
            counts.latency = slot.pointee.latency.sparse()
            let time_s = slot.pointee.time_s
            for series in series(ofLeaf: Int(slot.pointee.leaf)) {
                if !slot.pointee.isHour {
                    rows.requestMinutes[TimeKey(series: series, time_s: time_s), default: .init()].merge(counts)
                }
                rows.requestHours[TimeKey(series: series, time_s: Period.hour(of: time_s)), default: .init()]
                    .merge(counts)
            }
        }
    }

    private mutating func drainFeatures() {
        state.hourSlots.forEach { _, hour in
            let places = series(ofLeaf: Int(hour.pointee.leaf))
            guard let leaf = state.leafSlots[Int(hour.pointee.leaf)] else { return }
            let model = leaf.pointee.model
            let modelPlace = rows.series[places[0]].model
            hour.pointee.features.forEach { number, slot in
                _ = slot.pointee.flush(collector.logBins)
                let feature = feature(number, model, modelPlace)
                var counts = counts(of: slot, number, model, feature)
                counts.edges = EdgeCounts(edgeSet: hour.pointee.base.pointee.edgeSet, counts: slot.pointee.edges)
                for series in places {
                    let key = FeatureTimeKey(series: series, feature: feature, time_s: hour.pointee.hour_s)
                    rows.featureHours[key, default: .init()].merge(counts)
                }
            }
            if let scores = hour.pointee.scores {
                add(scores, ScoreTimeKey.score, places, hour.pointee.hour_s)
            }
            hour.pointee.classes.forEach { number, scores in
                let feature = feature(0, model, modelPlace)
                guard let place = category(number, ModelSlot.classes, model, feature) else { return }
                add(scores, place, places, hour.pointee.hour_s)
            }
        }
        // After all leaves, whose buffers may have held numbers until now.
        var visited: Set<UnsafeMutablePointer<BaseHour>> = []
        state.hourSlots.forEach { _, hour in
            // The leaves of a base share these.
            guard visited.insert(hour.pointee.base).inserted, let leaf = state.leafSlots[Int(hour.pointee.leaf)]
            else { return }
            let places = series(ofLeaf: Int(hour.pointee.leaf))
            let modelPlace = rows.series[places[0]].model
            hour.pointee.base.pointee.features.forEach { number, shared in
                let sparse = shared.pointee.bins.sparse()
                guard !sparse.isEmpty else { return }
                let key = FeatureTimeKey(
                    series: places[0], feature: feature(number, leaf.pointee.model, modelPlace),
                    time_s: hour.pointee.hour_s)
                rows.featureHours[key, default: .init()].logBins = sparse
            }
        }
    }

    private mutating func feature(_ number: Int, _ model: UnsafeMutablePointer<ModelSlot>, _ place: Int) -> Int {
        let key =
            number == 0
            ? FeatureKey(model: place, role: .prediction, name: FeatureKey.predictionName)
            : FeatureKey(
                model: place, role: .feature, name: model.pointee.names.text(number - ModelSlot.firstInput).string)
        if let place = features[key] { return place }
        features[key] = rows.features.count
        rows.features.append(key)
        return rows.features.count - 1
    }

    private mutating func category(
        _ number: Int, _ featureNumber: Int, _ model: UnsafeMutablePointer<ModelSlot>, _ feature: Int
    ) -> Int? {
        guard let dictionary = model.pointee.features[featureNumber] else { return nil }
        let key = CategoryKey(feature: feature, value: dictionary.pointee.table.text(number).string)
        if let place = categories[key] { return place }
        categories[key] = rows.categories.count
        rows.categories.append(key)
        return rows.categories.count - 1
    }

    private mutating func counts(
        of slot: UnsafeMutablePointer<FeatureSlot>, _ number: Int, _ model: UnsafeMutablePointer<ModelSlot>,
        _ feature: Int
    ) -> FeatureCounts {
        var counts = FeatureCounts()
        counts.moments = slot.pointee.moments
        counts.categoricalCount = slot.pointee.categorical
        counts.nullCount = slot.pointee.null
        counts.wrongTypeCount = slot.pointee.wrongType
        counts.otherCount = slot.pointee.other
        guard let categories = slot.pointee.categories else { return counts }
        var entries: [(code: Int32, count: Int64)] = []
        for category in 0..<slot.pointee.categoryCapacity where categories[category] > 0 {
            guard let place = self.category(category, number, model, feature) else { continue }
            entries.append((Int32(place), Int64(categories[category])))
        }
        counts.categories = SparseCounts(unordered: entries)
        return counts
    }

    private mutating func add(
        _ scores: UnsafeMutablePointer<ScoreSlot>, _ category: Int, _ places: [Int], _ hour_s: Int64
    ) {
        var counts = ScoreCounts()
        for bin in 0..<ScoreBins.count where scores[bin].count > 0 {
            counts.append(
                bin: Int32(bin), count: scores[bin].count, sum: scores[bin].sum,
                positiveCount: scores[bin].positiveCount, positiveSum: scores[bin].positiveSum)
        }
        for series in places {
            rows.scoreHours[ScoreTimeKey(series: series, category: category, time_s: hour_s), default: .init()]
                .merge(counts)
        }
    }
}
