import ControlAPI
import DeploymentCore
import Foundation
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

    @Test func gvisorIsForThoseWhoDemandIt() async throws {
        try await Machine.require(.gvisor)
        try await CLI.with { cli in
            let plain = PlainApp()
            try await cli.succeed("deploy", try plain.write(cli))
            #expect(try await cli.status("plain").isolation == .namespaces)
            let demanding = PlainApp(version: 2, more: "isolation: gvisor")
            try await cli.succeed("deploy", try demanding.write(cli))
            #expect(try await cli.status("plain").isolation == .gvisor)
            #expect(try await cli.sum().version == 2)
            let kernel = try await cli.exec("plain", "cat", "/proc/version")
            #expect(kernel.stdout != (try String(contentsOfFile: "/proc/version", encoding: .utf8)), "\(kernel.all)")
        }
    }
}
