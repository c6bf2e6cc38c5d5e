import ControlAPI
import DeploymentCore
import DeploymentStore
import Gateway
import Sandboxes

extension DeploymentService {
    /// Brings the world back to what the store says, after a stop or a crash at any point.
    ///
    /// Rollouts that did not commit are undone, active revisions are adopted or started again, and every sandbox of
    /// ours that serves nothing is removed. Running it twice changes nothing.
    public func recover() async throws {
        for rollout in try workshop.store.runningRollouts() { try interrupt(rollout) }
        let sandboxes = try await workshop.provider.list()
        var kept: Set<String> = []
        for deployment in try workshop.store.deployments() {
            if let sandbox = try await recover(deployment, sandboxes) { kept.insert(sandbox) }
        }
        for sandbox in sandboxes where !kept.contains(sandbox.id) {
            try await workshop.provider.destroy(sandbox.id)
        }
        try workshop.store.forgetTests(keeping: Self.rememberedTests)
    }

    private func interrupt(_ rollout: RolloutRecord) throws {
        var ended = rollout
        ended.status = .interrupted
        ended.finishedAt = workshop.now()
        let problem = Problem(
            code: .interrupted,
            title: "the control plane ended in stage \(rollout.stage.rawValue); everything was undone",
            suggestion: "deploy again")
        ended.failure = try JSONText.encode(problem)
        let event = EventRecord(
            rollout: rollout.id, kind: "progress",
            data: try JSONText.encode(RolloutEvent.progress(rollout.stage, "interrupted")), time: workshop.now())
        try workshop.store.finish(ended, event: event)
    }

    /// Adopts the sandbox of a deployment, or begins to start another; returns the adopted one.
    private func recover(_ deployment: DeploymentRecord, _ sandboxes: [SandboxRecord]) async throws -> String? {
        guard let number = deployment.activeRevision,
            let record = try workshop.store.revision(number, of: deployment.name)
        else { return nil }
        let snapshot = try Snapshot(record)
        let replica = try workshop.store.replica(of: deployment.name)
        if let replica, sandboxes.contains(where: { $0.id == replica.sandbox && $0.isAlive }),
            let adopted = try? await adopt(replica, snapshot)
        {
            _ = workshop.gateway.publish(deployment.name, adopted.upstream)
            adopt(supervise(adopted), as: deployment.name)
            return replica.sandbox
        }
        let supervisor = Supervisor(
            workshop: workshop, tasks: tasks, restarting: snapshot, because: "the control plane was started again")
        workshop.gateway.announce(deployment.name, stage: RolloutStage.sandbox.rawValue)
        supervisor.begin()
        adopt(supervisor, as: deployment.name)
        return nil
    }

    private func adopt(_ record: ReplicaRecord, _ snapshot: Snapshot) async throws -> Replica {
        let sandbox = try await workshop.provider.adopt(record.sandbox)
        let process = try await sandbox.process(tagged: Replica.processTag)
        let launcher = ReplicaLauncher(workshop: workshop, snapshot: snapshot, rollout: "adopted")
        return launcher.capture(process, in: sandbox, tasks: tasks)
    }
}
