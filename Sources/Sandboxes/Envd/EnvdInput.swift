import DeploymentCore
import E2BProtocol

/// The way into a process: its standard input or its terminal.
final class EnvdInput: Sendable {
    /// The most bytes of one message; larger writes become several.
    static let partLimit = 64 << 10
    /// What ends the input of a terminal.
    private static let endOfInput: [UInt8] = [0x04]
    private let client: EnvdClient
    private let process: ProcessSelector
    private let hasTerminal: Locked<Bool?>

    init(client: EnvdClient, process: ProcessSelector, hasTerminal: Bool?) {
        self.client = client
        self.process = process
        self.hasTerminal = Locked(hasTerminal)
    }

    func sawTerminal() { hasTerminal.withLock { $0 = true } }

    func write(_ bytes: [UInt8]) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(Self.partLimit))
            rest = rest.dropFirst(part.count)
            try await send(part)
        }
    }

    private func send(_ bytes: [UInt8]) async throws {
        let known = hasTerminal.withLock { $0 }
        do {
            try await client.send(known ?? false ? .terminal(bytes) : .standardInput(bytes), to: process)
        } catch let error as BerthError where known == nil && error.isWrongKind {
            try await client.send(.terminal(bytes), to: process)
            sawTerminal()
        }
    }

    func close() async throws {
        let known = hasTerminal.withLock { $0 }
        if known ?? false { return try await send(Self.endOfInput) }
        do {
            try await client.closeInput(of: process)
        } catch let error as BerthError where known == nil && error.code == .sandbox {
            // A terminal's cannot be closed; agents differ in how they say so.
            do {
                try await client.send(.terminal(Self.endOfInput), to: process)
            } catch is BerthError {
                throw error
            }
            sawTerminal()
        }
    }
}

extension BerthError {
    /// Whether the agent says that the process has the other kind of input.
    fileprivate var isWrongKind: Bool { (cause as? ConnectError)?.code == .internal }
}
