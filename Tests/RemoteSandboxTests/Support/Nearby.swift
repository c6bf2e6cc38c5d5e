import BerthTestSupport
import CurlClient
import DeploymentCore
import Foundation
import Sandboxes
import Waiting

@testable import RemoteSandbox

/// A provider of ours, and the far side that it talks to.
struct Nearby: Sendable {
    let far: FarSide
    let curl: CurlClient
    let client: E2BClient
    let provider: E2BProvider
    let said: Locked<[String]>

    static let owner = "ourhome"

    /// - Parameters:
    ///   - clock: paces all waits.
    ///   - time: since when, on that clock.
    static func with(
        _ clock: any Clock<Duration> = QuickClock(), time: @escaping @Sendable () -> Duration = { .zero },
        _ body: (Nearby) async throws -> Void
    ) async throws {
        let near = try Nearby(clock, time)
        do {
            try await body(near)
        } catch {
            await near.close()
            throw error
        }
        await near.close()
    }

    init(_ clock: any Clock<Duration>, _ time: @escaping @Sendable () -> Duration) throws {
        far = try FarSide()
        curl = CurlClient()
        let said = Locked<[String]>([])
        self.said = said
        client = E2BClient(
            account: E2BAccount(key: FarSide.key, controlURL: far.url, sandboxURL: far.url), curl: curl, clock: clock,
            jitter: { 1 })
        provider = E2BProvider(
            client: client, settings: E2BProvider.Settings(owner: Self.owner), clock: clock,
            now: { Int64(time().milliseconds) },
            announce: { text in said.withLock { $0.append(text) } })
    }

    func close() async {
        await provider.close()
        far.close()
        curl.close()
    }

    static func specification(_ id: String = "ours1") -> SandboxSpecification {
        SandboxSpecification(
            id: id, labels: SandboxLabels(deployment: "iris", nonce: "iris.1.x", rollout: "rol_1"))
    }
}

/// The error that `body` ends with.
func failure(_ body: () async throws -> some Sendable) async -> BerthError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? BerthError
    }
}
