import BerthTestSupport
import DeploymentCore
import Testing

@testable import CurlClient

@Suite(.timeLimit(.minutes(1)))
struct AddressPolicyTests {
    /// Addresses that no request for something public may be led to.
    static let special = [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1",
        "127.255.255.254", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192",
        "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:10::1",
        "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "2002:a9fe:a9fe::1", "3fff::1", "5f00::1", "fc00::1",
        "fd00:ec2::254", "fdff::1", "fe80::1", "fe80::1%lo", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "4000::1",
    ]
    static let ordinary = [
        "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
        "2001:200::1", "2001:4860:4860::8888", "2606:4700::1111", "2a00:1450::1", "3ffe::1",
    ]
    /// How an attacker may spell some of them; libcurl reads what `inet_aton` reads.
    static let spelled = [
        "http://127.0.0.1/", "http://127.1/", "http://127.0.1/", "http://2130706433/", "http://0x7f000001/",
        "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://017700000001/", "http://0x7f.1/", "http://127.0.0.1./",
        "http://0/", "http://0x0/", "http://00000/", "http://0.0.0.0/", "http://169.254.169.254/latest/meta-data/",
        "http://0xa9fea9fe/", "http://2852039166/", "http://0251.0376.0251.0376/", "http://169.254.43518/",
        "http://10.1/", "http://192.168.257/", "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fd00:ec2::254]/", "http://[fe80::1]/", "http://[fe80::1%25lo]/", "http://[2002:7f00:1::]/",
        "http://localhost/", "http://LOCALHOST/", "http://localhost./", "http://user@127.0.0.1/",
        "http://1.1.1.1@127.0.0.1/", "http://127.0.0.1:80/", "http://127.0.0.1:22/", "https://127.0.0.1/",
        "http://127.0.0.1#@1.1.1.1/", "http://127.0.0.1?@1.1.1.1/", "http://127%2e0%2e0%2e1/",
    ]

    @Test(arguments: special) func specialAddressesAreNotPublic(address: String) {
        #expect(!AddressPolicy.publicOnly.allows(address))
        let isLoopback = AddressPolicy.loopback.allows(address)
        #expect(AddressPolicy.publicOrLoopback.allows(address) == isLoopback)
    }

    @Test(arguments: ordinary) func ordinaryAddressesArePublic(address: String) {
        #expect(AddressPolicy.publicOnly.allows(address))
        #expect(!AddressPolicy.loopback.allows(address))
        #expect(AddressPolicy.any.allows(address))
        #expect(AddressPolicy.publicOrLoopback.allows(address))
    }

    @Test(arguments: ["127.0.0.1", "127.9.9.9", "::1"]) func loopbackIsLoopback(address: String) {
        #expect(AddressPolicy.loopback.allows(address))
        #expect(AddressPolicy.publicOrLoopback.allows(address))
    }

    @Test(arguments: ["", "localhost", "1.1.1", "1::2::3", "1.1.1.1:80"]) func whatIsNoAddressIsRefused(text: String) {
        for policy in [AddressPolicy.publicOnly, .loopback, .publicOrLoopback, .any] { #expect(!policy.allows(text)) }
    }

    /// No socket is opened, so none of these needs a network.
    @Test func noSpellingGetsPastThePolicy() async throws {
        let client = CurlClient()
        for url in Self.spelled {
            let error = try await failure(client, HTTPRequest(url: url, timeout: .seconds(5)))
            #expect(error.code == .unreachable, "\(url)")
            let cause = try #require(error.cause as? CurlError)
            // Where the name is not even looked up successfully, nothing was reached either.
            #expect(error.message.contains("must not reach") || cause.code == 6 || cause.code == 3, "\(url): \(error)")
        }
    }
}
