import DeploymentCore
import Testing

@testable import Egress

/// Who may be reached, as a table: what the manifest says, what is asked for, what its name stands for, and what comes
/// of it (nil: a connection to the first address that may be had).
@Suite struct PolicyTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var network: [String]
        var asked: String
        var addresses: [String]
        /// The rule that forbids it; nil when it may be reached.
        var rule: String?
        /// The addresses that are tried.
        var tried: [String]

        init(_ network: String, _ asked: String, _ addresses: String = "", _ rule: String?, tried: String = "") {
            self.network = network.split(separator: " ").map(String.init)
            self.asked = asked
            self.addresses = addresses.split(separator: " ").map(String.init)
            self.rule = rule
            self.tried = tried.split(separator: " ").map(String.init)
        }

        var testDescription: String { "\(network) \(asked) \(addresses)" }
    }

    static let none = [
        Case("none", "example.com:443", "93.184.215.14", "none"), Case("none", "93.184.215.14:443", "", "none"),
        Case("none", "127.0.0.1:80", "", "none"),
    ]

    /// The public internet, by name or by address.
    static let egress = [
        Case("egress", "example.com:443", "93.184.215.14", nil, tried: "93.184.215.14"),
        Case("egress", "93.184.215.14:25", "", nil, tried: "93.184.215.14"),
        Case("egress", "[2606:4700::1111]:443", "", nil, tried: "2606:4700::1111"),
        Case("egress", "two.example:443", "2606:4700::1111 1.1.1.1", nil, tried: "2606:4700::1111 1.1.1.1"),
        Case("egress", "mapped.example:443", "::ffff:1.1.1.1", nil, tried: "1.1.1.1"),
        Case("egress", "nat64.example:443", "64:ff9b::101:101", nil, tried: "64:ff9b::101:101"),
        // What is not public is left out, wherever it stands.
        Case("egress", "half.example:443", "10.0.0.1 1.1.1.1", nil, tried: "1.1.1.1"),
        Case("egress", "half.example:443", "1.1.1.1 127.0.0.1 ::1 1.0.0.1", nil, tried: "1.1.1.1 1.0.0.1"),
        Case("egress", "nowhere.example:443", "", "name-not-found"),
    ]

    /// Everything that names may be made to stand for.
    static let special: [Case] = [
        ("127.0.0.1", "loopback"), ("127.255.255.254", "loopback"), ("::1", "loopback"), ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"), ("::", "unspecified"), ("10.0.0.1", "private"), ("172.16.0.1", "private"),
        ("172.31.255.255", "private"), ("192.168.1.1", "private"), ("100.64.0.1", "carrier-grade NAT"),
        ("100.127.255.255", "carrier-grade NAT"), ("169.254.1.1", "link-local"), ("169.254.169.254", "cloud metadata"),
        ("169.254.170.2", "cloud metadata"), ("100.100.100.200", "cloud metadata"), ("168.63.129.16", "cloud metadata"),
        ("192.0.0.192", "cloud metadata"), ("fd00:ec2::254", "cloud metadata"), ("fd20:ce::254", "cloud metadata"),
        ("192.0.0.8", "reserved"), ("192.0.2.1", "documentation"), ("198.18.0.1", "benchmarking"),
        ("198.51.100.7", "documentation"), ("203.0.113.7", "documentation"), ("192.88.99.1", "6to4 relay"),
        ("224.0.0.1", "multicast"), ("239.1.2.3", "multicast"), ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"), ("fe80::1", "link-local"), ("fec0::1", "site-local"), ("fc00::1", "private"),
        ("fdff::1", "private"), ("ff02::1", "multicast"), ("ff0e::1", "multicast"), ("100::1", "reserved"),
        ("2001:db8::1", "documentation"), ("3fff::1", "documentation"), ("2001::1", "Teredo tunnel"),
        ("2002:a00:1::1", "6to4 tunnel"), ("2002:808:808::1", "6to4 tunnel"), ("64:ff9b::a00:1", "NAT64 of private"),
        ("64:ff9b::7f00:1", "NAT64 of loopback"), ("64:ff9b::a9fe:a9fe", "NAT64 of cloud metadata"),
        ("64:ff9b:1::1", "local NAT64"), ("::ffff:127.0.0.1", "loopback"), ("::ffff:10.0.0.1", "private"),
        ("::ffff:169.254.169.254", "cloud metadata"), ("::10.0.0.1", "IPv4-compatible"),
        ("::ffff:0:127.0.0.1", "IPv4-translated"), ("4000::1", "reserved"), ("5f00::1", "reserved"),
    ].flatMap { address, rule in
        let literal = address.contains(":") ? "[\(address)]:443" : "\(address):443"
        return [
            Case("egress", "rebound.example:443", address, rule), Case("egress", literal, "", rule),
            // A name in the list gives no right to what is not public.
            Case("rebound.example", "rebound.example:443", address, rule),
        ]
    }

    static let listed = [
        Case("api.example.com", "api.example.com:443", "1.1.1.1", nil, tried: "1.1.1.1"),
        Case("api.example.com", "API.Example.COM.:443", "1.1.1.1", nil, tried: "1.1.1.1"),
        Case("api.example.com", "api.example.com:22", "1.1.1.1", nil, tried: "1.1.1.1"),
        Case("api.example.com:443", "api.example.com:443", "1.1.1.1", nil, tried: "1.1.1.1"),
        Case("api.example.com:443", "api.example.com:80", "1.1.1.1", "not listed"),
        Case("api.example.com", "example.com:443", "1.1.1.1", "not listed"),
        Case("api.example.com", "xapi.example.com:443", "1.1.1.1", "not listed"),
        Case("api.example.com", "x.api.example.com:443", "1.1.1.1", "not listed"),
        Case("api.example.com", "api.example.com.evil.org:443", "1.1.1.1", "not listed"),
        Case("*.example.com", "a.example.com:443", "1.1.1.1", nil, tried: "1.1.1.1"),
        Case("*.example.com", "a.b.example.com:443", "1.1.1.1", nil, tried: "1.1.1.1"),
        Case("*.example.com", "example.com:443", "1.1.1.1", "not listed"),
        Case("*.example.com", "notexample.com:443", "1.1.1.1", "not listed"),
        Case("*.example.com:8443", "a.example.com:443", "1.1.1.1", "not listed"),
        // The address of a listed name is not itself listed.
        Case("api.example.com", "1.1.1.1:443", "", "not listed"),
        Case("1.1.1.1", "1.1.1.1:443", "", nil, tried: "1.1.1.1"),
        Case("1.1.1.1:80", "1.1.1.1:443", "", "not listed"),
        Case("1.1.1.0/24", "1.1.1.9:443", "", nil, tried: "1.1.1.9"),
        Case("1.1.1.0/24", "1.1.2.1:443", "", "not listed"),
        Case("1.1.1.1", "[::ffff:1.1.1.1]:443", "", nil, tried: "1.1.1.1"),
        // Nor does an address give a right to look names up.
        Case("1.1.1.1", "one.example:443", "1.1.1.1", "not listed"),
        // What is named by its address may be private.
        Case("127.0.0.1:8000", "127.0.0.1:8000", "", nil, tried: "127.0.0.1"),
        Case("127.0.0.1:8000", "127.0.0.1:8001", "", "not listed"),
        Case("10.1.0.0/16", "10.1.2.3:5432", "", nil, tried: "10.1.2.3"),
        Case("10.1.0.0/16", "10.2.0.1:5432", "", "not listed"), Case("::1", "[::1]:80", "", nil, tried: "::1"),
        Case("fd00::/8", "[fd12::1]:80", "", nil, tried: "fd12::1"),
        Case("169.254.169.254", "169.254.169.254:80", "", nil, tried: "169.254.169.254"),
        // A private address by its name needs both.
        Case("db.internal 10.1.0.0/16", "db.internal:5432", "10.1.2.3", nil, tried: "10.1.2.3"),
        Case("db.internal 10.1.0.0/16", "db.internal:5432", "10.2.0.1", "private"),
        Case("db.internal 10.1.0.0/16:5432", "db.internal:22", "10.1.2.3", "private"),
        Case("db.internal 10.1.0.0/16", "db.internal:5432", "64:ff9b::a01:203", "NAT64 of private"),
        // Addresses that are no host stay so.
        Case("128.0.0.0/1", "255.255.255.255:80", "", "broadcast"),
        Case("128.0.0.0/1", "224.0.0.1:80", "", "multicast"),
        Case("128.0.0.0/1", "192.168.0.1:80", "", nil, tried: "192.168.0.1"),
        // This machine's own addresses are not public, even where they are.
        Case("egress", "self.example:443", "9.9.9.9", "this machine"),
        Case("egress", "9.9.9.9:443", "", "this machine"),
        Case("self.example", "self.example:443", "9.9.9.9", "this machine"),
        Case("9.9.9.9", "9.9.9.9:443", "", nil, tried: "9.9.9.9"),
    ]

    @Test(arguments: none + egress + special + listed) func whoMayBeReached(_ one: Case) async throws {
        let access: NetworkAccess =
            switch one.network {
            case ["none"]: .nothing
            case ["egress"]: .egress
            default: .hosts(try one.network.map { try HostRule(parsing: $0) })
            }
        let addresses = try one.addresses.map { try #require(IPAddress(parsing: $0)) }
        let lookedUp = Locked(0)
        let destinations = Destinations(
            limits: EgressLimits(),
            resolve: { _, _ in
                lookedUp.withLock { $0 += 1 }
                return addresses
            }, own: { Set([IPAddress(parsing: "9.9.9.9")].compactMap { $0 }) })
        let target = try ProxyRequest.target(one.asked[...], standardPort: nil)
        let result = await destinations.addresses(
            of: target, policy: EgressPolicy(access: access), sandbox: "s")
        switch result {
        case .success(let found):
            #expect(one.rule == nil)
            #expect(found.map(\.description) == one.tried)
        case .failure(let problem):
            #expect((problem.rule ?? problem.kind) == one.rule)
            #expect(problem.status == (problem.rule == nil ? 502 : 403))
            #expect(problem.host == "\(target)")
            #expect(problem.detail.contains("\(target)"))
        }
        // The question alone could carry data out.
        if one.rule == "not listed" || one.rule == "none" { #expect(lookedUp.withLock { $0 } == 0) }
    }

    @Test func onlyTheFirstAddressesOfANameCount() async throws {
        let many = try (1...40).map { try #require(IPAddress(parsing: "1.1.1.\($0)")) }
        let destinations = Destinations(limits: EgressLimits(), resolve: { _, _ in many }, own: { [] })
        let target = EgressTarget(host: .name("many.example"), port: 1)
        let result = await destinations.addresses(of: target, policy: EgressPolicy(access: .egress), sandbox: "s")
        #expect(try result.get().count == EgressLimits().addresses)
    }
}
