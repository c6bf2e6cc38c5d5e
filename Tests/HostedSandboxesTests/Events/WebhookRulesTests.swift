import DeploymentCore
import DeploymentStore
import E2BProtocol
import Testing

@testable import HostedSandboxes

@Suite struct WebhookRulesTests {
    @Test(arguments: [
        "http://127.0.0.1:8080/hook", "https://example.com", "HTTPS://Example.com/a?b=c", "http://[::1]:80/",
        "https://xn--bcher-kva.example/x",
    ])
    func urlsThatAreTaken(_ url: String) throws {
        #expect(try WebhookRules.url(url) == url)
    }

    @Test(arguments: [
        "", "example.com", "/hook", "ftp://example.com/", "file:///etc/passwd", "unix:///run/x.sock",
        "javascript:alert(1)", "http://", "http:///path", "https://user@example.com/", "https://a:b@example.com/",
        "https://example.com/#part", "https://exa mple.com/", "https://example.com/\r\nX-Evil: 1",
        "https://example.com/\u{e4}", "http://example.com:0/", "http://example.com:70000/", "http://example.com:abc/",
        "https://example.com/" + String(repeating: "a", count: 2_048),
    ])
    func urlsThatAreRefused(_ url: String) {
        let failure = #expect(throws: ControlFailure.self) { try WebhookRules.url(url) }
        #expect(failure?.code == 400)
        #expect(failure?.message.hasPrefix("url ") == true, "\(failure?.message ?? "")")
    }

    @Test func typesAreThoseOfTheProtocol() throws {
        let all = ["created", "updated", "paused", "resumed", "killed", "checkpointed"]
        #expect(try WebhookRules.kinds(all.map { "sandbox.lifecycle.\($0)" }).map(\.rawValue) == all)
        #expect(try WebhookRules.kinds(Array(repeating: "sandbox.lifecycle.killed", count: 3)) == [.killed])
        for types in [[], ["created"], ["sandbox.lifecycle."], ["sandbox.lifecycle.killed", "*"]] {
            let failure = #expect(throws: ControlFailure.self) { try WebhookRules.kinds(types) }
            #expect(failure?.message.hasPrefix("events ") == true)
        }
    }

    @Test func dataOfEachKindIsThatOfTheProtocol() {
        let begin = SandboxEventData.Execution(
            startedAt: 1_800_000_000_250, processors: 2, memoryMiB: 512, duration: 1_500)
        #expect(
            SandboxEventData(metadata: ["a": "b"], execution: begin).json == [
                "sandbox_metadata": ["a": "b"],
                "execution": [
                    "started_at": "2027-01-15T08:00:00.25Z", "vcpu_count": 2, "memory_mb": 512,
                    "execution_time": 1_500,
                ],
            ])
        #expect(
            SandboxEventData(endAt: 1_800_000_000_000).json == [
                "sandbox_metadata": [:], "set_timeout": "2027-01-15T08:00:00Z",
            ])
        let network = SandboxNetworkSettings(allowed: ["a.example"], denied: ["0.0.0.0/0"], allowsInternet: true)
        #expect(
            SandboxEventData(network: network).json == [
                "sandbox_metadata": [:],
                "network_egress": [
                    "allow_out": ["a.example"], "deny_out": ["0.0.0.0/0"], "allow_internet_access": true,
                ],
            ])
    }
}
