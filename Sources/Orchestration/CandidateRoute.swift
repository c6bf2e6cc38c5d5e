import Artifacts
import ControlAPI
import CurlClient
import DeploymentCore
import Gateway
import HealthProbing
import Sandboxes
import Waiting

/// Smoke predictions through the real gateway before anyone else can: the candidate is published under a name of
/// 32 random characters for as long as its tests run.
struct CandidateRoute: Sendable {
    /// How often a test is run whose requests are lost on the way to a sandbox elsewhere.
    static let attempts = 3
    /// The wait before the second time; before the third it is twice as long.
    static let delay = Duration.milliseconds(200)

    let workshop: Workshop
    let replica: Replica

    /// Runs the tests in order; returns those that failed.
    func run(_ tests: [SmokeTest], _ report: (SmokeReport) throws -> Void) async throws -> [SmokeReport] {
        guard !tests.isEmpty else { return [] }
        let name = "candidate-\(Identifier.random(32))"
        _ = workshop.gateway.publish(name, replica.upstream)
        defer { _ = workshop.gateway.withdraw(name) }
        var failed: [SmokeReport] = []
        for test in tests {
            let result = try await runThroughFailures(test, under: name)
            if !result.passed { failed.append(result) }
            try report(result)
        }
        return failed
    }

    /// What the network lost says nothing about the app, so such a test is run again.
    private func runThroughFailures(_ test: SmokeTest, under name: String) async throws -> SmokeReport {
        var attempt = 1
        while true {
            try Task.checkCancellation()
            let lost = replica.sandbox.lostRequests
            var result = await run(test, under: name)
            guard !result.passed, replica.sandbox.lostRequests > lost else { return result }
            guard attempt < Self.attempts else {
                result.failures.insert("the request is lost on the way to \(replica.sandbox.origin ?? "it")", at: 0)
                return result
            }
            try await workshop.clock.pause(for: Self.delay * attempt)
            attempt += 1
        }
    }

    /// Tests of the routed paths go through the gateway; tests of other paths of an own app go to the app.
    private func run(_ test: SmokeTest, under name: String) async -> SmokeReport {
        let manifest = replica.snapshot.manifest
        let routed = [manifest.predict.path, manifest.health.path, manifest.predict.infoPath]
        let isRouted = test.request.path == nil || routed.contains(test.request.path)
        let sandbox = replica.sandbox
        let bundle = replica.snapshot.bundle
        let blobs = workshop.blobs
        let gatewayPort = workshop.gatewayPort
        let result = await workshop.smoke.run(
            test,
            against: {
                .connected(isRouted ? try Loopback.connect(gatewayPort) : try await sandbox.connect(port: sandbox.port))
            },
            basePath: isRouted ? "/\(name)" : nil, manifest: manifest,
            files: { path in
                guard let file = bundle.first(where: { $0.role == .smoke && $0.path == path }) else {
                    throw BerthError(.artifact, "the smoke file \(path) is not part of the bundle")
                }
                return try await blobs.read(file.sha256)
            })
        return SmokeReport(
            name: result.name, passed: result.passed, milliseconds: result.duration.milliseconds,
            status: result.status, failures: result.failures, response: result.response)
    }
}
