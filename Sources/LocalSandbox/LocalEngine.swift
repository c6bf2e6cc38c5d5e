import CurlClient
import DeploymentCore
import Foundation
import Sandboxes

/// What a rung of the isolation ladder turned out to be, by trying it.
public struct RungReport: Sendable, Equatable, Codable {
    /// The rung.
    public var isolation: Isolation
    /// Whether a sandbox was made on it and its agent answered.
    public var works: Bool
    /// What was found.
    public var detail: String
    /// What helps when it does not work.
    public var suggestion: String?
    /// From the creation to the agent's answer, in milliseconds; nil when it does not work.
    public var milliseconds: Double?
}

/// The embedded engine as a whole: what it can do here.
public struct LocalEngine: Sendable {
    private static let reports = Locked<[String: [RungReport]]>([:])

    private let agent: String
    private let client: CurlClient

    /// Creates the engine's view; `agent` is the static `berth-agent` executable.
    public init(agent: String, client: CurlClient) {
        self.agent = agent
        self.client = client
    }

    /// Makes one sandbox on each rung, strongest first, and removes it; the result is kept while this process runs.
    public func probe() async -> [RungReport] {
        if let known = Self.reports.withLock({ $0[agent] }) { return known }
        var reports: [RungReport] = []
        for isolation in Isolation.allCases.reversed() { reports.append(await probe(isolation)) }
        let result = reports
        Self.reports.withLock { $0[agent] = result }
        return result
    }

    /// Whether sandboxes have ids of their own here: what was found, and what helps when not.
    ///
    /// - Parameter isGranted: whether they are meant to have some.
    public static func identities(isGranted: Bool = true) -> (works: Bool, detail: String, suggestion: String?) {
        let offer = isGranted ? IdentityOffer.cached(BubblewrapCommand.find()) : IdentityOffer.refused
        return (offer.grant != nil, offer.detail, offer.suggestion)
    }

    private func probe(_ isolation: Isolation) async -> RungReport {
        if isolation == .namespaces {
            let trial = NamespaceTrial.cached(BubblewrapCommand.find())
            guard trial.works else {
                return RungReport(
                    isolation: isolation, works: false, detail: trial.detail, suggestion: trial.suggestion,
                    milliseconds: nil)
            }
        }
        if isolation == .gvisor {
            let trial = Self.gvisor
            guard trial.works else {
                return RungReport(
                    isolation: isolation, works: false, detail: trial.detail, suggestion: trial.suggestion,
                    milliseconds: nil)
            }
        }
        if isolation == .landlock {
            let trial = LandlockTrial.cached(agent)
            guard trial.works else {
                return RungReport(
                    isolation: isolation, works: false, detail: trial.detail, suggestion: trial.suggestion,
                    milliseconds: nil)
            }
        }
        let id = UUID().uuidString.filter { $0 != "-" }.lowercased()
        let folder = FileManager.default.temporaryDirectory.appending(path: "berth-probe-\(id)").path
        let provider = LocalProvider(folder: folder, agent: agent, isolation: isolation, client: client)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let labels = SandboxLabels(deployment: "probe", nonce: id, rollout: "probe")
        do {
            let start = ContinuousClock.now
            _ = try await provider.create(SandboxSpecification(id: id, labels: labels))
            let duration = ContinuousClock.now - start
            try await provider.destroy(id)
            return RungReport(
                isolation: isolation, works: true, detail: Self.detail(isolation),
                suggestion: isolation == .gvisor ? Self.gvisor.suggestion : nil,
                milliseconds: duration / .milliseconds(1))
        } catch {
            return RungReport(
                isolation: isolation, works: false, detail: "\(error)",
                suggestion: (error as? BerthError)?.suggestion, milliseconds: nil)
        }
    }

    private static var gvisor: GvisorTrial {
        GvisorTrial.cached(bubblewrap: BubblewrapCommand.find(), runsc: GvisorCommand.find())
    }

    private static func detail(_ isolation: Isolation) -> String {
        switch isolation {
        case .gvisor:
            "\(gvisor.detail), in own namespaces; slower, and only for manifests that demand it"
        case .namespaces: "own namespaces and network, no capabilities, system calls filtered"
        case .landlock:
            "a plain process, but \(LandlockTrial.coverage()) of the host are out of reach; no capabilities, system calls "
                + "filtered"
        case .process: "a plain process that sees all of your files; no capabilities, system calls filtered"
        }
    }
}
