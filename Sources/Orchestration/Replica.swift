import DeploymentCore
import DeploymentStore
import Gateway
import Sandboxes

extension Upstream {
    /// The place of a replica that is being started: every request is answered 503 with `Retry-After`.
    static func absent(_ snapshot: Snapshot) -> Upstream {
        let manifest = snapshot.manifest
        return Upstream(
            revision: snapshot.record.nonce,
            paths: Upstream.Paths(
                predict: manifest.predict.path, health: manifest.health.path, info: manifest.predict.infoPath),
            connect: { throw BerthError(.unreachable, "the replica is being started") })
    }
}

/// A running instance of a revision, from its sandbox to its captured output.
struct Replica: Sendable {
    /// The tag of the app's process in its sandbox.
    static let processTag = "app"

    let snapshot: Snapshot
    let sandbox: any Sandbox
    let output: OutputCapture

    /// Where its requests go.
    var upstream: Upstream {
        let manifest = snapshot.manifest
        let sandbox = sandbox
        return Upstream(
            revision: snapshot.record.nonce,
            paths: Upstream.Paths(
                predict: manifest.predict.path, health: manifest.health.path, info: manifest.predict.infoPath),
            timeout: manifest.predict.timeout,
            connect: { try await sandbox.connect(port: sandbox.port) })
    }

    /// The nonce a prober has to see; own apps do not know ours.
    var expectedNonce: String? { snapshot.manifest.server.isRendered ? snapshot.record.nonce : nil }

    func record(restarts: Int = 0) -> ReplicaRecord {
        ReplicaRecord(
            sandbox: sandbox.id, deployment: snapshot.record.deployment, revision: snapshot.record.number,
            isolation: sandbox.isolation, restarts: restarts, ownsIdentities: sandbox.ownsIdentities)
    }
}
