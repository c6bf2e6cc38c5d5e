import ControlAPI
import DeploymentCore
import Sandboxes
import Waiting

/// Measures what every deployment uses and keeps a history of it, in memory.
public actor StatisticsSampler {
    /// The time between two samples of the history.
    public static let interval = Duration.seconds(10)
    /// The samples kept of each deployment: an hour.
    public static let capacity = 360
    /// Who asks within this time after a sample gets that one.
    static let freshness = Duration.milliseconds(500)

    private struct Series {
        let sandbox: String
        var cpuSeconds = 0.0
        var holdBacks = 0
        var measured = ContinuousClock.now
        var current: UsageSample
        var limits: UsageLimits
        var history: [UsageSample] = []
    }

    private let service: DeploymentService
    private let directory: SandboxDirectory
    private let pauses: Pauses
    private var series: [String: Series] = [:]

    /// Creates a sampler; `run()` fills its history.
    public init(service: DeploymentService, directory: SandboxDirectory, pauses: Pauses) {
        self.service = service
        self.directory = directory
        self.pauses = pauses
    }

    /// Samples until the task is cancelled.
    public func run() async {
        let clock = service.workshop.clock
        while (try? await clock.pause(for: Self.interval)) != nil {
            guard let deployments = try? await pauses.deployments() else { continue }
            for deployment in deployments { _ = try? await sample(deployment, isKept: true) }
            let names = Set(deployments.map(\.name))
            series = series.filter { names.contains($0.key) }
            directory.keep(names)
        }
    }

    /// What every deployment uses now, each with its last `count` samples.
    public func statistics(history count: Int) async throws -> [StatisticsResource] {
        var resources: [StatisticsResource] = []
        for deployment in try await pauses.deployments() {
            resources.append(await statistics(of: deployment, history: count))
        }
        return resources
    }

    /// What one deployment uses now, with its last `count` samples.
    public func statistics(of deployment: DeploymentResource, history count: Int) async -> StatisticsResource {
        var resource = StatisticsResource(
            deployment: deployment.name, state: deployment.state, sandbox: deployment.sandbox,
            restarts: deployment.restarts, requests: deployment.requests)
        do {
            let series = try await sample(deployment, isKept: false)
            resource.current = series.current
            resource.limits = series.limits
            resource.history = series.history.suffix(min(max(count, 0), Self.capacity))
        } catch {
            resource.reason = VisibleText.of("\(error)")
        }
        return resource
    }

    private func sample(_ deployment: DeploymentResource, isKept: Bool) async throws -> Series {
        if !isKept, let known = series[deployment.name], known.sandbox == deployment.sandbox,
            ContinuousClock.now - known.measured < Self.freshness
        {
            return known
        }
        let sandbox = try await directory.sandbox(of: deployment)
        let usage = try await sandbox.statistics()
        let now = ContinuousClock.now
        let last = series[deployment.name].flatMap { $0.sandbox == sandbox.id ? $0 : nil }
        let seconds = last.map { ($0.measured.duration(to: now)) / .seconds(1) } ?? usage.uptimeSeconds
        let spent = max(0, usage.cpuSeconds - (last?.cpuSeconds ?? 0))
        let sample = UsageSample(
            time: service.workshop.now(), cpuPercent: seconds > 0 ? spent / seconds * 100 : 0,
            memoryBytes: usage.memoryBytes, diskBytes: usage.diskBytes,
            networkReceivedBytes: usage.networkReceivedBytes, networkSentBytes: usage.networkSentBytes,
            egressReceivedBytes: usage.egress?.receivedBytes, egressSentBytes: usage.egress?.sentBytes,
            processes: usage.processes, uptimeSeconds: usage.uptimeSeconds, memoryKills: usage.memoryKills,
            isHeldBack: usage.isHeldBack)
        let limits = UsageLimits(
            cpu: usage.cpuLimit, memoryBytes: usage.memoryLimitBytes, diskBytes: usage.diskLimitBytes,
            processes: usage.processLimit)
        var updated = last ?? Series(sandbox: sandbox.id, current: sample, limits: limits)
        updated.cpuSeconds = usage.cpuSeconds
        updated.measured = now
        updated.current = sample
        updated.limits = limits
        if isKept { updated.history = (updated.history + [sample]).suffix(Self.capacity) }
        if usage.holdBacks > updated.holdBacks { noteHoldBack(deployment) }
        updated.holdBacks = usage.holdBacks
        series[deployment.name] = updated
        return updated
    }

    /// Tells where somebody looks who wonders why an app is slow.
    private func noteHoldBack(_ deployment: DeploymentResource) {
        guard let revision = deployment.revision else { return }
        service.workshop.logs.append(
            ["held back for a while: it ran into its limits again and again"], stream: "berth",
            deployment: deployment.name, revision: revision)
    }
}
