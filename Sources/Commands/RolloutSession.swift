import Artifacts
import ControlAPI
import DeploymentCore
import Foundation

/// One rollout as a user sees it: prepared, uploaded, submitted, followed; Ctrl-C cancels it and waits for the undoing.
struct RolloutSession {
    let progress: Progress
    let client: ControlPlaneClient

    /// Sends what is missing; says how much.
    func upload(_ files: [FileEntry]) async throws {
        let start = ContinuousClock.now
        let missing = Set(try await client.missing(files.map(\.sha256)))
        var sent: Set<String> = []
        for file in files where missing.contains(file.sha256) && sent.insert(file.sha256).inserted {
            progress.doing("files", file.path)
            try await client.upload(file.source, size: file.size, sha256: file.sha256)
        }
        let detail = sent.isEmpty ? "\(files.count) unchanged" : "\(sent.count) of \(files.count) sent"
        progress.done("files", (ContinuousClock.now - start).milliseconds, detail, reused: sent.isEmpty)
    }

    /// Submits and follows until the verdict.
    func run(_ request: DeployRequest, isWaiting: Bool = true) async throws -> RolloutResource {
        let signals = Signals()
        defer { signals.end() }
        let rollout = try await client.submit(request)
        guard isWaiting else { return rollout }
        return try await follow(rollout.id, signals)
    }

    /// Follows a rollout that was begun elsewhere; Ctrl-C cancels it.
    func follow(_ id: String) async throws -> RolloutResource {
        let signals = Signals()
        defer { signals.end() }
        return try await follow(id, signals)
    }

    private func follow(_ id: String, _ signals: Signals) async throws -> RolloutResource {
        do {
            return try await withThrowingTaskGroup(of: RolloutResource?.self) { group in
                group.addTask { [client, progress] in try await client.follow(id) { progress.show($0) } }
                group.addTask { [progress] in
                    while !Task.isCancelled {
                        try await Task.sleep(for: .milliseconds(100))
                        progress.tick()
                    }
                    return nil
                }
                group.addTask {
                    await signals.wait()
                    throw CancellationError()
                }
                defer { group.cancelAll() }
                while let result = try await group.next() {
                    if let result { return result }
                }
                throw CancellationError()
            }
        } catch is CancellationError {
            signals.end()
            progress.say("interrupted, undoing… (Ctrl-C again leaves it to the control plane)")
            return try await Task { [client] in try await client.cancel(id) }.value
        }
    }
}
