import BerthTestSupport
import CurlClient
import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import LocalSandbox

/// Who gets gVisor, and what is said where it does not run.
@Suite(needsAgent) struct GvisorDemandTests {
    /// A provider that takes what works, with the given runsc.
    private func withProvider(
        runsc: String?, isolation: Isolation? = nil, _ body: (LocalProvider, SandboxSpecification) async throws -> Void
    ) async throws {
        let agent = try #require(Machine.agent)
        try await withTemporaryFolder { parent in
            let client = CurlClient()
            defer { client.close() }
            let provider = LocalProvider(
                folder: "\(parent)/sandboxes", agent: agent, isolation: isolation, client: client,
                announce: { _ in }, bubblewrap: BubblewrapCommand.find(), identities: { Machine.identities },
                runsc: runsc)
            let id = "t" + UUID().uuidString.filter { $0 != "-" }.lowercased().prefix(20)
            let labels = SandboxLabels(deployment: "demo", nonce: "nonce", rollout: "rollout")
            var specification = SandboxSpecification(id: id, labels: labels)
            specification.minimumIsolation = .gvisor
            do {
                try await body(provider, specification)
            } catch {
                try await provider.destroy(id)
                throw error
            }
            try await provider.destroy(id)
            #expect(LeakAudit(root: "\(parent)/sandboxes", sandboxes: [id]).findings() == [])
        }
    }

    @Test(needsGvisor) func onlyThoseWhoDemandItGetIt() async throws {
        try await withProvider(runsc: Machine.runsc) { provider, specification in
            #expect(try await provider.capabilities().isolation == .namespaces)
            let capabilities = try await provider.capabilities(demanding: .gvisor)
            #expect(capabilities.isolation == .gvisor)
            #expect(capabilities.ownNetwork)
            #expect(try await provider.create(specification).isolation == .gvisor)
            try await provider.destroy(specification.id)
            var modest = specification
            modest.minimumIsolation = .namespaces
            #expect(try await provider.create(modest).isolation == .namespaces)
        }
    }

    @Test func demandWithoutRunscIsRefusedWithAWayToGetIt() async throws {
        try await withProvider(runsc: nil) { provider, specification in
            for attempt in 0..<2 {
                let error = await #expect(throws: BerthError.self) {
                    if attempt == 0 {
                        _ = try await provider.capabilities(demanding: .gvisor)
                    } else {
                        _ = try await provider.create(specification)
                    }
                }
                #expect(error?.code.exitCode == 12)
                #expect(
                    error?.message == "the manifest demands isolation gvisor, but gVisor (runsc) is not installed")
                #expect(error?.suggestion?.contains("apt install runsc") == true)
            }
            let left = try await provider.list()
            #expect(left == [])
        }
    }

    @Test func controlPlaneThatWasGivenLessRefusesTheDemand() async throws {
        try await withProvider(runsc: Machine.runsc, isolation: .process) { provider, specification in
            let error = await #expect(throws: BerthError.self) { _ = try await provider.create(specification) }
            #expect(error?.message.contains("demands isolation gvisor at least") == true)
        }
    }

    @Test func trialSaysWhatStoodInTheWay() {
        let broken = GvisorTrial.run(bubblewrap: BubblewrapCommand.find() ?? "/bin/false", runsc: "/nonexistent/runsc")
        #expect(!broken.works)
        for platform in GvisorCommand.platforms { #expect(broken.detail.contains("\(platform): "), "\(broken.detail)") }
        let alone = GvisorTrial.run(bubblewrap: nil, runsc: "/bin/true")
        #expect(!alone.works)
        #expect(alone.detail.contains("bubblewrap"))
        #expect(alone.suggestion?.contains("apt install bubblewrap") == true)
        #expect(GvisorTrial.run(bubblewrap: "/bin/true", runsc: "/bin/true").platform == GvisorCommand.platforms.first)
    }

    @Test func configurationGrantsNothing() throws {
        let folder = SandboxFolder(root: "/sandboxes", id: "abc")
        let inhabitant = GvisorCommand.Inhabitant(
            folder: folder, agent: "/agent", agentArguments: ["--relay-ports"], hostname: "demo",
            environment: ["HOME": "/home/user"],
            mounts: [
                .init(source: "/data/model", target: "/home/user/app/model"),
                .init(source: "/data/env", target: "/opt/env"),
            ], limits: SandboxLimits(disk: 5, openFiles: 64))
        let json = try JSONValue(parsing: try GvisorCommand.configuration(inhabitant).encoded())
        let process = try #require(json["process"])
        for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
            #expect(process["capabilities"]?[set]?.array?.isEmpty == true)
        }
        #expect(process["noNewPrivileges"] == true)
        #expect(json["root"]?["readonly"] == true)
        #expect(process["args"]?.array?.last == "--relay-ports")
        let limits = process["rlimits"]?.array?.map { "\($0["type"]?.string ?? "")=\($0["hard"]?.integer ?? -1)" }
        #expect(limits == ["RLIMIT_CORE=0", "RLIMIT_NPROC=4096", "RLIMIT_NOFILE=64", "RLIMIT_FSIZE=5"])
        let mounts = (json["mounts"]?.array ?? []).filter { $0["type"] == "bind" }
        #expect(mounts.map { $0["destination"]?.string } == ["/home/user", "/opt/models", "/home/user/app/model"])
        #expect(mounts.map { $0["options"]?[1]?.string } == ["rw", "ro", "ro"])
        let command = GvisorCommand(bubblewrap: "bwrap", runsc: "/runsc", platform: "systrap").arguments(inhabitant)
        let words = command.joined(separator: " ")
        #expect(words.contains("--ro-bind /data/env /rootfs/opt/env"))
        #expect(words.contains("--ro-bind /data/model /mounts/"))
        #expect(words.contains("--network none"))
        #expect(words.contains("--root /tmp/BERTH_SANDBOX=abc"))
    }
}
