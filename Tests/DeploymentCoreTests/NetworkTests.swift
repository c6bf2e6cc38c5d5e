import DeploymentCore
import Foundation
import Testing

/// Addresses, rules, and how they are written.
@Suite struct NetworkTests {
    @Test(arguments: [
        ("1.2.3.4", "1.2.3.4"), ("255.255.255.255", "255.255.255.255"), ("::", "::"), ("::1", "::1"), ("1::", "1::"),
        ("2001:DB8::8:800:200C:417A", "2001:db8::8:800:200c:417a"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"), ("::ffff:1.2.3.4", "::ffff:102:304"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("fe80::0001", "fe80::1"),
    ])
    func addressIsReadAndWritten(text: String, written: String) throws {
        let address = try #require(IPAddress(parsing: text))
        #expect(address.description == written)
        #expect(IPAddress(parsing: written) == address)
    }

    @Test(arguments: [
        "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.04", "1.2.3.-4", "1.2.3.4 ", " 1.2.3.4", "0x1.2.3.4",
        "1.2.3.",
        "1..2.3", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", "12345::", "g::",
        "::1%lo",
        "[::1]", "::1.2.3", "1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4", ":1", "1:", "::1:", "+1::",
    ])
    func whatIsNoAddressIsRefused(text: String) { #expect(IPAddress(parsing: text) == nil) }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.0", false), ("10.1.2.0/23", "10.1.3.255", true),
        ("10.1.2.0/23", "10.1.4.0", false), ("1.2.3.4/32", "1.2.3.4", true), ("1.2.3.4/32", "1.2.3.5", false),
        ("fc00::/7", "fdff::1", true), ("fc00::/7", "fe00::", false), ("::/1", "10.0.0.1", false),
        ("128.0.0.0/1", "200.0.0.1", true),
    ])
    func networkContainsItsAddresses(network: String, address: String, isInside: Bool) throws {
        let parts = network.split(separator: "/")
        let first = try #require(IPAddress(parsing: parts[0]))
        let bits = try #require(Int(parts[1]))
        let range = try #require(IPNetwork(first, bits: bits))
        let one = try #require(IPAddress(parsing: address))
        #expect(range.contains(one) == isInside)
    }

    @Test(arguments: [
        "example.com", "a.b-c.example.com:443", "*.example.com", "*.example.com:8443", "localhost", "db_1.internal",
        "1.2.3.4", "1.2.3.4:80", "10.0.0.0/8", "10.0.0.0/8:5432", "::1", "[::1]:80", "2001:db8::/32", "[fd00::/8]:443",
        "xn--bcher-kva.example",
    ])
    func ruleIsWrittenAsItIsRead(text: String) throws { #expect(try HostRule(parsing: text).description == text) }

    @Test(arguments: [
        ("Example.COM.", "example.com"), ("[::1]", "::1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("1.2.3.4/32", "1.2.3.4"),
    ])
    func ruleHasOneSpelling(text: String, written: String) throws {
        #expect(try HostRule(parsing: text).description == written)
    }

    @Test func accessGoesThroughJSONAsItIsInTheManifest() throws {
        let list = NetworkAccess.hosts([try HostRule(parsing: "*.a.example:443"), try HostRule(parsing: "10.0.0.0/8")])
        for (access, text) in [
            (NetworkAccess.nothing, "\"none\""), (.egress, "\"egress\""), (list, #"["*.a.example:443","10.0.0.0/8"]"#),
        ] {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .withoutEscapingSlashes
            let data = try encoder.encode(access)
            #expect(String(decoding: data, as: UTF8.self) == text)
            #expect(try JSONDecoder().decode(NetworkAccess.self, from: data) == access)
        }
        for text in ["\"all\"", "[\"http://x\"]", "3"] {
            #expect(throws: DecodingError.self) { try JSONDecoder().decode(NetworkAccess.self, from: Data(text.utf8)) }
        }
        #expect(list.summary == "2 hosts")
        #expect(list.description == "[*.a.example:443, 10.0.0.0/8]")
    }
}
