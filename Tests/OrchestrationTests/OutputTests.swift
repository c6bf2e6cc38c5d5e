import BerthTestSupport
import DeploymentCore
import Sandboxes
import Testing
import Waiting

@testable import Orchestration

/// How an app's output is read.
@Suite struct OutputTests {
    /// A process that prints in pieces, and counts how many were taken.
    private final class Printer: SandboxProcess {
        let pid = 1
        let events: AsyncThrowingStream<SandboxProcessEvent, any Error>
        private let taken = Locked(0)

        init(pieces: Int, of size: Int) {
            let piece = [UInt8](repeating: UInt8(ascii: "x"), count: size - 1) + [UInt8(ascii: "\n")]
            let taken = self.taken
            events = AsyncThrowingStream {
                taken.withLock { taken -> SandboxProcessEvent? in
                    taken += 1
                    if taken <= pieces { return .stdout(piece) }
                    return taken == pieces + 1 ? .ended(.exited(code: 0)) : nil
                }
            }
        }

        var count: Int { taken.withLock { $0 } }

        func signal(_ signal: Int32) async throws {}
        func write(_ bytes: [UInt8]) async throws {}
        func closeInput() async throws {}
        func resize(_ size: TerminalSize) async throws {}
    }

    @Test func floodIsReadWithRests() async throws {
        try await withTemporaryFolder { folder in
            let log = try LogBook(folder: folder) { 0 }
            log.open("demo")
            let capture = OutputCapture(log: log, deployment: "demo", revision: 1)
            let size = 16 << 10
            let perRest = OutputCapture.restAfter / size
            let printer = Printer(pieces: 2 * perRest + 1, of: size)
            let sandbox = try ScriptedSandbox(id: "s", nonce: "n", health: "", prediction: "", provider: .init())
            defer { sandbox.end(.exited(code: 0)) }
            let clock = TestClock()
            let reading = Task { await capture.run(printer, in: sandbox, clock: clock) }
            for rests in 1...2 {
                await clock.awaitSleepers()
                #expect(clock.pending == [OutputCapture.rest])
                #expect(printer.count == rests * perRest)
                clock.advance(by: OutputCapture.rest)
            }
            #expect(await capture.exit.wait() == .some(.exited(code: 0)))
            await reading.value
        }
    }

    @Test func cancelledReaderDoesNotRestToItsEnd() async throws {
        try await withTemporaryFolder { folder in
            let log = try LogBook(folder: folder) { 0 }
            log.open("demo")
            let capture = OutputCapture(log: log, deployment: "demo", revision: 1)
            let printer = Printer(pieces: 1, of: OutputCapture.restAfter)
            let sandbox = try ScriptedSandbox(id: "s", nonce: "n", health: "", prediction: "", provider: .init())
            defer { sandbox.end(.exited(code: 0)) }
            let clock = TestClock()
            let reading = Task { await capture.run(printer, in: sandbox, clock: clock) }
            await clock.awaitSleepers()
            reading.cancel()
            await reading.value
            #expect(clock.pending.isEmpty)
        }
    }
}
