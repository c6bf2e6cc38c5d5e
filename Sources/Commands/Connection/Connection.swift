import CPlatform
import ControlPlane
import CurlClient
import DeploymentCore
import Foundation

/// Finds the control plane of this user, and starts one in the background where none runs.
enum Connection {
    /// How long a control plane may take from its start to its first answer.
    static let startDeadline = Duration.seconds(30)

    /// Runs `body` with a client of a running control plane.
    ///
    /// - Parameter starting: whether one may be started; otherwise a missing one is an error.
    static func with<Result>(
        starting: Bool, progress: Progress? = nil, _ body: (ControlPlaneClient) async throws -> Result
    ) async throws -> Result {
        let configuration = try configuration()
        let curl = CurlClient()
        defer { curl.close() }
        let token = try Token.load(from: configuration)
        if let endpoint = Endpoint.read(from: configuration), isRunning(configuration) {
            return try await body(ControlPlaneClient(curl: curl, endpoint: endpoint, token: token))
        }
        guard starting else {
            throw BerthError(
                .unreachable, "no control plane runs for \(configuration.home)",
                suggestion: "`berth deploy` starts one, or run `berth serve`")
        }
        progress?.doing("control plane", "starting")
        let start = ContinuousClock.now
        let endpoint = try await BackgroundServer(configuration: configuration).start()
        let elapsed = (ContinuousClock.now - start).components
        let milliseconds = Double(elapsed.seconds) * 1_000 + Double(elapsed.attoseconds) / 1e15
        progress?.done("control plane", milliseconds, "started in the background, pid \(endpoint.pid)")
        return try await body(ControlPlaneClient(curl: curl, endpoint: endpoint, token: token))
    }

    static func configuration() throws -> Configuration {
        try Configuration(environment: ProcessInfo.processInfo.environment, executable: executable)
    }

    /// The running program.
    static var executable: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    }

    /// Whether a control plane holds the lock of the home; the kernel knows, a pid file only believes.
    static func isRunning(_ configuration: Configuration) -> Bool {
        let descriptor = open(configuration.path("serve.lock"), O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_EX | LOCK_NB) != 0
    }
}
