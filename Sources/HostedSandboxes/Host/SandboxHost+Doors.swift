import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Waiting

/// The way into a running sandbox, for one request.
public struct HostedDoor: Sendable {
    /// The sandbox.
    public let sandbox: any Sandbox
    /// What its ports want to see; nil where they are open.
    public let trafficToken: String?
    /// The `Host` that its ports see instead of the client's.
    public let maskedHost: String?
    /// Fulfilled when the run ends.
    let runEnd: Promise<Void>

    /// Returns when the run ends, or the task is cancelled.
    public func ended() async { _ = await runEnd.wait() }
}

/// Why there is no way into a sandbox.
public enum HostedRefusal: Error, Equatable {
    /// There is none, or it is paused and traffic does not resume it.
    case notFound
    /// It is being paused or resumed.
    case transitioning
    /// It would be one too many, as the text says.
    case limited(String)
    /// It could not be resumed, as the text says.
    case failed(String)
}

extension SandboxHost {
    /// The way into a sandbox for a request that has come; a paused one is resumed first where traffic may do that.
    public func enter(_ id: String) async throws(HostedRefusal) -> HostedDoor {
        guard let entry = entries[id], entry.record.isVisible else { throw .notFound }
        switch entry.record.state {
        case .running where entry.isHeld: throw .transitioning
        case .running: break
        case .paused, .resuming:
            guard entry.record.isWokenByTraffic else {
                throw entry.record.state == .paused ? .notFound : .transitioning
            }
            try await wake(id)
        default: throw .transitioning
        }
        // Another look: it may have been paused or killed while we waited.
        guard let entry = entries[id], entry.record.isVisible else { throw .notFound }
        guard entry.record.state == .running else { throw .transitioning }
        let sandbox: any Sandbox
        do {
            sandbox = try await self.sandbox(id)
        } catch {
            throw .failed(ControlFailure(error).message)
        }
        guard let entry = entries[id], entry.record.isVisible else { throw .notFound }
        guard entry.record.state == .running, !entry.isHeld else { throw .transitioning }
        return HostedDoor(
            sandbox: sandbox, trafficToken: trafficToken(entry.record),
            maskedHost: entry.record.networkSettings?.maskedHost, runEnd: entry.runEnd)
    }

    private func wake(_ id: String) async throws(HostedRefusal) {
        do {
            try await alone(id) { host in
                let record = try host.visible(id).record
                // Those who waited find it running, or paused in another way.
                guard record.state == .paused else { return }
                guard record.isWokenByTraffic else { throw ControlFailure.noSandbox(id) }
                try await host.resumeAlone(id, timeout: max(record.timeout, HostedSettings.shortestResumption))
            }
        } catch let failure as ControlFailure {
            switch failure.code {
            case 404: throw .notFound
            case 409: throw .transitioning
            case 429: throw .limited(failure.message)
            default: throw .failed(failure.message)
            }
        } catch {
            throw .failed("sandbox \(id) could not be resumed")
        }
    }

    /// The secrets by which agents know who may read and write their files, of all sandboxes that can be reached.
    public func agentTokens() -> [(sandbox: String, token: String)] {
        entries.values.map(\.record).filter { record in
            record.isSecure && record.isVisible && (record.state == .running || record.isWokenByTraffic)
        }.map { ($0.id, surroundings.tokens.agentToken($0.id)) }
    }

    /// Runs `body` with a running sandbox and what is written of it, while nothing else is done to it and nobody gets
    /// in; open connections end. The agent of a secure one wants its token, as `agentToken(_:)` gives it.
    ///
    /// - Throws: 404; 409 when it is paused; what `body` throws.
    public func hold<Result: Sendable>(
        _ id: String, _ body: @escaping @Sendable (any Sandbox, HostedSandboxRecord) async throws -> Result
    ) async throws -> Result {
        try await alone(id) { host in
            let record = try host.visible(id).record
            guard record.state == .running else {
                throw ControlFailure(409, "sandbox \(id) is paused: connect to it first")
            }
            let sandbox = try await host.sandbox(id)
            host.entries[id]?.isHeld = true
            defer { host.entries[id]?.isHeld = false }
            await host.endRun(id)
            return try await body(sandbox, record)
        }
    }

    /// What the agent of a sandbox wants in `X-Access-Token`.
    public nonisolated func agentToken(_ id: String) -> String { surroundings.tokens.agentToken(id) }

    /// Writes that a snapshot of a sandbox was made.
    public func recordCheckpoint(_ id: String) throws {
        try write(id, event: .checkpointed) { _ in }
        note(id, "a snapshot of the sandbox was made")
    }
}
