import BerthTestSupport
import CPlatform
import CurlClient
import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

/// Every way out that is known has to be closed, and has to be one: the same programs succeed without a sandbox.
@Suite(needsAgent, needsPython) struct EscapeTests {
    /// What the issue demands for each rung that hides the host.
    private static let minimum = 40

    /// Runs `body` with a target on the host and a sandbox that belongs to somebody else.
    private func withTarget(
        _ isolation: Isolation, identities: IdentityOffer = Machine.identities,
        _ body: (Engine, EscapeTarget, [String: String]) async throws -> Void
    ) async throws {
        try await withEngine(isolation, identities: { identities }) { engine in
            _ = try await engine.provider.list()
            let folder = engine.folder + ".host"
            try makeFolder(folder, mode: 0o755)
            let neighbour = try await engine.sandbox()
            try await neighbour.write(
                Array("precious-content".utf8), to: "\(neighbour.appFolder)/private", executable: false)
            let target = try EscapeTarget(folder: folder)
            defer { target.close() }
            let facts = target.facts.merging(["neighbour": "\(engine.folder)/\(neighbour.id)"]) { $1 }
            try await body(engine, target, facts)
        }
    }

    @Test(arguments: Machine.everyRung)
    func everyAttemptFails(_ isolation: Isolation) async throws { try await expectAllToFail(isolation) }

    @Test(needsIdentities) func everyAttemptOfRootInsideFails() async throws {
        try await expectAllToFail(.namespaces, asRoot: true)
    }

    @Test(needsNamespaces) func everyAttemptFailsWithOneUser() async throws {
        try await expectAllToFail(.namespaces, identities: .refused)
    }

    private func expectAllToFail(
        _ isolation: Isolation, asRoot: Bool = false, identities: IdentityOffer = Machine.identities
    ) async throws {
        let version = berth_landlock_abi()
        let attempts = EscapeAttempt.all.filter {
            $0.isStopped(by: isolation, landlock: version) && !(asRoot && $0.allowsRoot)
                && !(identities.grant == nil && $0.needsIdentities)
        }
        if isolation != .process { #expect(attempts.count >= Self.minimum) }
        try await withTarget(isolation, identities: identities) { engine, target, facts in
            let environment = target.facts["environment"] ?? ""
            let mount = SandboxSpecification.Mount(source: environment, target: "/opt/env")
            let sandbox = try await engine.sandbox([mount])
            var facts = facts
            facts["environment"] = sandbox.path(of: mount)
            let job = "\(sandbox.appFolder)/escape.json"
            try await sandbox.write(EscapeDriver.job(attempts, facts: facts), to: job, executable: false)
            let command = ["/usr/bin/python3", "-I", "-S", "-c", EscapeDriver.script, job]
            let driver = try await sandbox.start(
                ProcessSpecification(tag: "escape", command: (asRoot ? ["sudo", "-n"] : []) + command))
            let output = try await output(of: driver)
            #expect(output.status == .exited(code: 0), "\(output.stderr)")
            let outcomes = try EscapeDriver.outcomes(output.stdout)
            for attempt in attempts {
                let outcome = try #require(outcomes[attempt.name], "\(attempt.name) was not tried")
                #expect(outcome.verdict == "stopped", "\(attempt.name) \(outcome.verdict): \(outcome.how)")
            }
            for name in ["secret", "linked", "moved", "appended", "truncated", "removed"] {
                #expect(try SandboxFolder.read("\(engine.folder).host/\(name)", limit: 100)?.count == 16)
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: environment)
            #expect(left == ["module.py"])
        }
    }

    @Test func everyAttemptSucceedsWithoutASandbox() async throws {
        try await withTarget(.process) { engine, _, facts in
            let folder = engine.folder + ".control"
            try makeFolder(folder, mode: 0o755)
            var outcomes = try EscapeControl.outcomes(
                EscapeAttempt.all.filter { $0.control != .ownNamespaces }, facts: facts, folder: folder, prefix: [])
            if Machine.trial.works {
                let alone = try EscapeControl.outcomes(
                    EscapeAttempt.all.filter { $0.control == .ownNamespaces }, facts: facts, folder: folder,
                    prefix: [
                        "/usr/bin/unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc",
                        "--net", "--ipc", "--uts",
                    ])
                outcomes.merge(alone) { $1 }
            }
            var proven = 0
            for attempt in EscapeAttempt.all {
                let outcome = outcomes[attempt.name]
                #expect(outcome?.verdict != "broken", "\(attempt.name): \(outcome?.how ?? "")")
                if outcome?.verdict == "escaped" {
                    proven += 1
                    continue
                }
                let isPossible = attempt.control != .outsideAsRoot || getuid() == 0
                let isMade = attempt.control != .ownNamespaces || Machine.trial.works
                print("not possible here even without a sandbox: \(attempt.name): \(outcome?.how ?? "not tried")")
                #expect(
                    attempt.isRare || !isPossible || !isMade, "\(attempt.name) is no attempt: \(outcome?.how ?? "")")
            }
            print("\(proven) of \(EscapeAttempt.all.count) attempts succeed without a sandbox")
            if getuid() == 0, Machine.trial.works { #expect(proven >= Self.minimum) }
        }
    }

    @Test func namesOfAttemptsAreUnique() {
        #expect(Set(EscapeAttempt.all.map(\.name)).count == EscapeAttempt.all.count)
    }
}
