import DeploymentCore
import Testing

@testable import ManifestParsing

/// What an app may reach.
@Suite struct NetworkTests {
    @Test func everyFormIsRead() throws {
        #expect(try accepted(iris("")).manifest.network == nil)
        #expect(try accepted(iris("network: none")).manifest.network == .nothing)
        #expect(try accepted(iris("network: egress")).manifest.network == .egress)
        let text = iris("network:\n  - api.example.com\n  - \"*.example.org:443\"\n  - 10.1.0.0/16\n  - \"::1\"\n")
        let texts = ["api.example.com", "*.example.org:443", "10.1.0.0/16", "::1"]
        #expect(try accepted(text).manifest.network == .hosts(texts.map { try HostRule(parsing: $0) }))
    }

    @Test(arguments: [
        (
            "network: [https://api.example.com/v1]", "m.yaml:3:11: 'network[0]' must be a host, not a URL",
            "write 'api.example.com', or 'api.example.com:443' for its port"
        ),
        (
            "network: [a.example, b.example/path]", "m.yaml:3:22: 'network[1]' must be a host without a path",
            "write 'b.example'"
        ),
        ("network: ['*']", "'network[0]' must not be every host", "write 'network: egress' for the public internet"),
        ("network: ['*:443']", "'network[0]' must not be every host", "network: egress"),
        ("network: [0.0.0.0/0]", "'network[0]' must not be every address", "network: egress"),
        ("network: [10.0.0.1/8]", "'network[0]' has bits beyond its 8", "write '10.0.0.0/8'"),
        ("network: [10.0.0.0/33]", "'network[0]' must have a number of bits from 1 to 32 behind '/'", ""),
        ("network: ['fd00::/129']", "'network[0]' must have a number of bits from 1 to 128 behind '/'", ""),
        ("network: [10.0.0.0/8/8]", "'network[0]' must have a number of bits", ""),
        ("network: ['a.*.example']", "may have '*' as its first label only", ""),
        ("network: ['*a.example']", "may have '*' as its first label only", ""),
        ("network: [a.example:0]", "'network[0]' must have a port from 1 to 65535 behind ':'", ""),
        ("network: ['a.example:http']", "'network[0]' must have a port", ""),
        ("network: [u@a.example]", "'network[0]' must be a host without a user", ""),
        ("network: ['fe80::1%eth0']", "'network[0]' must be an address without a zone", ""),
        ("network: ['[::1']", "'network[0]' has no ']' for its '['", ""),
        ("network: ['[a.example]:1']", "around what is no IPv6 address", ""),
        ("network: ['a b']", "'network[0]' must not contain blanks", ""),
        ("network: ['bücher.example']", "'network[0]' must be ASCII", "xn--"),
        ("network: [1.2.3]", "'network[0]' must be a host such as", ""),
        ("network: ['']", "'network[0]' must not be empty", "network: none"),
        ("network: [0.0.0.0]", "0.0.0.0 is unspecified", ""),
        ("network: [224.0.0.0/4]", "224.0.0.0 is multicast", ""),
        ("network: [443]", "'network[0]' must be a host such as", "write it in quotes"),
        ("network: []", "'network' names no host", "write 'network: none'"),
        (
            "network: api.example.com", "'network' must be none, egress or a list of hosts, not 'api.example.com'",
            "write [api.example.com]"
        ),
        ("network: egres", "'network' must be none, egress or a list of hosts", "did you mean 'egress'?"),
        ("network: true", "'network' must be none, egress or a list, not", ""),
        ("network: {allow: [x]}", "'network' must be none, egress or a list, not a mapping", ""),
        (
            "network: [*.example.com]", "while scanning an alias",
            "put the text in quotes; plain text cannot start with '*'"
        ),
        ("allow_internet_access: true", "unknown key", "E2B's 'allow_internet_access' is 'network: egress' here"),
    ])
    func wrongEntryIsRefusedWithItsPlace(line: String, message: String, suggestion: String) {
        let text = refused(iris(line))
        #expect(text.hasPrefix("m.yaml:3:"))
        #expect(text.contains(message))
        #expect(text.contains(suggestion))
    }

    @Test func listHasALimit() throws {
        let hosts = (0..<NetworkAccess.maximumRules).map { "h\($0).example" }
        _ = try accepted(iris("network: [\(hosts.joined(separator: ", "))]"))
        let text = refused(iris("network: [\(hosts.joined(separator: ", ")), one.more]"))
        #expect(text.contains("'network' has 257 elements; at most 256 are allowed"))
    }

    @Test func longNameIsRefused() {
        let name = Array(repeating: String(repeating: "a", count: 60), count: 5).joined(separator: ".")
        #expect(refused(iris("network: [\(name)]")).contains("'network[0]' is 304 bytes long; at most 262 are allowed"))
    }
}
