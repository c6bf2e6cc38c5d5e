import CPlatform
import DeploymentCore
import Glibc
import Sandboxes

extension EmbeddedSandbox {
    /// How long a connection on the host's own loopback may take.
    private static let connectTimeout = Duration.seconds(2)

    /// Connects without the agent, which Landlock keeps from connecting anywhere.
    ///
    /// Only to the sandbox's own port: every other one of the host's loopback belongs to somebody else.
    /// - Throws: `PortRefused`; `unreachable` when the connection is not made within 2 s.
    func connectFromHost(port: Int) async throws -> Int32 {
        guard port == self.port else { throw PortRefused(port: port) }
        try Task.checkCancellation()
        let result = try await Blocking.run {
            berth_loopback_connect(Int32(port), Self.connectTimeout.wholeMilliseconds)
        }
        guard result >= 0 else {
            if result == -ECONNREFUSED { throw PortRefused(port: port) }
            throw BerthError(
                .unreachable, "port \(port) of sandbox \(id) gives no connection: \(String(cString: strerror(-result)))"
            )
        }
        if Task.isCancelled {
            close(result)
            throw CancellationError()
        }
        return result
    }
}
