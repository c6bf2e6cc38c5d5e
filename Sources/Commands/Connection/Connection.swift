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
        if let endpoint = try await runningEndpoint(configuration) {
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
        progress?.done(
            "control plane", (ContinuousClock.now - start).milliseconds,
            "started in the background, pid \(endpoint.pid)")
        return try await body(ControlPlaneClient(curl: curl, endpoint: endpoint, token: token))
    }

    static func configuration() throws -> Configuration {
        try Configuration(environment: ProcessInfo.processInfo.environment, executable: executable)
    }

    /// The `berth` of this program: itself, or the one beside `deploy`.
    static var executable: String {
        let own =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: own).deletingLastPathComponent().appending(path: "berth").path(
            percentEncoded: false)
    }

    /// Where the running control plane listens; waits for one that is just starting or stopping. Nil when none runs.
    static func runningEndpoint(_ configuration: Configuration) async throws -> Endpoint? {
        let deadline = ContinuousClock.now + startDeadline
        while isRunning(configuration) {
            if let endpoint = Endpoint.read(from: configuration) { return endpoint }
            guard ContinuousClock.now < deadline else {
                throw BerthError(
                    .timeout, "the control plane of \(configuration.home) runs but says nowhere that it listens",
                    suggestion: "look into \(configuration.path("serve.log")), or end it with `berth down`")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        return nil
    }

    /// Whether a control plane holds the lock of the home; the kernel knows, a pid file only believes.
    static func isRunning(_ configuration: Configuration) -> Bool {
        HomeLock.isHeld(configuration.path("serve.lock"))
    }
}

extension OutputOptions {
    /// Runs `body` with a client of the control plane, which has to run, and reports its error.
    func asking(_ body: (ControlPlaneClient) async throws -> Void) async throws {
        try await reporting { try await Connection.with(starting: false, body) }
    }
}
