import E2BProtocol
import Glibc
import NIOHTTP1
import Sandboxes

/// Finds the way to a port and a connected socket to it.
struct Opening: Sendable {
    let shared: GateShared
    let destination: Destination
    let head: HTTPRequestHead

    /// A connected socket, which the taker owns, as well as the place among the open exchanges.
    struct Opened: Sendable {
        let socket: Int32
        let lease: Lease
        let name: PortName
        /// The `Host` that the port sees; nil for the client's.
        let host: String?
    }

    func open() async throws(GateRefusal) -> Opened {
        let name = try await name()
        let isAgent = name.port == PortName.agentPort
        if isAgent, AgentPath.isInternal(RequestTarget(head.uri).path) { throw .internalPath(name.sandbox) }
        let door = try await door(name.sandbox)
        if let token = door.trafficToken, !isAgent, !TrafficToken.opens(head.headers, token: token) {
            throw .badToken(name.sandbox)
        }
        let lease = try shared.exchanges.enter(name.sandbox, closed: door.closed)
        do throws(GateRefusal) {
            let socket = try await connect(door, name)
            let host = isAgent ? nil : door.maskedHost.map { Self.host($0, port: name.port) }
            return Opened(socket: socket, lease: lease, name: name, host: host)
        } catch {
            shared.exchanges.leave(lease)
            throw error
        }
    }

    private func name() async throws(GateRefusal) -> PortName {
        switch destination {
        case .port(let name): return name
        case .signedFile(let request):
            guard let sandbox = await shared.doors.sandbox(signing: request), PortName.isValid(sandbox) else {
                throw .badSignature
            }
            return PortName(port: PortName.agentPort, sandbox: sandbox)
        case .controlPlane: throw .noControlPlane
        }
    }

    private func door(_ sandbox: String) async throws(GateRefusal) -> SandboxDoor {
        do throws(DoorRefusal) {
            return try await shared.doors.door(of: sandbox)
        } catch {
            throw GateRefusal(error, sandbox: sandbox)
        }
    }

    /// A server that has just been started may need a moment until it listens.
    private func connect(_ door: SandboxDoor, _ name: PortName) async throws(GateRefusal) -> Int32 {
        for wait in shared.limits.refusedPortWaits {
            do {
                if wait > .zero { try await Task.sleep(for: wait) }
                return try await door.connect(name.port)
            } catch is PortRefused {
                continue
            } catch {
                // It may have been killed meanwhile, which clients want to know from a port that is only out of order.
                _ = try await self.door(name.sandbox)
                throw .unreachable(name)
            }
        }
        throw .portClosed(name)
    }

    /// The configured host for a port, without what could end the field early.
    static func host(_ masked: String, port: Int) -> String {
        let pieces = masked.split(separator: "${PORT}", omittingEmptySubsequences: false)
        let text = pieces.joined(separator: String(port))
        return String(decoding: text.utf8.filter { (0x21...0x7E).contains($0) }, as: UTF8.self)
    }
}
