import ControlAPI
import DeploymentCore
import DeploymentStore
import Gateway
import Waiting

extension DeploymentService {
    /// All deployments by name.
    public func deployments() throws -> [DeploymentResource] {
        try workshop.store.deployments().map(resource(of:))
    }

    /// One deployment.
    public func deployment(_ name: String) throws -> DeploymentResource { try resource(of: try listed(name)) }

    /// A deployment of a user; those that tests made are nobody's to address.
    func listed(_ name: String) throws -> DeploymentRecord {
        guard let record = try workshop.store.deployment(name), !record.isEphemeral else {
            throw BerthError(
                .notFound, "there is no deployment named \(name)", suggestion: "`berth status` lists them")
        }
        return record
    }

    /// The revisions of a deployment, newest first.
    public func revisions(of name: String) throws -> [RevisionResource] {
        _ = try listed(name)
        let rollouts = try workshop.store.rollouts(of: name)
        return try workshop.store.revisions(of: name).map { revision in
            let last = rollouts.first { $0.revision == revision.number }
            return RevisionResource(
                number: revision.number, status: revision.status.rawValue, bundle: revision.bundleDigest,
                environment: revision.environmentDigest, createdAt: revision.createdAt,
                failure: last.flatMap { JSONText.decode(Problem.self, $0.failure)?.title })
        }
    }

    /// One revision with its files and its lock.
    public func revision(_ number: Int, of name: String) throws -> RevisionDetail {
        guard let resource = try revisions(of: name).first(where: { $0.number == number }),
            let record = try workshop.store.revision(number, of: name)
        else {
            throw BerthError(
                .notFound, "deployment \(name) has no revision \(number)",
                suggestion: "`berth history \(name)` lists them")
        }
        let snapshot = try Snapshot(record)
        return RevisionDetail(
            revision: resource, manifest: snapshot.manifest, files: snapshot.bundle, lock: record.lock)
    }

    /// One rollout.
    public func rollout(_ id: String) throws -> RolloutResource {
        guard let record = try unrecorded[id] ?? workshop.store.rollout(id) else { throw Self.unknownRollout(id) }
        return try resource(of: record)
    }

    /// Whether the rollout's work goes on; its row may say `promoted` a moment before the traffic has moved.
    public func isRunning(_ id: String) -> Bool { rollouts[id] != nil }

    /// The events of a rollout after `id`, oldest first.
    public nonisolated func events(of rollout: String, after id: Int64) throws -> [EventRecord] {
        try workshop.store.events(of: rollout, after: id)
    }

    /// Wakes those who follow rollouts.
    public nonisolated var changed: Signal { workshop.changed }

    /// What the active (or the newest) revision of a deployment prints.
    public func logs(
        of name: String, revision: Int?, tail: Int, following: Bool,
        _ deliver: @escaping @Sendable (String) async throws -> Void
    ) async throws {
        let deployment = try listed(name)
        let newest = try workshop.store.revisions(of: name).first?.number
        guard let number = revision ?? deployment.activeRevision ?? newest else { return }
        try await workshop.logs.read(name, revision: number, tail: tail, following: following, deliver)
    }

    private func resource(of record: DeploymentRecord) throws -> DeploymentResource {
        let running = try workshop.store.runningRollouts(of: record.name).first
        let supervisor = supervisors[record.name]
        let replica = try workshop.store.replica(of: record.name)
        let revision = try record.activeRevision.flatMap { try workshop.store.revision($0, of: record.name) }
        let statistics = workshop.gateway.statistics(record.name)
        let isAsleep = record.asleepSince != nil
        let state: String =
            if record.isEnding {
                "ending"
            } else if let supervisor {
                supervisor.state.name
            } else if running != nil { "starting" } else { "inactive" }
        return DeploymentResource(
            name: record.name, state: state, revision: record.activeRevision, nonce: revision?.nonce,
            url: "\(workshop.gatewayURL)/\(record.name)/predict", sandbox: isAsleep ? nil : supervisor?.currentSandbox,
            isolation: replica?.isolation, network: supervisor?.network, restarts: supervisor?.restarts ?? 0,
            requests: statistics.map { Int($0.requests) } ?? 0, inFlight: statistics.map { Int($0.inFlight) } ?? 0,
            reason: try supervisor?.state.reason ?? lastFailure(of: record), rollout: running?.id,
            stage: running?.stage, standbys: workshop.standbys.ready(for: record.name),
            createdAt: revision?.createdAt ?? record.createdAt, asleepSince: record.asleepSince,
            expiresAt: record.expiresAt, ownsIdentities: replica?.ownsIdentities)
    }

    /// Why a deployment that never served does not.
    private func lastFailure(of record: DeploymentRecord) throws -> String? {
        guard record.activeRevision == nil, let last = try workshop.store.rollouts(of: record.name, limit: 1).first
        else { return nil }
        return JSONText.decode(Problem.self, last.failure)?.title
    }

    func resource(of record: RolloutRecord) throws -> RolloutResource {
        let revision = try workshop.store.revision(record.revision, of: record.deployment)
        let manifest = revision.flatMap { JSONText.decode(Manifest.self, $0.manifest) }
        let report = JSONText.decode(RolloutReport.self, record.report) ?? RolloutReport()
        let name = manifest?.name ?? record.deployment
        return RolloutResource(
            id: record.id, deployment: name, revision: record.revision, kind: record.kind.rawValue,
            status: record.status.rawValue, stage: record.stage, stages: report.stages, smoke: report.smoke,
            failure: JSONText.decode(Problem.self, record.failure),
            url: record.kind != .test && record.status == .promoted
                ? "\(workshop.gatewayURL)/\(name)/predict" : nil,
            startedAt: record.startedAt, finishedAt: record.finishedAt)
    }

    static func unknownRollout(_ id: String) -> BerthError {
        BerthError(.notFound, "there is no rollout \(id)")
    }
}
