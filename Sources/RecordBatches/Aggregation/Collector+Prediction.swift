internal import Sketches

extension Collector {
    /// Adds a prediction.
    ///
    /// The hot path: nothing is allocated once the event's series, hour and features are known.
    @inline(__always)
    func takePrediction(_ event: EventDecoder) {
        guard let leaf = leaf(event), let request = request(leaf, event.time_ms) else { return }
        let isError = event.text(.status)?.count == 5
        request.pointee.predictions &+= 1
        if isError { request.pointee.failed &+= 1 }
        if (event.number(.batchIndex) ?? 0) == 0 {
            request.pointee.requests &+= 1
            if isError { request.pointee.errors &+= 1 }
            if let latency = event.number(.latencySeconds) {
                request.pointee.latencyCount &+= 1
                request.pointee.latencySum = finiteSum(request.pointee.latencySum, latency)
                state.pointee.bytes &+= request.pointee.latency.add(logBins.code(latency))
            }
        }
        guard !isError, let hour = hour(leaf, event.time_ms) else { return }
        let model = leaf.pointee.model
        state.pointee.event &+= 1
        takeFeatures(event, hour, model)
        let prediction = event.valueOrNull(.prediction)
        let task = PredictionTask(event)
        if let prediction { takeAnswer(prediction, task, hour, model) }
        if let score = event.number(.score) { takeScore(score, event, task, hour) }
        if let scores = event.value(.scores) { takeScores(scores, event, hour, model) }
    }

    @inline(__always)
    private func takeFeatures(
        _ event: EventDecoder, _ hour: UnsafeMutablePointer<HourSlot>, _ model: UnsafeMutablePointer<ModelSlot>
    ) {
        let features = event.features
        // The layout says nothing of an event that has none.
        if features.isEmpty { return }
        if event.layout == model.pointee.layout {
            for place in 0..<features.count {
                let number = Int(model.pointee.expected[place]) &+ ModelSlot.firstInput
                let slot = feature(number, in: hour)
                let value = features[place].value
                if let number = value.number {
                    state.pointee.bytes &+= slot.pointee.add(number, logBins)
                } else {
                    add(value, to: slot, dictionary(number, of: model), numbersAreClasses: false)
                }
            }
            return
        }
        let stamp = state.pointee.event
        var namesAreKnown = features.count <= ModelSlot.expectedCount
        for place in 0..<features.count {
            let member = features[place]
            let number = featureNumber(member.key, place, model)
            let dictionary = dictionary(number, of: model)
            guard dictionary.pointee.event != stamp else {
                namesAreKnown = false
                continue
            }
            dictionary.pointee.event = stamp
            let slot = feature(number, in: hour)
            add(member.value, to: slot, dictionary, numbersAreClasses: false)
        }
        if namesAreKnown { model.pointee.layout = event.layout }
    }

    @inline(__always)
    private func featureNumber(
        _ key: TextBytes, _ place: Int, _ model: UnsafeMutablePointer<ModelSlot>
    ) -> Int {
        if place < ModelSlot.expectedCount {
            let expected = Int(model.pointee.expected[place])
            if expected >= 0, model.pointee.names.text(expected).equals(key) { return expected &+ ModelSlot.firstInput }
        }
        let number = model.pointee.names.intern(key)
        if place < ModelSlot.expectedCount { model.pointee.expected[place] = Int32(truncatingIfNeeded: number) }
        return number &+ ModelSlot.firstInput
    }

    @inline(__always)
    private func add(
        _ value: TapeValue, to slot: UnsafeMutablePointer<FeatureSlot>,
        _ dictionary: UnsafeMutablePointer<FeatureDictionary>, numbersAreClasses: Bool
    ) {
        switch value.kind {
        case TapeValue.Kind.double, TapeValue.Kind.int, TapeValue.Kind.uint:
            let number = value.number ?? 0
            if numbersAreClasses {
                add(category: classText.write(number), to: slot, dictionary)
            } else {
                state.pointee.bytes &+= slot.pointee.add(number, logBins)
            }
        case TapeValue.Kind.string: add(category: value.text, to: slot, dictionary)
        case TapeValue.Kind.yes: add(category: Defaults.yes, to: slot, dictionary)
        case TapeValue.Kind.no: add(category: Defaults.no, to: slot, dictionary)
        case TapeValue.Kind.null: slot.pointee.null &+= 1
        default: slot.pointee.wrongType &+= 1
        }
    }

    @inline(__always)
    private func add(
        category text: TextBytes, to slot: UnsafeMutablePointer<FeatureSlot>,
        _ dictionary: UnsafeMutablePointer<FeatureDictionary>
    ) {
        if let number = category(text, dictionary) {
            state.pointee.bytes &+= slot.pointee.count(category: number)
        } else {
            slot.pointee.categorical &+= 1
            slot.pointee.other &+= 1
        }
    }

    /// The prediction itself, as the feature of number 0.
    @inline(__always)
    private func takeAnswer(
        _ prediction: TapeValue, _ task: PredictionTask, _ hour: UnsafeMutablePointer<HourSlot>,
        _ model: UnsafeMutablePointer<ModelSlot>
    ) {
        let slot = feature(0, in: hour)
        if task == .free, prediction.kind == TapeValue.Kind.string {
            slot.pointee.categorical &+= 1
            slot.pointee.other &+= 1
            return
        }
        add(prediction, to: slot, dictionary(0, of: model), numbersAreClasses: task.hasClasses)
    }

    @inline(__always)
    private func takeScore(
        _ score: Double, _ event: EventDecoder, _ task: PredictionTask, _ hour: UnsafeMutablePointer<HourSlot>
    ) {
        let scores = hour.pointee.scores ?? makeScores(hour)
        var positive = true
        if task == .binary {
            if let prediction = event.value(.prediction) {
                positive = Verdict(prediction) == .yes
            } else {
                positive = score >= event.number(.threshold) ?? 0.5
            }
        }
        scores[scoreBins.bin(score)].add(score, positive: positive)
    }

    @inline(never)
    private func makeScores(_ hour: UnsafeMutablePointer<HourSlot>) -> UnsafeMutablePointer<ScoreSlot> {
        let scores = Self.makeScores()
        hour.pointee.scores = scores
        state.pointee.bytes += ScoreBins.count * MemoryLayout<ScoreSlot>.stride
        return scores
    }

    private static func makeScores() -> UnsafeMutablePointer<ScoreSlot> {
        // One more, whose count is the number of the event that had the class last.
        let scores = UnsafeMutablePointer<ScoreSlot>.allocate(capacity: ScoreBins.count + 1)
        scores.initialize(repeating: ScoreSlot(), count: ScoreBins.count + 1)
        return scores
    }

    /// The scores of classes.
    ///
    /// What is no probability is left out.
    private func takeScores(
        _ scores: TapeValue, _ event: EventDecoder, _ hour: UnsafeMutablePointer<HourSlot>,
        _ model: UnsafeMutablePointer<ModelSlot>
    ) {
        let dictionary = dictionary(ModelSlot.classes, of: model)
        // A class that the prediction names; numbers and booleans by their text.
        var predicted = TextBytes.empty
        if let prediction = event.value(.prediction) {
            switch prediction.kind {
            case TapeValue.Kind.string: predicted = prediction.text
            case TapeValue.Kind.yes: predicted = Defaults.yes
            case TapeValue.Kind.no: predicted = Defaults.no
            default: if let number = prediction.number { predicted = classText.write(number) }
            }
        }
        let end = scores.end
        var place = scores.index + 1
        while place < end {
            let key = scores.at(place).text
            let value = scores.at(place + 1)
            place = value.next
            guard let score = value.number, score >= 0, score <= 1,
                let number = category(key, dictionary)
            else { continue }
            let slots: UnsafeMutablePointer<ScoreSlot>
            if let found = hour.pointee.classes[number] {
                slots = found
            } else {
                slots = Self.makeScores()
                hour.pointee.classes.set(number, slots)
                state.pointee.bytes += ScoreBins.count * MemoryLayout<ScoreSlot>.stride
            }
            guard slots[ScoreBins.count].count != Int64(state.pointee.event) else { continue }
            slots[ScoreBins.count].count = Int64(state.pointee.event)
            slots[scoreBins.bin(score)].add(score, positive: key.equals(predicted))
        }
    }
}
