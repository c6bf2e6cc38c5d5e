import DeploymentCore
import Waiting

/// What all event loops share.
final class GateShared: Sendable {
    let doors: any SandboxDoors
    let limits: SandboxGatewayLimits
    /// What the names of sandboxes are below, in lower case and without a port.
    let domain: String
    /// The path of the control plane's socket.
    let controlSocket: String
    let connections: ConnectionCount
    let exchanges: OpenExchanges
    private let largest = Locked(0)

    init(doors: any SandboxDoors, limits: SandboxGatewayLimits, domain: String, controlSocket: String) {
        self.doors = doors
        self.limits = limits
        self.domain = Authority(domain)?.host ?? domain.lowercased()
        self.controlSocket = controlSocket
        connections = ConnectionCount(limit: limits.connections, perAddress: limits.connectionsPerAddress)
        exchanges = OpenExchanges(limit: limits.exchanges, perSandbox: limits.exchangesPerSandbox)
    }

    /// The most bytes that ever waited for one side to read them.
    var largestBuffer: Int { largest.withLock { $0 } }

    func noteBuffer(_ bytes: Int) { largest.withLock { $0 = max($0, bytes) } }
}
