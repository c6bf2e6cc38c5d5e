import BerthTestSupport
import CurlClient
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Sandboxes
import Testing
import Waiting

@testable import HostedSandboxes

/// A host on a scripted engine, the real store and a clock that a test moves.
struct HostWorld: Sendable {
    static let epoch: Int64 = 1_700_000_000_000

    let folder: String
    let engine: ScriptedEngine
    let curl: CurlClient
    let clock: TestClock
    let store: DeploymentStore
    let files: ScriptedFiles
    let host: SandboxHost

    static func with(
        _ settings: HostedSettings = HostedSettings(), _ body: (HostWorld) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let curl = CurlClient()
            let engine = try ScriptedEngine(folder: folder, curl: curl)
            let world = try HostWorld(
                folder: folder, engine: engine, curl: curl, clock: TestClock(), settings: settings)
            func end() async {
                engine.heal()
                await world.host.close()
                curl.close()
                engine.close()
            }
            do {
                try await body(world)
            } catch {
                await end()
                throw error
            }
            await end()
        }
    }

    private init(
        folder: String, engine: ScriptedEngine, curl: CurlClient, clock: TestClock, settings: HostedSettings,
        files: ScriptedFiles? = nil
    ) throws {
        self.folder = folder
        self.engine = engine
        self.curl = curl
        self.clock = clock
        store = try DeploymentStore(path: "\(folder)/berth.sqlite")
        self.files = files ?? ScriptedFiles(engine: engine, store: store)
        host = SandboxHost(
            SandboxHost.Surroundings(
                store: store, provider: engine, images: BuiltInImages(), files: self.files,
                journal: "\(folder)/logs",
                tokens: SandboxTokens(seed: Array(repeating: 7, count: SandboxTokens.seedLength)), clock: clock,
                now: { Self.epoch + Int64(clock.now.offset.milliseconds) }),
            settings: settings)
    }

    /// A host of the next control plane on the same store and the same sandboxes.
    func restarted() async throws -> HostWorld {
        let next = try HostWorld(
            folder: folder, engine: engine, curl: curl, clock: clock, settings: HostedSettings(), files: files)
        #expect(try await next.host.recover().isEmpty)
        return next
    }

    var now: Int64 { Self.epoch + Int64(clock.now.offset.milliseconds) }

    /// Runs `body` while expiry is carried out.
    func expiring(_ body: () async throws -> Void) async throws {
        let turning = Task { await host.expireSandboxes() }
        do {
            try await body()
        } catch {
            turning.cancel()
            await turning.value
            throw error
        }
        turning.cancel()
        await turning.value
    }

    /// Makes a sandbox from `base`.
    func make(
        timeout: Int64 = 60, pausesOnTimeout: Bool = false, pausesWithMemory: Bool? = nil,
        resumesOnTraffic: Bool = false,
        metadata: [String: String] = [:], key: CreationKey? = nil
    ) async throws -> String {
        let creation = SandboxCreation(
            template: "base", timeout: timeout, pausesOnTimeout: pausesOnTimeout, pausesWithMemory: pausesWithMemory,
            resumesOnTraffic: resumesOnTraffic, metadata: metadata)
        return try await host.create(creation, .second, key: key).sandbox
    }

    /// How a sandbox is for clients; nil when it is gone.
    func state(_ id: String) async -> SandboxInformation.State? { try? await host.information(id).state }

    /// How it is written; nil when it is forgotten.
    func written(_ id: String) throws -> HostedSandboxRecord.State? { try store.hostedSandbox(id)?.state }

    /// What happened, oldest first.
    func events(_ id: String? = nil) throws -> [SandboxEventRecord.Kind] {
        try store.sandboxEvents(of: id, after: 0, limit: 100).map(\.kind)
    }

    /// Waits until something is so.
    func until(_ isSo: () async throws -> Bool) async rethrows {
        while try await !isSo() { await Task.yield() }
    }

    /// What an operation fails with whose effect goes wrong in this way; nil when it succeeds.
    func failure(
        of fault: Fault, _ operation: @escaping @Sendable () async throws -> Void
    ) async -> ControlFailure? {
        guard fault == .hangs else { return await ControlFailure.of(operation) }
        // Whatever hangs, and what hangs while that is taken back.
        let version = engine.hanging.version
        let ending = Task {
            var version = version
            while true {
                await engine.hanging.wait(after: version)
                version = engine.hanging.version
                if Task.isCancelled { return }
                await until { !clock.pending.isEmpty }
                clock.advance(by: .seconds(3_600))
            }
        }
        let failure = await ControlFailure.of(operation)
        ending.cancel()
        engine.hanging.notify()
        await ending.value
        return failure
    }

    /// Runs an operation whose effect hangs, and lets the time for it pass.
    func timingOut(_ operation: @escaping @Sendable () async throws -> Void) async -> Result<Void, any Error> {
        let version = engine.hanging.version
        let sleepers = clock.pending.count
        let running = Task { try await operation() }
        await engine.hanging.wait(after: version)
        await until { clock.pending.count > sleepers }
        clock.advance(by: .seconds(600))
        return await running.result
    }
}

extension ControlFailure {
    /// What an operation fails with; nil when it succeeds.
    static func of(_ operation: () async throws -> some Any) async -> ControlFailure? {
        do {
            _ = try await operation()
            return nil
        } catch {
            return ControlFailure(error)
        }
    }
}
