import CCurl
import DeploymentCore
import Glibc

/// One thread that owns a curl multi handle; everybody else puts commands into its inbox and wakes it up.
final class CurlLoop: @unchecked Sendable {
    /// The most transfers under way at once.
    static let maximumTransfers = 4096
    /// The most idle connections that are kept: fewer than the 5 dead ones after which libcurl 7.88 gives up.
    static let maximumIdleConnections = 4
    /// How long a poll lasts when nothing happens at all, in milliseconds.
    static let longestPoll: Int32 = 60_000

    /// What the thread is asked to do.
    enum Command {
        case start(Transfer)
        case resume(Transfer)
        case abort(Transfer)
    }

    private struct Inbox {
        var commands: [Command] = []
        var isClosed = false
        var thread: pthread_t?
    }

    private let multi: UnsafeMutableRawPointer?
    private let inbox = Locked(Inbox())
    // Touched by the thread only.
    private var active: [ObjectIdentifier: (transfer: Transfer, handle: UnsafeMutableRawPointer)] = [:]

    private static let isGloballyReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    init() {
        multi = Self.isGloballyReady ? curl_multi_init() : nil
        guard let multi else { return }
        ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, Self.maximumIdleConnections)
    }

    /// Starts the thread, which keeps the loop alive until `close`.
    func start() {
        guard multi != nil else { return inbox.withLock { $0.isClosed = true } }
        // A new thread inherits the mask: no signal, SIGPIPE above all, ends up in here.
        var all = sigset_t()
        var previous = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
        let context = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let failed = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<CurlLoop>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        if failed != 0 {
            context.release()
            curl_multi_cleanup(multi)
        }
        inbox.withLock { inbox in
            inbox.isClosed = failed != 0
            inbox.thread = failed == 0 ? thread : nil
        }
    }

    /// Ends all transfers and joins the thread; later transfers fail at once.
    func close() {
        let thread = inbox.withLock { inbox in
            inbox.isClosed = true
            defer { inbox.thread = nil }
            if inbox.thread != nil { curl_multi_wakeup(multi) }
            return inbox.thread
        }
        if let thread { pthread_join(thread, nil) }
    }

    /// Hands a command to the thread. A transfer that cannot start any more is finished here.
    func submit(_ command: Command) {
        let isTaken = inbox.withLock { inbox in
            guard !inbox.isClosed else { return false }
            if inbox.commands.isEmpty { curl_multi_wakeup(multi) }
            inbox.commands.append(command)
            return true
        }
        if !isTaken, case .start(let transfer) = command { transfer.finish(.failure(Self.closedError(transfer))) }
    }

    private static func closedError(_ transfer: Transfer) -> BerthError {
        BerthError(.unreachable, "cannot reach \(transfer.target): the HTTP client is closed")
    }
}

// On the thread.
extension CurlLoop {
    private func run() {
        while true {
            let (commands, isClosed) = inbox.withLock { inbox in
                defer { inbox.commands = [] }
                return (inbox.commands, inbox.isClosed)
            }
            for command in commands { perform(command) }
            if isClosed { break }
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            collectFinished()
            curl_multi_poll(multi, nil, 0, Self.longestPoll, nil)
        }
        for (transfer, handle) in Array(active.values) {
            remove(transfer, handle, .failure(Self.closedError(transfer)))
        }
        curl_multi_cleanup(multi)
    }

    private func perform(_ command: Command) {
        switch command {
        case .start(let transfer): start(transfer)
        case .resume(let transfer):
            guard let (_, handle) = active[ObjectIdentifier(transfer)] else { return }
            let code = curl_easy_pause(handle, CURLPAUSE_CONT)
            if code != CURLE_OK { remove(transfer, handle, .failure(error(code, transfer, handle))) }
        case .abort(let transfer):
            guard let (_, handle) = active[ObjectIdentifier(transfer)] else { return }
            remove(transfer, handle, .failure(CancellationError()))
        }
    }

    private func start(_ transfer: Transfer) {
        guard active.count < Self.maximumTransfers else {
            let text = "more than \(Self.maximumTransfers) HTTP requests are under way"
            return transfer.finish(.failure(BerthError(.tooLarge, text)))
        }
        guard let handle = curl_easy_init() else {
            return transfer.finish(.failure(CurlError(CURLE_OUT_OF_MEMORY)))
        }
        active[ObjectIdentifier(transfer)] = (transfer, handle)
        do {
            try transfer.options.apply(transfer, to: handle)
            guard curl_multi_add_handle(multi, handle) == CURLM_OK else { throw CurlError(CURLE_OUT_OF_MEMORY) }
        } catch {
            let reason = BerthError(.unreachable, "cannot ask \(transfer.target)", cause: error)
            remove(transfer, handle, .failure(reason))
        }
    }

    private func collectFinished() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
            let code = ccurl_message_result(message)
            var context: UnsafeMutableRawPointer?
            ccurl_get_private(handle, &context)
            guard let context else { continue }
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            remove(transfer, handle, code == CURLE_OK ? .success(()) : .failure(error(code, transfer, handle)))
        }
    }

    /// Takes everything back from libcurl first, so that nothing is open any more when the consumer goes on.
    private func remove(_ transfer: Transfer, _ handle: UnsafeMutableRawPointer, _ outcome: Result<Void, any Error>) {
        curl_multi_remove_handle(multi, handle)
        curl_easy_cleanup(handle)
        transfer.options.free()
        active[ObjectIdentifier(transfer)] = nil
        transfer.finish(outcome)
    }

    private func error(_ code: CURLcode, _ transfer: Transfer, _ handle: UnsafeMutableRawPointer) -> any Error {
        if let failure = transfer.failure { return failure }
        if let address = transfer.deniedAddress, code == CURLE_COULDNT_CONNECT || code == CURLE_ABORTED_BY_CALLBACK {
            return BerthError(
                .unreachable, "\(transfer.target) is at \(address), which requests of this kind must not reach",
                suggestion: "name a server that is on the public internet",
                cause: CurlError(code, detail: "address refused by policy"))
        }
        var systemError = 0
        ccurl_get_long(handle, CURLINFO_OS_ERRNO, &systemError)
        let cause = CurlError(
            code, detail: transfer.options.detail, systemError: Int32(truncatingIfNeeded: systemError))
        if cause.isTimeout { return BerthError(.timeout, "\(transfer.target) took too long", cause: cause) }
        return BerthError(.unreachable, "cannot reach \(transfer.target)", cause: cause)
    }
}
