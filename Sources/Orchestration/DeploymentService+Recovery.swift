import Artifacts
import ControlAPI
import DeploymentCore
import DeploymentStore
import Gateway
import Sandboxes
import Waiting

extension DeploymentService {
    /// How long a provider elsewhere may keep the recovery waiting.
    static let remoteListDeadline = Duration.seconds(10)

    /// Brings the world back to what the store says, after a stop or a crash at any point.
    ///
    /// Rollouts that did not commit are undone, active revisions are adopted or started again, and every sandbox of
    /// ours that serves nothing is removed. Called once, before anything else. One deployment that cannot be brought
    /// back does not keep the others down.
    /// - Returns: what could not be done, for the log.
    public func recover() async throws -> [String] {
        for rollout in try workshop.store.runningRollouts() { try interrupt(rollout) }
        var kept: Set<String> = []
        var failures: [String] = []
        let (found, silent) = try await foundSandboxes(&failures)
        let sandboxes = found.map(\.record)
        var ended: [String] = []
        var unfinished: [String] = []
        for deployment in try workshop.store.deployments() {
            do {
                if try isOver(deployment) {
                    let isOutOfReach = try usedProviders(of: deployment.name).contains { silent.contains($0.name) }
                    if isOutOfReach { unfinished.append(deployment.name) } else { ended.append(deployment.name) }
                    continue
                }
            } catch {
                // It is tried again once everything runs.
                failures.append("deployment \(deployment.name) has expired and was not destroyed: \(error)")
            }
            workshop.expiries.set(deployment.name, at: deployment.expiresAt)
            do {
                if let sandbox = try await recover(deployment, sandboxes, silent) { kept.insert(sandbox) }
            } catch let error as Unreadable {
                // It may serve well under the version that wrote it: what we do not understand we do not remove.
                if let sandbox = error.sandbox { kept.insert(sandbox) }
                failures.append("revision of \(deployment.name) is not understood: \(error.cause)")
            } catch {
                failures.append("deployment \(deployment.name) was not brought back: \(error)")
            }
        }
        for (sandbox, provider) in found where !kept.contains(sandbox.id) {
            do {
                try await provider.destroy(sandbox.id)
            } catch {
                failures.append("sandbox \(sandbox.id) was not removed: \(error)")
                unfinished += ended.filter { $0 == sandbox.labels.deployment }
                ended.removeAll { $0 == sandbox.labels.deployment }
            }
        }
        // What cannot be finished now is tried again once everything runs.
        for name in unfinished { workshop.expiries.set(name, at: workshop.now()) }
        for name in ended {
            do {
                try forget(name)
            } catch {
                failures.append("deployment \(name) was not forgotten: \(error)")
            }
        }
        forgetTests()
        do {
            try await collectGarbage()
        } catch {
            failures.append("old revisions were not cleaned up: \(error)")
        }
        return failures
    }

    /// What every provider has of ours, and the names of those that do not answer. They keep nobody down: what nobody
    /// asks for again ends by itself there, since nobody extends its time.
    private func foundSandboxes(
        _ failures: inout [String]
    ) async throws -> (found: [(record: SandboxRecord, provider: any SandboxProvider)], silent: Set<String>) {
        let local = workshop.provider
        var found = try await local.list().map { (record: $0, provider: local) }
        var silent: Set<String> = []
        for provider in workshop.remoteProviders {
            do {
                let records = try await withDeadline(
                    Self.remoteListDeadline, clock: workshop.clock,
                    BerthError(.timeout, "no answer within \(Self.remoteListDeadline)")
                ) { try await provider.list() }
                found += records.map { (record: $0, provider: provider) }
            } catch {
                silent.insert(provider.name)
                failures.append("the sandboxes of \(provider.name) could not be listed: \(error)")
            }
        }
        return (found.filter { !$0.record.labels.isHosted }, silent)  // clients own those
    }

    /// Forgets old revisions and removes the files that none of the others needs.
    private func collectGarbage() async throws {
        let revisions = try workshop.store.pruneRevisions(keeping: Self.rememberedRevisions)
        var blobs: Set<String> = []
        var folders: Set<String> = []
        for revision in revisions where !revision.bundle.isEmpty {
            guard let files = JSONText.decode([BundleFile].self, revision.bundle) else { return }
            blobs.formUnion(files.map(\.sha256))
            folders.formUnion(BundleStore.folders(of: try Bundle(files: files.map(\.entry))))
        }
        workshop.blobs.collectGarbage(keeping: blobs)
        workshop.bundles.collectGarbage(keeping: folders)
        try await workshop.environments.removeUnused(keeping: Set(revisions.map(\.environmentDigest)))
    }

    /// Whether a deployment's end had begun, or its time passed while no control plane ran, which begins it.
    private func isOver(_ deployment: DeploymentRecord) throws -> Bool {
        if deployment.isEnding { return true }
        guard let expiresAt = deployment.expiresAt, expiresAt <= workshop.now() else { return false }
        try workshop.store.beginEnding(
            of: deployment.name,
            event: LifecycleRecord(deployment: deployment.name, kind: .expired, time: workshop.now()))
        return true
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
    private func recover(
        _ deployment: DeploymentRecord, _ sandboxes: [SandboxRecord], _ silent: Set<String>
    ) async throws -> String? {
        guard let number = deployment.activeRevision,
            let record = try workshop.store.revision(number, of: deployment.name)
        else { return nil }
        let replica = try workshop.store.replica(of: deployment.name)
        let snapshot: Snapshot
        do {
            snapshot = try Snapshot(record)
        } catch {
            throw Unreadable(sandbox: replica?.sandbox, cause: error)
        }
        if let replica, sandboxes.contains(where: { $0.id == replica.sandbox && $0.isAlive }),
            let adopted = try? await adopt(replica, snapshot)
        {
            _ = workshop.gateway.publish(deployment.name, adopted.upstream)
            adopt(supervise(adopted, restarts: replica.restarts), as: deployment.name)
            return replica.sandbox
        }
        if deployment.asleepSince != nil {
            let supervisor = Supervisor(workshop: workshop, tasks: tasks, asleep: snapshot)
            if let upstream = supervisor.restingUpstream { workshop.gateway.publish(deployment.name, upstream) }
            supervisor.begin()
            adopt(supervisor, as: deployment.name)
            return nil
        }
        let isUnknown = snapshot.manifest.provider.map { silent.contains($0.name.rawValue) } ?? false
        let supervisor = Supervisor(
            workshop: workshop, tasks: tasks, restarting: snapshot, unknown: isUnknown ? replica?.sandbox : nil,
            because: "the control plane was started again")
        // Its route exists and answers 503 until the new replica takes it: clients come back, a 404 would send them away.
        workshop.gateway.publish(deployment.name, .absent(snapshot))
        supervisor.begin()
        adopt(supervisor, as: deployment.name)
        return nil
    }

    /// A revision that this version cannot read.
    private struct Unreadable: Error {
        let sandbox: String?
        let cause: any Error
    }

    private func adopt(_ record: ReplicaRecord, _ snapshot: Snapshot) async throws -> Replica {
        let launcher = try ReplicaLauncher(workshop: workshop, snapshot: snapshot, rollout: "adopted")
        let sandbox = try await launcher.provider.adopt(record.sandbox)
        let process = try await sandbox.process(tagged: Replica.processTag)
        return launcher.capture(process, in: sandbox, output: launcher.makeOutput(), tasks: tasks)
    }

    /// Removes every sandbox of a deployment; returns those that would not go, with the reason.
    public func removeSandboxes() async -> [String] {
        var left: [String] = []
        for provider in workshop.providers {
            do {
                for record in try await provider.list() where !record.labels.isHosted {
                    do {
                        try await provider.destroy(record.id)
                    } catch {
                        left.append("sandbox \(record.id) could not be removed: \(error)")
                    }
                }
            } catch {
                left.append("the sandboxes of \(provider.name) could not be listed: \(error)")
            }
        }
        return left
    }

    /// Who made sandboxes for a deployment: this machine, and whom its revisions name.
    func usedProviders(of name: String) throws -> [any SandboxProvider] {
        let named = try workshop.store.revisions(of: name).compactMap { revision in
            JSONText.decode(Manifest.self, revision.manifest)?.provider?.name.rawValue
        }
        return [workshop.provider] + workshop.remoteProviders.filter { named.contains($0.name) }
    }
}
