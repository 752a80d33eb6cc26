internal import Synchronization

/// The segments that objects in work hold and no transaction has committed yet: a second object with one of them waits
/// until the first is through.
final class SegmentPlaces: Sendable {
    private struct State {
        var holder: [LoadBatch.Place: Int64] = [:]
        var places: [Int64: [LoadBatch.Place]] = [:]
    }

    private let state = Mutex(State())

    /// Takes all of the places for an object, or none and answers false.
    func take(_ places: [LoadBatch.Place], for object: Int64) -> Bool {
        state.withLock { state in
            for place in places {
                if let holder = state.holder[place], holder != object { return false }
            }
            for place in places { state.holder[place] = object }
            state.places[object] = places
            return true
        }
    }

    /// Gives up what objects hold, after their commit or their failure.
    func release(objects: some Sequence<Int64>) {
        state.withLock { state in
            for object in objects {
                for place in state.places.removeValue(forKey: object) ?? [] { state.holder[place] = nil }
            }
        }
    }
}
