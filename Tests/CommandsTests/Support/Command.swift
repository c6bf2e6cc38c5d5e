import DeploymentCore
import Foundation
import Testing

/// A running `berth` process, whose output is read on threads of its own as it comes.
final class Command: Sendable {
    /// The longest that a command may take before it counts as hung and is killed, in seconds.
    static let limit = 240

    /// What a command left behind.
    struct Outcome: Sendable {
        var status: Int32 = 0
        /// The signal that ended it; nil when it ended by itself.
        var signal: Int32?
        fileprivate(set) var output = Data()
        fileprivate(set) var errors = Data()

        var stdout: String { String(decoding: output, as: UTF8.self) }
        var stderr: String { String(decoding: errors, as: UTF8.self) }

        /// Both streams, for messages.
        var all: String { "\(stdout)\n\(stderr)" }
    }

    private struct State {
        var outcome = Outcome()
        /// The process and both of its streams.
        var open = 3
        var waiters: [@Sendable (State) -> Bool] = []

        mutating func notify() {
            var left: [@Sendable (State) -> Bool] = []
            for waiter in waiters where !waiter(self) { left.append(waiter) }
            waiters = left
        }
    }

    private let process: Process
    private let state = Locked(State())

    /// Starts `path` with exactly this environment.
    ///
    /// - Parameter input: the file that is its standard input; nil is none.
    init(
        _ path: String, _ arguments: [String], environment: [String: String], folder: String, input: String? = nil
    ) throws {
        process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = environment
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        let input = try input.map { try FileHandle(forReadingFrom: URL(filePath: $0)) }
        defer { try? input?.close() }  // the process has its own; ours would stay open as long as Foundation likes
        process.standardInput = input ?? .nullDevice
        let stdout = Pipe()
        let stderr = Pipe()
        process.standardOutput = stdout
        process.standardError = stderr
        process.terminationHandler = { [state] process in
            let isSignal = process.terminationReason == .uncaughtSignal
            state.withLock { state in
                state.outcome.status = process.terminationStatus
                state.outcome.signal = isSignal ? process.terminationStatus : nil
                state.open -= 1
                state.notify()
            }
        }
        try process.run()
        read(stdout) { $0.outcome.output += $1 }
        read(stderr) { $0.outcome.errors += $1 }
        let hung = process.processIdentifier
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(Self.limit)) { [weak self] in
            guard let self, self.state.withLock({ $0.open }) > 0 else { return }
            kill(hung, SIGKILL)
        }
    }

    var pid: Int32 { process.processIdentifier }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Suspends until the process has ended and nobody holds its streams any more.
    func outcome() async -> Outcome {
        await withCheckedContinuation { continuation in
            wait { state in
                guard state.open == 0 else { return false }
                continuation.resume(returning: state.outcome)
                return true
            }
        }
    }

    /// Suspends until `text` has come on standard error; throws when the process ends without it.
    func says(_ text: String) async throws { try await shows(text) { $0.stderr } }

    /// Suspends until `text` has come on standard output; throws when the process ends without it.
    func prints(_ text: String) async throws { try await shows(text) { $0.stdout } }

    private func shows(_ text: String, _ stream: @escaping @Sendable (Outcome) -> String) async throws {
        let ending: Outcome? = await withCheckedContinuation { continuation in
            wait { state in
                let isThere = stream(state.outcome).contains(text)
                guard isThere || state.open == 0 else { return false }
                continuation.resume(returning: isThere ? nil : state.outcome)
                return true
            }
        }
        if let ending {
            throw BerthError(.startFailed, "ended with \(ending.status) before it said \(text): \(ending.all)")
        }
    }

    /// Registers `waiter`, which is asked at once and after each change until it is done.
    private func wait(_ waiter: @escaping @Sendable (State) -> Bool) {
        state.withLock { state in
            if !waiter(state) { state.waiters.append(waiter) }
        }
    }

    private func read(_ pipe: Pipe, _ append: @escaping @Sendable (inout State, Data) -> Void) {
        let handle = pipe.fileHandleForReading
        Thread { [state] in
            while true {
                let data = handle.availableData
                guard !data.isEmpty else { break }
                state.withLock { state in
                    append(&state, data)
                    state.notify()
                }
            }
            try? handle.close()
            state.withLock { state in
                state.open -= 1
                state.notify()
            }
        }.start()
    }
}
