import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import LocalSandbox

/// A sandbox that runs into its processor limit.
@Suite struct ProcessorTests {
    private let start = ContinuousClock.now

    @Test func whoIsHeldBackYieldsUntilItHasKeptWithinItsLimitForAWhile() {
        var yielding = Yielding(isOn: false)
        // What was before the first look nobody knows; one period is a burst, and so are two that lie far apart.
        let looks: [(Int64, Int)] = [(7, 0), (7, 50), (8, 100), (9, 450), (10, 550), (11, 700), (11, 2650), (11, 2700)]
        let changes = looks.filter { yielding.look($0.0, at: start + .milliseconds($0.1)) }
        #expect(changes.map(\.1) == [550, 2700])
        #expect(!yielding.isOn)
    }

    @Test func verdictOfAnEarlierControlPlaneIsTakenOver() {
        var yielding = Yielding(isOn: true)
        let changes = [0, 1000, 2000, 3000].filter { yielding.look(3, at: start + .milliseconds($0)) }
        #expect(changes == [2000])
        #expect(!yielding.isOn)
    }

    @Test(needsGroup(.cpu))
    func busySandboxYieldsWhileItsLimitHoldsItBack() async throws {
        try await withEngine(Machine.strongest) { engine in
            let sandbox = try await engine.sandbox(SandboxLimits(cpu: 0.1))
            let group = try #require(try engine.provider.sandboxFolder(sandbox.id).state()?.group)
            guard group.isYielding != nil else { return }  // Linux before 5.15
            // The start of the agent may be too much already.
            try await until { group.isYielding == false }
            let busy = try await sandbox.start(
                ProcessSpecification(tag: "busy", command: ["/bin/sh", "-c", "echo up; while :; do :; done"]))
            try await waitForLine("up\n", from: busy)
            try await until { group.isYielding == true }
            try await busy.signal(SIGKILL)
            try await until { group.isYielding == false }
        }
    }

    @Test(needsGroup(.cpu))
    func standbyHasATenthOfTheProcessorTimeUntilItIsAssigned() async throws {
        try await withEngine(Machine.strongest) { engine in
            var specification = engine.specification()
            specification.isStandby = true
            let sandbox = try await engine.provider.create(specification)
            let folder = try #require(try engine.provider.sandboxFolder(sandbox.id).state()?.group?.folder(.cpu))
            let (file, equal): (String, Int64) = folder.version == 2 ? ("cpu.weight", 100) : ("cpu.shares", 1_024)
            #expect(KernelFile.number("\(folder.path)/\(file)") == equal / 10)
            _ = try await engine.provider.assign(sandbox.id, labels: specification.labels, models: [])
            #expect(KernelFile.number("\(folder.path)/\(file)") == equal)
        }
    }
}

/// Looks again and again until it is so.
func until(_ isSo: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while try await !isSo() {
        try #require(ContinuousClock.now < deadline)
        await Task.yield()
    }
}
