internal import CCurl
internal import Glibc
internal import Synchronization

/// The one thread that drives libcurl's multi handle.
///
/// Other threads put commands into the inbox and wake it. Everything else belongs to the loop's thread, which is what
/// makes the class safe to share.
final class CurlLoop: @unchecked Sendable {
    enum Command {
        case start(CurlTransfer, CheckedContinuation<HTTPResponse, any Error>)
        case cancel(CurlTransfer)
    }

    private struct Inbox {
        var commands: [Command] = []
        var isStopping = false
        var isOver = false
    }

    private let inbox = Mutex(Inbox())
    private let multi: UnsafeMutableRawPointer
    private let settings: HTTPSettings
    private var active: [UnsafeMutableRawPointer: CurlTransfer] = [:]
    private var waiting: [CurlTransfer] = []
    private var spareHandles: [UnsafeMutableRawPointer] = []

    /// Once in a process, before any other call of libcurl.
    private static let globalInit: CURLcode = curl_global_init(Int(CURL_GLOBAL_DEFAULT))

    /// Starts the thread, which runs until `stop`.
    init(_ settings: HTTPSettings) throws(StorageError) {
        func failure(_ what: String) -> StorageError {
            StorageError(.configuration, operation: "start HTTP client", message: what)
        }
        guard Self.globalInit == CURLE_OK, let multi = curl_multi_init() else {
            throw failure("libcurl cannot be initialised")
        }
        self.multi = multi
        self.settings = settings
        _ = nadi_curl_multi_setopt_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, settings.maxConnections)
        _ = nadi_curl_multi_setopt_long(multi, CURLMOPT_MAXCONNECTS, settings.maxConnections)
        _ = nadi_curl_multi_setopt_long(multi, CURLMOPT_PIPELINING, Int(CURLPIPE_NOTHING))
        var thread = pthread_t()
        let me = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                Unmanaged<CurlLoop>.fromOpaque(raw).takeRetainedValue().run()
                return nil
            }, me.toOpaque())
        guard code == 0 else {
            me.release()
            throw failure("no thread can be started (errno \(code))")
        }
        pthread_detach(thread)
    }

    /// Hands the loop something to do.
    ///
    /// After `stop`, nothing may be started.
    func post(_ command: Command) {
        inbox.withLock { inbox in
            guard !inbox.isOver else { return }
            inbox.commands.append(command)
            // Under the lock: the loop frees the multi handle only after it has taken the lock for the last time.
            curl_multi_wakeup(multi)
        }
    }

    /// Ends the thread soon; transfers still in flight are cancelled.
    func stop() {
        inbox.withLock { inbox in
            guard !inbox.isOver else { return }
            inbox.isStopping = true
            curl_multi_wakeup(multi)
        }
    }

    private func run() {
        // Signals are other threads' business; SIGPIPE from OpenSSL's writes must not end the process.
        var all = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, nil)
        while true {
            let (commands, isStopping) = inbox.withLock { inbox in
                defer { inbox.commands = [] }
                inbox.isOver = inbox.isStopping
                return (inbox.commands, inbox.isStopping)
            }
            for command in commands { handle(command) }
            if isStopping { return tearDown() }
            fill()
            var running: Int32 = 0
            _ = curl_multi_perform(multi, &running)
            collect()
            if !waiting.isEmpty, active.count < settings.maxConnections { continue }
            if curl_multi_poll(multi, nil, 0, active.isEmpty ? 60_000 : 1000, nil) != CURLM_OK { usleep(10_000) }
        }
    }

    private func handle(_ command: Command) {
        switch command {
        case .start(let transfer, let continuation):
            transfer.continuation = continuation
            if transfer.isCancelled {
                finish(transfer, .failure(CancellationError()))
            } else {
                waiting.append(transfer)
            }
        case .cancel(let transfer):
            transfer.isCancelled = true
            if let easy = active.first(where: { $0.value === transfer })?.key { release(easy) }
            waiting.removeAll { $0 === transfer }
            finish(transfer, .failure(CancellationError()))
        }
    }

    /// Starts transfers up to the limit.
    ///
    /// The rest wait here and not in libcurl, whose time limits would run meanwhile.
    private func fill() {
        while active.count < settings.maxConnections, !waiting.isEmpty {
            let transfer = waiting.removeFirst()
            guard let easy = spareHandles.popLast() ?? curl_easy_init() else {
                finish(transfer, .failure(TransportFailure(code: 27, message: "out of memory for a request")))
                continue
            }
            do throws(TransportFailure) {
                try transfer.configure(easy, settings)
                active[easy] = transfer
                let code = curl_multi_add_handle(multi, easy)
                if code != CURLM_OK {
                    throw TransportFailure(code: 0, message: String(cString: curl_multi_strerror(code)))
                }
            } catch {
                release(easy)
                finish(transfer, .failure(error))
            }
        }
    }

    private func collect() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
            let code = message.pointee.data.result
            guard let transfer = active[easy] else { continue }
            release(easy)
            finish(transfer, transfer.result(code))
        }
    }

    private func release(_ easy: UnsafeMutableRawPointer) {
        _ = curl_multi_remove_handle(multi, easy)
        // The handle forgets every pointer into the transfer before the transfer may go.
        curl_easy_reset(easy)
        active[easy] = nil
        if spareHandles.count < settings.maxConnections { spareHandles.append(easy) } else { curl_easy_cleanup(easy) }
    }

    private func finish(_ transfer: CurlTransfer, _ result: Result<HTTPResponse, any Error>) {
        transfer.continuation?.resume(with: result)
        transfer.continuation = nil
    }

    private func tearDown() {
        let transfers = Array(active.values) + waiting
        for easy in Array(active.keys) { release(easy) }
        for transfer in transfers { finish(transfer, .failure(CancellationError())) }
        for easy in spareHandles { curl_easy_cleanup(easy) }
        curl_multi_cleanup(multi)
    }
}
