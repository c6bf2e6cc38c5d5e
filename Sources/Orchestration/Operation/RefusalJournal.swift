import DeploymentCore
import DeploymentStore

/// Tells in a deployment's log which hosts its app was refused.
public struct RefusalJournal: Sendable {
    private let store: DeploymentStore
    private let logs: LogBook

    /// Creates a journal.
    public init(store: DeploymentStore, logs: LogBook) {
        self.store = store
        self.logs = logs
    }

    /// Writes a line into the log of the revision that a sandbox is for: a standby is for the one that serves.
    public func note(_ text: String, of labels: SandboxLabels) {
        let name = labels.deployment
        let revision = (try? store.revisions(of: name))?.first { $0.nonce == labels.nonce }?.number
        guard let number = revision ?? (try? store.deployment(name))?.activeRevision else { return }
        logs.append(["egress refused: \(text)"], stream: "berth", deployment: name, revision: number)
    }
}
