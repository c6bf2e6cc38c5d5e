import DeploymentCore
import Foundation
import Sandboxes

/// A process in a sandbox, joined to this one's streams and signals until it ends.
struct ProcessSession {
    /// How long the process may take to end after a signal before it is killed.
    static let grace = Duration.seconds(10)

    let process: any SandboxProcess
    /// What is sent to us.
    let signals: Signals
    /// Whether standard input is passed on.
    let isInteractive: Bool
    /// Whether the process runs on a terminal: its size follows ours, and Ctrl-C is its own business.
    let hasTerminal: Bool
    /// What to suggest when the connection breaks off.
    let afterBreak: String

    private enum Step: Sendable {
        case ended(Int32)
        case input
    }

    /// Runs to the end of the process; returns the exit code to end with, 128 + n for signal n.
    func run() async throws -> Int32 {
        let received = Locked<Int32?>(nil)
        let code = try await withThrowingTaskGroup(of: Step.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                do { return .ended(try await passOutput()) } catch { throw explained(error) }
            }
            group.addTask {
                try await takeSignals(received)
                return .input
            }
            if isInteractive { group.addTask { try await passInput() } }
            while let step = try await group.next() {
                if case .ended(let code) = step { return code }
            }
            throw CancellationError()
        }
        return received.withLock { $0 }.map { 128 + $0 } ?? code
    }

    /// Says what a broken stream means.
    private func explained(_ error: any Error) -> any Error {
        guard let error = error as? BerthError, error.code == .unreachable else { return error }
        return BerthError(
            .unreachable, "the connection to the sandbox broke off",
            suggestion: afterBreak, cause: error)
    }

    private func passOutput() async throws -> Int32 {
        let output = OutputWriter(descriptor: 1)
        let errors = OutputWriter(descriptor: 2)
        for try await event in process.events {
            do {
                switch event {
                case .stdout(let bytes): try await output.write(bytes)
                case .stderr(let bytes): try await errors.write(bytes)
                case .ended(.exited(let code)): return code
                case .ended(.signalled(let number)): return 128 + number
                }
            } catch {
                // Nobody reads what it prints: the end that a pipe would bring it.
                try? await process.signal(SIGTERM)
                return 128 + SIGPIPE
            }
        }
        throw BerthError(.unreachable, "the output ended before the process")
    }

    private func passInput() async throws -> Step {
        let input = try InputReader()
        do {
            while let bytes = await input.next() {
                try Task.checkCancellation()
                try await process.write(bytes)
            }
            try await process.closeInput()
        } catch let error as BerthError where [.notFound, .sandbox].contains(error.code) {
            // It has ended, or closed its input; its output says how.
        }
        return .input
    }

    /// The first signal asks the process to end; the second, or the end of its grace, ends it.
    private func takeSignals(_ received: Locked<Int32?>) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for await number in signals.stream {
                if number == SIGWINCH {
                    if let size = RawTerminal.size { try? await process.resize(size) }
                } else if received.withLock({ $0 }) != nil {
                    try await process.signal(SIGKILL)
                } else {
                    received.withLock { $0 = number }
                    try await process.signal(SIGTERM)
                    group.addTask {
                        try await Task.sleep(for: Self.grace)
                        try await process.signal(SIGKILL)
                    }
                }
            }
            group.cancelAll()
        }
    }
}
