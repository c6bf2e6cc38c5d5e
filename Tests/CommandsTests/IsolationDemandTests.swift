import DeploymentCore
import Testing

@Suite struct IsolationDemandTests {
    @Test func lessIsolationThanDemandedFailsBeforeAnythingIsInstalled() async throws {
        try await CLI.with(.process) { cli in
            let manifest = try PlainApp(more: "isolation: namespaces").write(cli)
            let outcome = try await cli("deploy", manifest)
            #expect(outcome.status == 12, "\(outcome.all)")
            #expect(
                outcome.stderr.contains("demands isolation namespaces at least, but sandboxes here get process"),
                "\(outcome.stderr)")
            #expect(outcome.stderr.contains("berth doctor"))
            #expect(!outcome.stderr.contains("✓ environment"), "\(outcome.stderr)")
        }
    }
}
