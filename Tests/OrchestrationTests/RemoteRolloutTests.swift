import ControlAPI
import DeploymentCore
import Sandboxes
import Testing

@testable import Orchestration

/// Deploys to a provider that cannot show a folder of this machine.
@Suite struct RemoteRolloutTests {
    static let manifest = World.manifest + "\nprovider: {name: e2b, template: team/big}\n"

    @Test func sameStagesWithTheSandboxBeforeItsPackages() async throws {
        try await World.with { world in
            let rollout = try await world.verdict(try await world.submit(Self.manifest).id)
            #expect(rollout.status == "promoted", "\(rollout.failure?.title ?? "")")
            #expect(
                rollout.stages.map(\.stage) == [
                    .artifacts, .render, .sandbox, .environment, .upload, .start, .health, .smoke, .expose,
                ])
            #expect(Set(rollout.stages.map(\.stage)) == Set(RolloutStage.allCases))
            #expect(world.provider.created == 0)
            let id = try #require(world.remote.live.first)
            let sandbox = try #require(world.remote.sandbox(id))
            #expect(sandbox.started.withLock { $0.map(\.tag) } == [SandboxInstallation.tag, Replica.processTag])
            #expect(sandbox.sealed.withLock { $0 } == 1)
            #expect(sandbox.written.contains("/app/predict.py"))
            #expect(sandbox.written.contains("/app/app.py"))
            #expect(sandbox.written.contains(SandboxInstallation.lockFile))
            let app = try #require(sandbox.started.withLock(\.last))
            #expect(app.command.first == "\(SandboxInstallation.folder)/bin/python")
            #expect(app.environment["PATH"]?.hasPrefix("\(SandboxInstallation.folder)/bin:") == true)
            #expect(try await world.get("/sum/health").status == 200)
        }
    }

    @Test func failedInstallationIsAFailureOfDependenciesAndLeavesNothing() async throws {
        try await World.with { world in
            world.remote.set(installation: ("resolving\nERROR: no wheel for torch\n", .exited(code: 1)))
            let rollout = try await world.verdict(try await world.submit(Self.manifest).id)
            #expect(rollout.status == "failed")
            #expect(rollout.stage == .environment)
            #expect(rollout.failure?.code == .dependencies)
            #expect(rollout.failure?.title.contains("no wheel for torch") == true)
            #expect(world.remote.live.isEmpty)
        }
    }

    @Test func missingPythonSaysSo() async throws {
        try await World.with { world in
            world.remote.set(installation: ("there is Python 3.8\n", .exited(code: 21)))
            let rollout = try await world.verdict(try await world.submit(Self.manifest).id)
            #expect(rollout.failure?.code == .dependencies)
            #expect(rollout.failure?.title.contains("there is Python 3.8") == true)
        }
    }

    @Test func providerThatIsNotSetUpSaysHowToSetItUp() async throws {
        try await World.with { world in
            var workshop = world.workshop
            workshop = Workshop(
                store: workshop.store, provider: workshop.provider, gateway: workshop.gateway,
                gatewayPort: workshop.gatewayPort, environments: workshop.environments, blobs: workshop.blobs,
                bundles: workshop.bundles, templates: workshop.templates, prober: workshop.prober,
                liveness: workshop.liveness, smoke: workshop.smoke, logs: workshop.logs, now: workshop.now)
            let manifest = Manifest(name: "sum", provider: Manifest.Provider(name: .e2b))
            #expect {
                _ = try workshop.provider(of: manifest)
            } throws: { error in
                (error as? BerthError)?.suggestion?.contains("E2B_API_KEY") == true
            }
        }
    }

    @Test(arguments: Effect.allCases, Fault.allCases)
    func everyFaultIsUndone(_ effect: Effect, _ fault: Fault) async throws {
        try await World.with { world in
            world.remote.set(effect, fault)
            let id = try await world.submit(Self.manifest).id
            if fault == .hangs {
                await world.remote.hanging.wait()
                _ = try await world.service.cancel(id)
            }
            let rollout = try await world.verdict(id)
            #expect(rollout.status == (fault == .hangs ? "cancelled" : "failed"))
            #expect(world.remote.live.isEmpty)
        }
    }

    @Test func replicaIsAdoptedByTheNextControlPlaneAndOrphansAreSwept() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit(Self.manifest).id)
            let serving = try #require(world.remote.live.first)
            _ = try await world.remote.create(
                SandboxSpecification(
                    id: "orphan", labels: SandboxLabels(deployment: "sum", nonce: "x", rollout: "rol_x")))
            let next = try await world.restarted()
            #expect(world.remote.live == [serving])
            #expect(try await next.service.deployment("sum").state == "serving")
            try await next.service.destroy("sum")
            #expect(world.remote.live.isEmpty)
            await next.close()
        }
    }

    @Test func vanishedSandboxIsReplacedAndInstalledAgain() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit(Self.manifest).id)
            let first = try #require(world.remote.live.first)
            world.remote.sandbox(first)?.end(.signalled(9))
            await world.service.tasksSettled {
                world.remote.live != [first] && world.remote.live.count == 1
                    && (try? await world.get("/sum/health").status) == 200
            }
            let second = try #require(world.remote.live.first.flatMap { world.remote.sandbox($0) })
            #expect(second.started.withLock { $0.map(\.tag) } == [SandboxInstallation.tag, Replica.processTag])
            #expect(second.sealed.withLock { $0 } == 1)
        }
    }
}

/// What is read from a lock.
@Suite struct SandboxInstallationTests {
    private static let lock = """
        # made by `berth lock`; commit it beside the manifest, do not edit it
        # python: 3.11.7
        # inputs: sha256:0
        --index-url https://example.com/simple
        numpy==2.1.0 \\
            --hash=sha256:aa \\
            --hash=sha256:bb
        six==1.16.0 \\
            --hash=sha256:cc
        """

    @Test func packagesAndVersionAreThoseOfTheLock() {
        let installation = SandboxInstallation(lock: Self.lock, python: nil)
        #expect(installation.packages == 2)
        #expect(installation.minor == "3.11")
        #expect(SandboxInstallation(lock: Self.lock, python: "3.12").minor == "3.12")
        #expect(SandboxInstallation(lock: "six==1 --hash=sha256:aa", python: nil).minor == nil)
        #expect(SandboxInstallation(lock: "# python: 3.11; rm -rf /", python: nil).minor == nil)
        #expect(SandboxInstallation(lock: "", python: nil).packages == 0)
    }
}
