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

        /// - Parameter line: the length of each line; nil when a piece is one.
        init(pieces: Int, of size: Int, line: Int? = nil) {
            let length = line ?? size
            let piece = (1...size).map { UInt8(ascii: $0 % length == 0 ? "\n" : "x") }
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

    /// Reads what a printer prints, on a clock that the test moves.
    private func reading(
        _ printer: Printer, _ body: (OutputCapture, TestClock, Task<Void, Never>) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let log = try LogBook(folder: folder) { 0 }
            log.open("demo")
            let capture = OutputCapture(log: log, deployment: "demo", revision: 1)
            let sandbox = try ScriptedSandbox(id: "s", nonce: "n", health: "", prediction: "", provider: .init())
            defer { sandbox.end(.exited(code: 0)) }
            let clock = TestClock()
            let reading = Task { await capture.run(printer, in: sandbox, clock: clock) }
            try await body(capture, clock, reading)
            await reading.value
            #expect(clock.pending.isEmpty)
        }
    }

    /// How long so much work takes.
    private func time(_ work: Int) -> Duration { .seconds(Double(work) / Double(OutputCapture.pace)) }

    @Test func floodIsReadWithRests() async throws {
        let size = 16 << 10
        let perRest = OutputCapture.restAfter / size
        let printer = Printer(pieces: 3 * perRest, of: size)
        try await reading(printer) { capture, clock, _ in
            for rests in 1...2 {
                await clock.awaitSleepers()
                #expect(clock.pending == [time(perRest * (size + OutputCapture.lineCost))])
                #expect(printer.count == rests * perRest + 1)
                clock.advance(by: clock.pending[0])
            }
            #expect(await capture.exit.wait() == .some(.exited(code: 0)))
        }
    }

    @Test func shortLinesAreReadInPortions() async throws {
        let size = 2 * OutputCapture.portion
        let lines = OutputCapture.portion / 2
        let printer = Printer(pieces: 1, of: size, line: 2)
        try await reading(printer) { capture, clock, _ in
            // Nothing else is done for longer than a portion takes.
            await clock.awaitSleepers()
            #expect(clock.pending == [time(OutputCapture.portion + lines * OutputCapture.lineCost)])
            #expect(printer.count == 1)
            clock.advance(by: clock.pending[0])
            #expect(await capture.exit.wait() == .some(.exited(code: 0)))
        }
    }

    @Test func floodOfAProcessThatWeEndedIsNotReadToItsEnd() async throws {
        let printer = Printer(pieces: 1_000, of: OutputCapture.restAfter)
        try await reading(printer) { capture, clock, _ in
            await clock.awaitSleepers()
            capture.close("stopped")
            clock.advance(by: clock.pending[0])
            #expect(await capture.exit.wait() == .some(.exited(code: 0)))
            #expect(capture.recent.split(separator: "\n").count < 10)
        }
    }

    @Test func cancelledReaderDoesNotRestToItsEnd() async throws {
        try await reading(Printer(pieces: 2, of: OutputCapture.restAfter)) { _, clock, reading in
            await clock.awaitSleepers()
            reading.cancel()
        }
    }
}
