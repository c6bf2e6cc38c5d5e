import BerthTestSupport
import DeploymentCore
import E2BProtocol
import Foundation
import Sandboxes
import Testing
import Waiting

@testable import RemoteSandbox

/// Every call of a provider fails before, loses its answer, hangs, and is cancelled: nothing is left on the far side.
@Suite struct FaultTests {
    @Test func lostAnswerToACreationLeavesOneSandbox() async throws {
        try await Nearby.with { near in
            near.far.set(.create, .losesReply, times: 1)
            let made = try await near.provider.create(Nearby.specification())
            #expect(near.far.live.count == 1)
            #expect((made as? E2BSandbox)?.handle.sandbox == near.far.live.first)
            try await near.provider.destroy("ours1")
            #expect(near.far.live.isEmpty)
        }
    }

    @Test func creationThatIsAlwaysLostLeavesNone() async throws {
        try await Nearby.with { near in
            near.far.set(.create, .losesReply)
            // The look-up finds the first one, so nothing is asked for twice.
            _ = try await near.provider.create(Nearby.specification())
            #expect(near.far.created == 1)
            near.far.set(.create, .failsBefore)
            let error = await failure { try await near.provider.create(Nearby.specification("ours2")) }
            #expect(error?.code == .unreachable)
            let asked = near.far.recorded.filter { $0.request.path == "/v2/sandboxes" }
            #expect(asked.count == 1 + E2BProvider.createAttempts)
            try await near.provider.destroy("ours1")
            #expect(near.far.live.isEmpty)
        }
    }

    @Test func creationIsUndoneWhenTheAgentDoesNotAnswer() async throws {
        try await Nearby.with { near in
            near.far.set(.create, .losesReply)
            near.far.set(.connect, .failsBefore)
            // Made, found, and then not to be had.
            let made = await failure { try await near.provider.create(Nearby.specification()) }
            #expect(made?.code == .unreachable)
            #expect(near.far.live.isEmpty)
        }
    }

    @Test(arguments: [FarSide.Call.create, .connect])
    func hangingCreationThatIsCancelledLeavesNothing(_ call: FarSide.Call) async throws {
        try await Nearby.with { near in
            let hangs = Promise<Bool>()
            near.far.hanging.withLock { $0.append { hangs.fulfil(true) } }
            near.far.set(call, .hangs)
            if call == .connect {
                near.far.add(
                    "i9",
                    FarSide.Sandbox(
                        metadata: ["berth-owner": Nearby.owner, "berth-sandbox": "ours1"], timeout: 1))
            }
            let task = Task {
                call == .create
                    ? try await near.provider.create(Nearby.specification())
                    : try await near.provider.adopt("ours1")
            }
            _ = await hangs.wait()
            task.cancel()
            let result = await task.result
            #expect(throws: (any Error).self) { try result.get() }
            near.far.heal()
            try await near.provider.destroy("ours1")
            #expect(near.far.live.isEmpty)
        }
    }

    @Test func creationThatHappensAfterAllIsSweptUp() async throws {
        let clock = TestClock()
        try await Nearby.with(clock, time: { clock.now.offset }) { near in
            near.far.set(.create, .hangs)
            let hangs = Promise<Bool>()
            near.far.hanging.withLock { $0.append { hangs.fulfil(true) } }
            let task = Task { try await near.provider.create(Nearby.specification()) }
            _ = await hangs.wait()
            task.cancel()
            _ = await task.result
            // The service had taken it, and carries it out now.
            near.far.add(
                "ilate", FarSide.Sandbox(metadata: ["berth-owner": Nearby.owner, "berth-sandbox": "ours1"], timeout: 1))
            let running = Task { await near.provider.run() }
            await clock.awaitSleepers()
            clock.advance(by: .seconds(5))
            while !near.far.live.isEmpty { await Task.yield() }
            running.cancel()
            await running.value
        }
    }

    @Test(arguments: [FarSide.Fault.failsBefore, .losesReply])
    func killThatFailsOnceIsRepeated(_ fault: FarSide.Fault) async throws {
        try await Nearby.with { near in
            _ = try await near.provider.create(Nearby.specification())
            near.far.set(.kill, fault, times: 1)
            try await near.provider.destroy("ours1")
            #expect(near.far.live.isEmpty)
        }
    }

    @Test func killThatFailsIsToldAndCanBeRepeatedLater() async throws {
        try await Nearby.with { near in
            _ = try await near.provider.create(Nearby.specification())
            near.far.set(.kill, .failsBefore)
            #expect(await failure { try await near.provider.destroy("ours1") }?.code == .unreachable)
            #expect(near.far.live.count == 1)
            near.far.heal()
            try await near.provider.destroy("ours1")
            #expect(near.far.live.isEmpty)
        }
    }

    @Test func killThatFailedIsMadeUpForOnceTheServiceAnswers() async throws {
        let clock = TestClock()
        try await Nearby.with(clock, time: { clock.now.offset }) { near in
            _ = try await near.provider.create(Nearby.specification())
            // Refused, not lost, so that nothing is waited for.
            near.far.answer([FarSide.json(500, ["code": 500, "message": "no"])])
            #expect(await failure { try await near.provider.destroy("ours1") }?.code == .sandbox)
            #expect(near.far.live.count == 1)
            let running = Task { await near.provider.run() }
            while !near.far.live.isEmpty { await Task.yield() }
            running.cancel()
            await running.value
        }
    }

    @Test(arguments: [FarSide.Fault.failsBefore, .losesReply])
    func lookThatFailsOnceIsRepeated(_ fault: FarSide.Fault) async throws {
        try await Nearby.with { near in
            _ = try await near.provider.create(Nearby.specification())
            near.far.set(.list, fault, times: 1)
            #expect(try await near.provider.list().count == 1)
        }
    }

    @Test(arguments: [FarSide.Fault.failsBefore, .losesReply])
    func pauseThatFailsIsNoPause(_ fault: FarSide.Fault) async throws {
        try await Nearby.with { near in
            let made = try await near.provider.create(Nearby.specification())
            near.far.set(.pause, fault, times: 1)
            #expect(await failure { try await made.pause() }?.code == .unreachable)
            #expect(!made.isPaused)
            // Again is no error, whatever became of the first one.
            try await made.pause()
            #expect(made.isPaused)
            try await made.resume()
            try await near.provider.destroy("ours1")
            #expect(near.far.live.isEmpty)
        }
    }

    @Test(arguments: [FarSide.Fault.failsBefore, .losesReply])
    func listThatFailsIsToldAndNothingElse(_ fault: FarSide.Fault) async throws {
        try await Nearby.with { near in
            _ = try await near.provider.create(Nearby.specification())
            near.far.set(.list, fault)
            #expect(await failure { try await near.provider.list() }?.code == .unreachable)
            near.far.heal()
            #expect(try await near.provider.list().count == 1)
        }
    }

    @Test func extensionThatFailsIsTriedAgainSoon() async throws {
        let clock = TestClock()
        try await Nearby.with(clock, time: { clock.now.offset }) { near in
            _ = try await near.provider.create(Nearby.specification())
            near.far.set(.timeout, .failsBefore, times: 1)
            let running = Task { await near.provider.run() }
            await clock.awaitSleepers()
            clock.advance(by: .seconds(100))
            while near.far.calls("POST", "/sandboxes/").count < 1 { await Task.yield() }
            await clock.awaitSleepers()
            while clock.pending.first.map({ $0 > .seconds(1) }) ?? true { await Task.yield() }
            clock.advance(by: .seconds(1))
            while near.far.calls("POST", "/sandboxes/").count < 2 { await Task.yield() }
            running.cancel()
            await running.value
            #expect(near.far.live.count == 1)
        }
    }
}
