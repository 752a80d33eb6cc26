internal import Synchronization

/// Keeps a source's temporary credentials, and asks for new ones five minutes before they end (at half of a shorter life)
/// and when the store refused them.
///
/// One request to the source at a time, whoever asks. A source that fails is left alone for 1 s, doubling up to 30 s;
/// meanwhile the old credentials are used, even past their end: whether they still do is the store's to say.
package final class RefreshingCredentials: CredentialsProvider {
    private typealias Fetching = Task<Result<TemporaryCredentials, StorageError>, Never>

    private struct State {
        var current: TemporaryCredentials?
        var isRefused = false
        var fetched_s: Int64 = 0
        var failures = 0
        var lastFailure: StorageError?
        /// No attempt from `attempted_s` until then.
        var attempted_s: Int64 = 0
        var nextAttempt_s: Int64 = 0
        var fetching: Fetching?
    }

    private enum Step {
        case use(Credentials)
        case fail(StorageError)
        case wait(Fetching)
    }

    package let name: String
    private let source: any CredentialsSource
    private let clock: @Sendable () -> Int64
    private let state = Mutex(State())

    /// Asks for nothing yet.
    ///
    /// - Parameters:
    ///   - source: where credentials come from.
    ///   - clock: seconds since the epoch; nil for this host's.
    package init(_ source: any CredentialsSource, clock: (@Sendable () -> Int64)? = nil) {
        self.source = source
        self.clock = clock ?? { CivilTime.now() }
        name = source.name
    }

    package func credentials() async throws(StorageError) -> Credentials {
        switch state.withLock({ step(&$0) }) {
        case .use(let credentials): return credentials
        case .fail(let error): throw error
        case .wait(let fetching):
            switch await fetching.value {
            case .success(let fetched): return fetched.credentials
            case .failure(let error):
                // Those that were not refused and have not ended are still good.
                if let old = state.withLock({ $0.isRefused ? nil : $0.current }) { return old.credentials }
                throw error
            }
        }
    }

    package func refused(_ credentials: Credentials, isCertain: Bool) {
        let now = clock()
        state.withLock { state in
            guard let current = state.current, current.credentials == credentials else { return }
            // A role that may not HEAD is refused with every object: that is no reason to ask the source each time.
            if isCertain || now - state.fetched_s >= 300 { state.isRefused = true }
        }
    }

    private func step(_ state: inout State) -> Step {
        let now = clock()
        if let current = state.current, !state.isRefused, now < refreshTime(current, state), now >= state.fetched_s {
            return .use(current.credentials)
        }
        if let fetching = state.fetching {
            if let current = state.current, !state.isRefused, current.expires_s.map({ now < $0 }) ?? true {
                return .use(current.credentials)
            }
            return .wait(fetching)
        }
        // A clock that was set back must not hold up the next attempt.
        if (state.attempted_s..<state.nextAttempt_s).contains(now) {
            if let current = state.current { return .use(current.credentials) }
            if let failure = state.lastFailure { return .fail(failure) }
        }
        let fetching = Fetching { [self] in
            let result: Result<TemporaryCredentials, StorageError>
            do throws(StorageError) {
                result = .success(try await source.fetch())
            } catch {
                result = .failure(error)
            }
            self.state.withLock { note(result, &$0) }
            return result
        }
        state.fetching = fetching
        return .wait(fetching)
    }

    private func note(_ result: Result<TemporaryCredentials, StorageError>, _ state: inout State) {
        let now = clock()
        state.fetching = nil
        state.attempted_s = now
        switch result {
        case .success(let fetched):
            state.current = fetched
            state.fetched_s = now
            state.isRefused = false
            state.failures = 0
            state.lastFailure = nil
            // Credentials that come expired (a clock far off) are not asked for with every request.
            state.nextAttempt_s = now + 5
        case .failure(let error):
            state.failures += 1
            state.lastFailure = error
            state.nextAttempt_s = now + min(30, 1 << Int64(min(state.failures - 1, 5)))
        }
    }

    private func refreshTime(_ current: TemporaryCredentials, _ state: State) -> Int64 {
        guard let end = current.expires_s else { return .max }
        return end - min(300, max(0, (end - state.fetched_s) / 2))
    }
}
