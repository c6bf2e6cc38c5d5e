import BerthTestSupport
import DeploymentCore
import Foundation
import Sandboxes

@testable import SandboxGateway

/// Sandboxes as a test says: their ports are ports of this machine.
final class TestDoors: SandboxDoors {
    /// One sandbox.
    struct Sandbox: Sendable {
        /// Where its ports are found.
        var ports: [Int: Int] = [:]
        /// Where its ports are found that are unix sockets.
        var paths: [Int: String] = [:]
        /// Connected sockets that are given out for its ports, once.
        var sockets: [Int: Int32] = [:]
        /// Whether the way to its ports is never found.
        var isLost = false
        var token: String?
        var maskedHost: String?
        var refusal: DoorRefusal?
        /// The signature that its agent takes.
        var signature: String?
    }

    private struct State {
        var sandboxes: [String: Sandbox] = [:]
        var asked: [String] = []
        var connects: [String] = []
        var signed: [SignedFileRequest] = []
        var waiters: [String: [CheckedContinuation<Void, Never>]] = [:]
    }

    private let state = Locked(State())

    init(_ sandboxes: [String: Sandbox]) { state.withLock { $0.sandboxes = sandboxes } }

    /// The sandboxes that were asked for.
    var asked: [String] { state.withLock { $0.asked } }
    /// The connections that were made, as `id:port`.
    var connects: [String] { state.withLock { $0.connects } }
    var signed: [SignedFileRequest] { state.withLock { $0.signed } }

    func change(_ id: String, _ body: @Sendable (inout Sandbox) -> Void) {
        state.withLock { body(&$0.sandboxes[id, default: Sandbox()]) }
    }

    /// The sandbox is no more; then whoever waits for that is told.
    func kill(_ id: String) {
        let waiters = state.withLock { state in
            state.sandboxes[id] = nil
            return state.waiters.removeValue(forKey: id) ?? []
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Lets everybody go who waits for the end of a sandbox.
    func end() {
        for id in state.withLock({ Array($0.waiters.keys) }) { kill(id) }
    }

    func door(of sandbox: String) async throws(DoorRefusal) -> SandboxDoor {
        let found = state.withLock { state in
            state.asked.append(sandbox)
            return state.sandboxes[sandbox]
        }
        guard let found else { throw .notFound }
        if let refusal = found.refusal { throw refusal }
        return SandboxDoor(
            trafficToken: found.token, maskedHost: found.maskedHost,
            closed: { [self] in await closed(sandbox) },
            connect: { [self] port in
                // Ends with its task only.
                if found.isLost { try await Task.sleep(for: .seconds(86_400)) }
                return try connect(sandbox, port)
            })
    }

    private func connect(_ sandbox: String, _ port: Int) throws -> Int32 {
        let (socket, path, target) = state.withLock { state in
            state.connects.append("\(sandbox):\(port)")
            let found = state.sandboxes[sandbox]
            return (
                state.sandboxes[sandbox]?.sockets.removeValue(forKey: port), found?.paths[port], found?.ports[port]
            )
        }
        if let socket { return socket }
        if let path { return try Wire.connect(path: path) }
        guard let target else { throw PortRefused(port: port) }
        return try Wire.connect(port: target)
    }

    private func closed(_ sandbox: String) async {
        await withCheckedContinuation { continuation in
            let isGone = state.withLock { state in
                if state.sandboxes[sandbox] == nil { return true }
                state.waiters[sandbox, default: []].append(continuation)
                return false
            }
            if isGone { continuation.resume() }
        }
    }

    func sandbox(signing request: SignedFileRequest) async -> String? {
        state.withLock { state in
            state.signed.append(request)
            return state.sandboxes.first { $0.value.signature == request.signature }?.key
        }
    }
}
