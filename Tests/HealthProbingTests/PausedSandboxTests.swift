import BerthTestSupport
import CurlClient
import DeploymentCore
import Sandboxes
import Testing

@testable import HealthProbing

@Suite struct PausedSandboxTests {
    @Test func pausedSandboxIsLeftAlone() async throws {
        let clock = TestClock()
        let client = CurlClient()
        defer { client.close() }
        let sandbox = ScriptedSandbox()
        let outcomes = Locked(0)
        let watch = Task {
            await LivenessProber(client: client).watch(
                sandbox, manifest: .own(), nonce: nil, clock: clock, jitter: 0
            ) { _ in outcomes.withLock { $0 += 1 } }
        }
        sandbox.isPaused = true
        for _ in 0..<5 {
            await clock.awaitSleepers()
            clock.advance(by: .seconds(10))
        }
        await clock.awaitSleepers()
        #expect(sandbox.connects == 0)
        #expect(outcomes.withLock { $0 } == 0)
        // Awake again, it is held to the whole streak.
        sandbox.isPaused = false
        for _ in 0..<3 {
            await clock.awaitSleepers()
            clock.advance(by: .seconds(10))
        }
        #expect(await watch.value == .refused)
        #expect(outcomes.withLock { $0 } == 3)
    }
}
