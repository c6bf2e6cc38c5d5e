import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import LocalSandbox

/// A sandbox that runs into its processor limit.
@Suite struct ProcessorTests {
    @Test func whoIsHeldBackYieldsUntilItHasKeptWithinItsLimitForAWhile() {
        var verdict = ProcessorWatch.Verdict(isYielding: false)
        let calm = Array(repeating: Int64(12), count: ProcessorWatch.forgiving)
        // What was before the first look nobody knows.
        let changes = ([7, 7, 8, 10, 11, 12] + calm + [12]).map { verdict.look($0) }
        #expect(changes.indices.filter { changes[$0] } == [3, 5 + ProcessorWatch.forgiving])
        #expect(!verdict.isYielding)
    }

    @Test func verdictOfAnEarlierControlPlaneIsTakenOver() {
        var verdict = ProcessorWatch.Verdict(isYielding: true)
        let changes = (0...ProcessorWatch.forgiving).map { _ in verdict.look(3) }
        #expect(changes.firstIndex(of: true) == ProcessorWatch.forgiving)
        #expect(!verdict.isYielding)
    }

    @Test(needsGroup(.cpu))
    func busySandboxYieldsWhileItsLimitHoldsItBack() async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(cpu: 0.1))
            let state = try #require(try engine.provider.sandboxFolder(sandbox.id).state())
            let folder = try #require(state.group?.folder(.cpu)?.path)
            let idle = { KernelFile.number("\(folder)/cpu.idle") }
            guard idle() != nil else { return }  // Linux before 5.15
            #expect(idle() == 0)
            let busy = try await sandbox.start(
                ProcessSpecification(tag: "busy", command: ["/bin/sh", "-c", "echo up; while :; do :; done"]))
            try await waitForLine("up\n", from: busy)
            try await until { idle() == 1 }
            try await busy.signal(SIGKILL)
            try await until { idle() == 0 }
        }
    }

    /// Looks again and again until it is so.
    private func until(_ isSo: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while !isSo() {
            try #require(ContinuousClock.now < deadline)
            await Task.yield()
        }
    }
}
