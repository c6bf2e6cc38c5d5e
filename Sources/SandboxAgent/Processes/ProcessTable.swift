import E2BProtocol
import Glibc

/// The processes that were started here.
final class ProcessTable {
    /// Processes known at once, with those whose result is still kept.
    static let limit = 1024
    private let loop: EventLoop
    var options: AgentOptions
    private var processes: [pid_t: ManagedProcess] = [:]
    private var startedCount = 0
    /// Sessions that processes have begun as somebody else: theirs all the same.
    private var sudoSessions: [pid_t: pid_t] = [:]

    init(loop: EventLoop, options: AgentOptions) {
        self.loop = loop
        self.options = options
    }

    func start(
        _ request: StartRequest, _ call: CallOptions, as options: AgentOptions, on connection: Connection
    ) throws(ConnectError) {
        guard request.tag.map({ tag in !processes.values.contains { $0.end == nil && $0.request.tag == tag } }) ?? true
        else { throw ConnectError(.alreadyExists, "a process with the tag '\(request.tag ?? "")' runs already") }
        try makeRoom()
        let spawned = try SpawnedProcess.start(request, options: options)
        startedCount += 1
        let process = ManagedProcess(
            spawned, request: request, number: startedCount, keepsReplay: call.replays, loop: loop)
        processes[process.pid] = process
        process.whenSilent = { [weak self, unowned process] in self?.retire(process) }
        let subscription = subscribe(connection, to: process, call)
        if let timeout = call.timeout {
            // The caller hears of the deadline, not of the death that follows; without a caller the process ends too.
            _ = loop.schedule(after: timeout) { [weak process, weak subscription] in
                subscription?.expire()
                if let process, process.end == nil { process.signalGroup(SIGKILL) }
            }
        }
    }

    func connect(_ selector: ProcessSelector, _ call: CallOptions, on connection: Connection) throws(ConnectError) {
        guard let process = known(selector) else { throw Self.notFound(selector) }
        let subscription = subscribe(connection, to: process, call)
        if let timeout = call.timeout, process.end == nil { subscription.expire(after: timeout) }
    }

    private func subscribe(
        _ connection: Connection, to process: ManagedProcess, _ call: CallOptions
    ) -> Subscription {
        let subscription = Subscription(
            connection, loop: loop, keepalive: call.keepalive, keepaliveFrame: ProcessEvent.keepalive.frame(),
            stallLimit: options.stallLimit
        ) { [weak process] in process?.unsubscribe($0) }
        process.subscribe(subscription, replays: call.replays)
        return subscription
    }

    func list() -> ProcessListResponse {
        let running = processes.values.filter { $0.end == nil }.sorted { $0.pid < $1.pid }
        return ProcessListResponse(processes: running.map(\.info))
    }

    /// A process that runs.
    func find(_ selector: ProcessSelector) throws(ConnectError) -> ManagedProcess {
        guard let process = known(selector), process.end == nil else { throw Self.notFound(selector) }
        return process
    }

    /// By tag, a process that runs comes before those that have ended, and a later one before an earlier.
    private func known(_ selector: ProcessSelector) -> ManagedProcess? {
        switch selector {
        case .pid(let pid): return pid_t(exactly: pid).flatMap { processes[$0] }
        case .tag(let tag):
            let candidates = processes.values.filter { $0.request.tag == tag }
            return candidates.max { ($0.end == nil ? 1 : 0, $0.number) < ($1.end == nil ? 1 : 0, $1.number) }
        }
    }

    private static func notFound(_ selector: ProcessSelector) -> ConnectError {
        switch selector {
        case .pid(let pid): ConnectError(.notFound, "process with pid \(pid) not found")
        case .tag(let tag): ConnectError(.notFound, "process with tag \(tag) not found")
        }
    }

    func signal(_ request: SendSignalRequest) throws(ConnectError) {
        let signal: Int32
        switch request.signal {
        case .terminate: signal = SIGTERM
        case .kill: signal = SIGKILL
        case .unspecified: throw ConnectError(.unimplemented, "only SIGTERM and SIGKILL can be sent")
        }
        guard let process = known(request.process) else { throw Self.notFound(request.process) }
        // Of a process that has ended, others of its group may be left.
        process.signalGroup(signal)
        guard process.end == nil else { throw Self.notFound(request.process) }
    }

    /// Looks which processes have ended.
    func collect() {
        for process in Array(processes.values) { process.collect() }
    }

    var allEnded: Bool { processes.values.allSatisfy { $0.end != nil } }

    /// Signals every group; with SIGKILL also those who have left it but not the session.
    func signalAll(_ signal: Int32) {
        for pid in processes.keys { kill(-pid, signal) }
        if signal == SIGKILL { SystemProcess.killSessions { processes[$0] != nil } }
    }

    /// The process that `member` descends from, by session or by parents.
    func owner(of member: SystemProcess, among all: [pid_t: SystemProcess]) -> ManagedProcess? {
        if let process = processes[sudoSessions[member.session] ?? member.session] { return process }
        var current = member
        for _ in 0..<SystemProcess.ancestryLimit {
            if let process = processes[current.pid] { return process }
            guard let parent = all[current.parent] else { return nil }
            if let process = processes[parent.session] { return process }
            current = parent
        }
        return nil
    }

    /// Notes that what is in `session` was begun by the process that `member` descends from.
    func noteSudo(session: pid_t, begunBy member: pid_t) {
        let all = Dictionary(SystemProcess.all().map { ($0.pid, $0) }) { first, _ in first }
        sudoSessions[session] = all[member].flatMap { owner(of: $0, among: all) }?.pid
    }

    /// The leader of such a session has ended, and its number may come again.
    func forgetSudo(session: pid_t) { sudoSessions[session] = nil }

    private func retire(_ process: ManagedProcess) {
        process.whenSilent = nil
        _ = loop.schedule(after: options.retention) { [weak self, weak process] in
            if let process { self?.forget(process) }
        }
    }

    private func forget(_ process: ManagedProcess) {
        guard processes[process.pid] === process else { return }
        processes[process.pid] = nil
        process.release()
    }

    /// Forgets the oldest result when there are too many processes.
    private func makeRoom() throws(ConnectError) {
        guard processes.count >= Self.limit else { return }
        guard let oldest = processes.values.filter({ $0.end != nil }).min(by: { $0.number < $1.number }) else {
            throw ConnectError(.resourceExhausted, "\(Self.limit) processes are running")
        }
        forget(oldest)
    }
}
