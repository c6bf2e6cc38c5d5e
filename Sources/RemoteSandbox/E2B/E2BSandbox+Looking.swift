import CurlClient
import DeploymentCore
import E2BProtocol
import Sandboxes
import Waiting

extension E2BSandbox {
    /// The most that a command of ours may print, in bytes.
    static let commandLimit = 8 << 20
    /// The budget of a command of ours.
    static let commandTimeout = Duration.seconds(20)

    /// What was seen of its use so far.
    struct Usage: Sendable {
        var cpuSeconds = 0.0
        var lastSecond: Int64?
    }

    /// Who listens inside on TCP, told by the sandbox's own /proc: E2B's agent does not know.
    public func listeners() async throws -> [Listener] {
        do {
            return try await envd.listeners()
        } catch let error as BerthError where [.notFound, .sandbox, .unauthorized].contains(error.code) {
            // Another agent than ours.
        }
        let script =
            "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null; echo ==; cat /proc/[0-9]*/stat 2>/dev/null; "
            + "echo ==; ls -l /proc/[0-9]*/fd 2>/dev/null; true"
        let text = try await output(of: ["/bin/sh", "-c", script])
        let tagged = try await envd.list().compactMap { process in process.tag.map { (process.pid, $0) } }
        return SocketTable(text).listeners(tags: Dictionary(tagged) { first, _ in first })
    }

    /// Runs a command as the sandbox's own user, who sees what his processes have open, and reads what it prints.
    private func output(of command: [String]) async throws -> String {
        let specification = ProcessSpecification(tag: "", command: command, workingDirectory: "/")
        return try await withDeadline(
            Self.commandTimeout, clock: clock,
            BerthError(.timeout, "a command in sandbox \(self.id) did not end within \(Self.commandTimeout)")
        ) {
            let process = try await self.envd.start(specification)
            var bytes: [UInt8] = []
            for try await event in process.events {
                if case .stdout(let part) = event { bytes += part }
                guard bytes.count <= Self.commandLimit else {
                    throw BerthError(.tooLarge, "a command in sandbox \(self.id) prints too much")
                }
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// What it uses now, as its agent tells. Processor time is added up from one question to the next.
    public func statistics() async throws -> SandboxStatistics {
        let metrics = try await metrics()
        let processes = try await envd.list().count
        let time = metrics.timestamp
        let spent = state.withLock { state in
            let elapsed = time - (state.usage.lastSecond ?? startedAt)
            state.usage.cpuSeconds += metrics.processorPercent / 100 * Double(metrics.processors * Int(max(0, elapsed)))
            state.usage.lastSecond = time
            return state.usage.cpuSeconds
        }
        return SandboxStatistics(
            cpuSeconds: spent, cpuLimit: Double(metrics.processors), memoryBytes: metrics.memoryUsed,
            memoryCacheBytes: metrics.memoryCache,
            memoryLimitBytes: metrics.memoryTotal, diskBytes: metrics.diskUsed, diskLimitBytes: metrics.diskTotal,
            processes: processes, uptimeSeconds: Double(max(0, now() / 1_000 - startedAt)))
    }

    private func metrics() async throws -> AgentMetrics {
        let reply = try await envd.send(EnvdClient.Forwarded(method: "GET", target: "/metrics", headers: []))
        guard reply.status == 200, let json = try? JSONValue(parsing: reply.body) else {
            throw BerthError(
                .sandbox, "the agent of sandbox \(id) does not tell what it uses",
                cause: ConnectError(httpStatus: reply.status, body: reply.body))
        }
        func number(_ name: String) -> Int64 { json[name]?.integer ?? json[name]?.double.map { Int64($0) } ?? 0 }
        return AgentMetrics(
            timestamp: number("ts"), processors: Int(clamping: number("cpu_count")),
            processorPercent: json["cpu_used_pct"]?.double ?? 0, memoryTotal: number("mem_total"),
            memoryUsed: number("mem_used"), memoryCache: number("mem_cache"), diskUsed: number("disk_used"),
            diskTotal: number("disk_total"))
    }

    /// That its disk is full, where it is: nothing else of E2B's limits can be seen from here.
    public func exceededLimits() async -> [ExceededLimit] {
        guard !isPaused, let metrics = try? await metrics(), metrics.diskTotal > 0,
            metrics.diskTotal - metrics.diskUsed < metrics.diskTotal / 1_000
        else { return [] }
        return [
            ExceededLimit(
                resource: .disk, description: "the disk of the sandbox is full: \(metrics.diskTotal >> 20) MiB are used"
            )
        ]
    }
}
