import CPlatform
import DeploymentCore
import Glibc
import Sandboxes

extension EmbeddedSandbox {
    /// How long the agent's queue may be full.
    private static let agentTimeout = Duration.seconds(2)
    /// The pause between attempts while it is.
    private static let agentPause = Duration.milliseconds(5)

    /// The agent inside.
    public var agent: EnvdClient? { envd }

    /// Opens a connection to the agent's socket; the caller closes it.
    ///
    /// - Throws: `unreachable` when it is paused or its agent does not listen.
    public func connectToAgent() async throws -> Int32 {
        if isPaused {
            throw BerthError(.unreachable, "the sandbox \(id) is paused", suggestion: "resume it first")
        }
        let deadline = ContinuousClock.now + Self.agentTimeout
        while true {
            try Task.checkCancellation()
            let number = berth_unix_connect(root.number, socket)
            if number >= 0 { return number }
            guard number == -EAGAIN, ContinuousClock.now < deadline else {
                throw BerthError(
                    .unreachable,
                    "the agent of sandbox \(id) gives no connection: \(String(cString: strerror(-number)))")
            }
            try await Task.sleep(for: Self.agentPause)
        }
    }
}
