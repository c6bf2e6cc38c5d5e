import DeploymentCore
import E2BProtocol
import Sandboxes
import Testing

@testable import HostedSandboxes

@Suite struct PlanTests {
    struct Wish: Sendable, CustomStringConvertible {
        var internet: Bool?
        var allowed: [String] = []
        var denied: [String] = []
        var enforcement = NetworkEnforcement.filtered
        /// As it is described; nil leaves it to the machine.
        var expected: String?

        var description: String { "\(internet.map { "\($0)" } ?? "-") +\(allowed) -\(denied) \(enforcement)" }
    }

    static let wishes = [
        Wish(expected: "egress"), Wish(internet: true, expected: "egress"), Wish(internet: false, expected: "[]"),
        Wish(denied: ["0.0.0.0/0"], expected: "[]"),
        Wish(allowed: ["1.1.1.1"], denied: ["0.0.0.0/0"], expected: "[1.1.1.1]"),
        Wish(allowed: ["*.example.com", "10.1.2.3/8"], denied: ["0.0.0.0/0"], expected: "[*.example.com, 10.0.0.0/8]"),
        Wish(internet: false, allowed: ["example.com"], expected: "[example.com]"),
        Wish(allowed: ["0.0.0.0/0"], denied: ["0.0.0.0/0"], expected: "egress"),
        Wish(denied: ["8.8.8.8"], expected: "egress except [8.8.8.8]"),
        Wish(
            allowed: ["8.8.4.4"], denied: ["8.8.0.0/16"], expected: "egress except [8.8.0.0/16], but [8.8.4.4]"),
        Wish(enforcement: .open), Wish(internet: true, enforcement: .closed),
        Wish(internet: false, enforcement: .closed),
    ]

    @Test(arguments: wishes) func theNetworkIsWhatTheClientSays(_ wish: Wish) throws {
        let made = try NetworkWish(
            allowsInternet: wish.internet,
            settings: SandboxNetworkSettings(allowed: wish.allowed, denied: wish.denied),
            enforcement: wish.enforcement)
        #expect(made.access?.description == wish.expected)
    }

    static let impossible = [
        Wish(allowed: ["example.com"]), Wish(denied: ["example.com"]), Wish(denied: ["8.8.8.8/33"]),
        Wish(allowed: ["http://x"], denied: ["0.0.0.0/0"]), Wish(internet: false, enforcement: .open),
        Wish(denied: ["8.8.8.8"], enforcement: .open), Wish(denied: ["8.8.8.8"], enforcement: .closed),
        Wish(denied: Array(repeating: "8.8.8.8", count: 257)),
    ]

    @Test(arguments: impossible) func whatCannotBeIsRefused(_ wish: Wish) {
        #expect(throws: ControlFailure.self) {
            try NetworkWish(
                allowsInternet: wish.internet,
                settings: SandboxNetworkSettings(allowed: wish.allowed, denied: wish.denied),
                enforcement: wish.enforcement)
        }
    }

    /// Bodies that are refused, and what the refusal has to name.
    static let refused: [(String, String)] = [
        (#"{"timeout":0}"#, "Timeout must be greater than 0"), (#"{"timeout":-1}"#, "Timeout"),
        (#"{"timeout":86401}"#, "24 hours"), (#"{"mcp":{}}"#, "mcp"), (#"{"iam":{"tokens":{}}}"#, "iam"),
        (#"{"network":{"egressProxy":{"address":"a:1"}}}"#, "network.egressProxy"),
        (#"{"network":{"rules":{"a":[]}}}"#, "network.rules"),
        (#"{"network":{"dnsServers":["1.1.1.1"]}}"#, "network.dnsServers"),
        (#"{"network":{"httpsPorts":[443]}}"#, "network.httpsPorts"),
        (#"{"network":{"maskRequestHost":"a b"}}"#, "maskRequestHost"),
        (#"{"network":{"allowOut":["example.com"]}}"#, "0.0.0.0/0"),
        (#"{"autoPauseMemory":false}"#, "autoPause"),
        (#"{"autoPause":true,"autoPauseMemory":false,"autoResume":{"enabled":true}}"#, "autoResume"),
        (#"{"envVars":{"A=B":"x"}}"#, "envVars"),
    ]

    @Test(arguments: refused) func aRefusalNamesTheField(_ body: String, _ name: String) throws {
        var json = try JSONValue(parsing: body).object ?? [:]
        json["templateID"] = "base"
        let creation = try SandboxCreation(json: .object(json))
        #expect {
            try CreationPlan(creation, .second, .filtered)
        } throws: { error in
            (error as? ControlFailure).map { $0.code == 400 && $0.message.contains(name) } ?? false
        }
    }

    @Test func theVersionsDiffer() throws {
        let creation = SandboxCreation(template: "base")
        let first = try CreationPlan(creation, .first, .filtered)
        #expect(first.timeout == 15 && !first.isSecure)
        let second = try CreationPlan(creation, .second, .filtered)
        #expect(second.timeout == 300 && second.isSecure)
        var open = creation
        open.network = SandboxNetworkSettings(allowsPublicTraffic: false)
        #expect(throws: ControlFailure.self) { try CreationPlan(open, .first, .filtered) }
        open.isSecure = true
        #expect(try CreationPlan(open, .first, .filtered).isSecure)
    }
}
