import BerthTestSupport
import CPlatform
import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import Egress
@testable import LocalSandbox

/// What real sandboxes reach: nothing, or what their proxy lets through.
@Suite(needsAgent, .timeLimit(.minutes(3))) struct NetworkTests {
    /// A proxy for which every name below `.example` is this machine, and a host there that answers with the path.
    static func withHost(
        _ body: (_ proxy: EgressProxy, _ host: ScriptedHTTPServer, _ refusals: AsyncStream<EgressRefusal>) async throws
            ->
            Void
    ) async throws {
        let host = try ScriptedHTTPServer { ScriptedAnswer(200, "you asked for \($0.path)") }
        let (refusals, teller) = AsyncStream<EgressRefusal>.makeStream()
        let proxy = makeProxy { teller.yield($0) }
        do {
            try await body(proxy, host, refusals)
        } catch {
            await proxy.close()
            host.close()
            throw error
        }
        await proxy.close()
        host.close()
    }

    static func makeProxy(_ refused: @escaping @Sendable (EgressRefusal) -> Void = { _ in }) -> EgressProxy {
        var configuration = EgressProxy.Configuration()
        configuration.resolve = { name, _ in
            guard name.hasSuffix(".example") else { throw NameLookup.Failure(reason: "no such name") }
            return [IPAddress(bytes: [127, 0, 0, 1])].compactMap { $0 }
        }
        return EgressProxy(configuration: configuration, refused: refused)
    }

    static func rules(_ texts: String...) throws -> NetworkAccess {
        .hosts(try texts.map { try HostRule(parsing: $0) })
    }

    /// Runs Python in a sandbox; what it prints.
    static func python(_ sandbox: any Sandbox, _ script: String) async throws -> String {
        let process = try await sandbox.start(
            ProcessSpecification(tag: "python", command: ["/usr/bin/python3", "-c", script]))
        let output = try await output(of: process)
        #expect(output.status == .exited(code: 0), "\(output.stderr)")
        return output.stdout
    }

    /// What urllib, which knows the variables, gets from a URL.
    static func fetch(_ sandbox: any Sandbox, _ url: String) async throws -> String {
        try await python(
            sandbox,
            """
            import urllib.error, urllib.request
            try:
                print(urllib.request.urlopen("\(url)", timeout=20).read().decode(), end="")
            except urllib.error.HTTPError as error:
                print(error.code, error.read().decode(), end="")
            except OSError as error:
                print(getattr(error, "reason", error), end="")
            """)
    }

    /// What comes through a tunnel, as for https but in clear.
    static func tunnel(_ sandbox: any Sandbox, _ host: String, _ port: Int) async throws -> String {
        try await python(
            sandbox,
            """
            import http.client, os, urllib.parse
            proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])
            connection = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=20)
            connection.set_tunnel("\(host)", \(port))
            try:
                connection.request("GET", "/tunnel")
                print(connection.getresponse().read().decode(), end="")
            except OSError as error:
                print(error, end="")
            """)
    }

    // MARK: with a network of its own

    @Test(needsNamespaces, needsPython, arguments: [nil, NetworkAccess.nothing])
    func sandboxWithoutANetworkReachesNothing(_ access: NetworkAccess?) async throws {
        try await Self.withHost { proxy, host, _ in
            try await withEngine(.namespaces, gate: proxy) { engine in
                let sandbox = try await engine.provider.create(engine.specification(network: access))
                #expect(sandbox.network == "none")
                let printed = try await Self.python(
                    sandbox,
                    """
                    import os, socket
                    print([name for name in os.environ if "proxy" in name.lower()])
                    for address in [("127.0.0.1", \(host.port)), ("1.1.1.1", 53), ("169.254.169.254", 80), ("10.0.0.1", 80)]:
                        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                            try:
                                with socket.socket(socket.AF_INET, kind) as one:
                                    one.settimeout(20)
                                    one.connect(address)
                                    one.send(b"x")
                                    # A datagram to the own loopback is sent, and refused by the time of the second.
                                    one.send(b"x")
                                    print("reached", address)
                            except OSError:
                                pass
                    print(os.path.exists("/opt/berth/egress"))
                    try:
                        socket.getaddrinfo("example.com", 80)
                        print("looked up")
                    except OSError:
                        pass
                    """)
                #expect(printed == "[]\nFalse\n")
                #expect(host.accepted == 0)
                #expect(proxy.traffic(of: sandbox.id) == nil)
                #expect(try await sandbox.statistics().egress == nil)
            }
        }
    }

    @Test(needsNamespaces, needsPython) func listedHostIsReachedAndNoOther() async throws {
        try await Self.withHost { proxy, host, refusals in
            try await withEngine(.namespaces, gate: proxy) { engine in
                let access = try Self.rules("*.listed.example", "127.0.0.1:\(host.port)")
                let sandbox = try await engine.provider.create(engine.specification(network: access))
                #expect(sandbox.network == "2 hosts")
                let url = "http://a.listed.example:\(host.port)"
                #expect(try await Self.fetch(sandbox, "\(url)/plain") == "you asked for /plain")
                #expect(try await Self.tunnel(sandbox, "a.listed.example", host.port) == "you asked for /tunnel")
                #expect(host.accepted == 2)

                let plain = try await Self.fetch(sandbox, "http://other.example:\(host.port)/?secret")
                #expect(plain.hasPrefix("403 {"))
                #expect(plain.contains("other.example:\(host.port) is not in the manifest's network list"))
                // urllib shows the reason phrase only.
                let secure = try await Self.fetch(sandbox, "https://third.example/")
                #expect(
                    secure == "Tunnel connection failed: 403 third.example:443 is not in the manifest's network list")
                // The list opens one port of the address that the listed name has.
                #expect(
                    try await Self.fetch(sandbox, "http://a.listed.example:1/").contains("127.0.0.1, which is loopback")
                )
                #expect(host.accepted == 2)

                var told: [String] = []
                for await refusal in refusals {
                    #expect(refusal.labels.deployment == "demo")
                    told.append(refusal.text)
                    if told.count == 3 { break }
                }
                #expect(told.allSatisfy { !$0.contains("secret") })
                let traffic = try #require(try await sandbox.statistics().egress)
                #expect(traffic.receivedBytes > 40 && traffic.sentBytes > 40)
                try await engine.provider.destroy(sandbox.id)
                #expect(proxy.traffic(of: sandbox.id) == nil)
            }
        }
    }

    @Test(needsNamespaces, needsPython) func egressReachesNothingPrivate() async throws {
        try await Self.withHost { proxy, host, _ in
            try await withEngine(.namespaces, gate: proxy) { engine in
                let sandbox = try await engine.provider.create(engine.specification(network: .egress))
                #expect(sandbox.network == "egress")
                // A name that stands for a private address, and that address itself.
                for name in ["rebound.example", "127.0.0.1"] {
                    #expect(try await Self.tunnel(sandbox, name, host.port).contains("403 \(name):\(host.port) is "))
                }
                #expect(try await Self.tunnel(sandbox, "169.254.169.254", 80).contains("is cloud metadata"))
                #expect(host.accepted == 0)
            }
        }
    }

    /// The app cannot take the socket away from others, nor put one in its place.
    @Test(needsNamespaces) func sandboxCannotChangeItsWayOut() async throws {
        try await Self.withHost { proxy, _, _ in
            try await withEngine(.namespaces, gate: proxy) { engine in
                let sandbox = try await engine.provider.create(engine.specification(network: .egress))
                let output = try await sandbox.shell(
                    """
                    cd /opt/berth/egress && ls
                    rm -f proxy.sock; mv proxy.sock x; touch y; chmod 000 proxy.sock; ls
                    """)
                #expect(output.stdout == "proxy.sock\nproxy.sock\n")
            }
        }
    }

    @Test(needsNamespaces, needsPython) func appOnThePortOfTheWayOutKeepsIt() async throws {
        try await Self.withHost { proxy, host, _ in
            try await withEngine(.namespaces, gate: proxy) { engine in
                var specification = engine.specification(network: try Self.rules("a.example", "127.0.0.1"))
                specification.port = EgressPort.candidates[0]
                let sandbox = try await engine.provider.create(specification)
                _ = try await sandbox.serve("mine")
                #expect(try await sandbox.ask(engine.client) == "mine")
                #expect(try await Self.fetch(sandbox, "http://a.example:\(host.port)/") == "you asked for /")
            }
        }
    }

    // MARK: life

    @Test(needsNamespaces, needsPython) func adoptedSandboxHasItsWayOutAgain() async throws {
        try await Self.withHost { first, host, _ in
            try await withEngine(.namespaces, gate: first) { engine in
                let access = try Self.rules("a.example", "127.0.0.1")
                let sandbox = try await engine.provider.create(engine.specification(network: access))
                let url = "http://a.example:\(host.port)/"
                #expect(try await Self.fetch(sandbox, url) == "you asked for /")
                await first.close()
                #expect(try await !Self.fetch(sandbox, url).contains("you asked"))

                let second = Self.makeProxy()
                let provider = engine.restarted(gate: second)
                let adopted = try await provider.adopt(sandbox.id)
                #expect(adopted.network == "2 hosts")
                #expect(try await Self.fetch(adopted, url) == "you asked for /")
                // Whoever takes hold of it again finds the way as it is.
                _ = try await provider.adopt(sandbox.id)
                #expect(try await Self.fetch(adopted, url) == "you asked for /")
                try await provider.destroy(sandbox.id)
                #expect(second.traffic(of: sandbox.id) == nil)
                await second.close()
            }
        }
    }

    @Test(needsNamespaces, needsPython) func refusalsOfAnAssignedSandboxAreToldToItsNewOwner() async throws {
        try await Self.withHost { proxy, _, refusals in
            try await withEngine(.namespaces, gate: proxy) { engine in
                let sandbox = try await engine.provider.create(engine.specification(network: .egress))
                let labels = SandboxLabels(deployment: "demo", nonce: "demo.7.x", rollout: "later")
                _ = try await engine.provider.assign(sandbox.id, labels: labels, models: [])
                _ = try await Self.fetch(sandbox, "http://a.example/")
                for await refusal in refusals {
                    #expect(refusal.labels == labels)
                    break
                }
            }
        }
    }

    /// A way out that cannot be opened is no sandbox, and nothing of it stays.
    @Test(needsNamespaces) func failingGateFailsTheCreation() async throws {
        let proxy = Self.makeProxy()
        await proxy.close()
        try await withEngine(.namespaces, gate: proxy) { engine in
            let error = await #expect(throws: BerthError.self) {
                try await engine.provider.create(engine.specification(network: .egress))
            }
            #expect(error?.code == .sandbox)
            let left = try await engine.provider.list()
            #expect(left == [])
            #expect(engine.leaks() == [])
        }
    }

    // MARK: what cannot be enforced

    @Test(arguments: Machine.rungs) func demandIsMetOrRefused(_ isolation: Isolation) async throws {
        try await Self.withHost { proxy, _, _ in
            try await withEngine(isolation, gate: proxy) { engine in
                let network = try await engine.provider.capabilities().network
                #expect(network == NetworkEnforcement(isolation))
                for access in [nil, .nothing, .egress, try Self.rules("a.example")] as [NetworkAccess?] {
                    let isPossible =
                        switch (network, access) {
                        case (.filtered, _), (_, nil), (.closed, .nothing?), (.open, .egress?): true
                        default: false
                        }
                    do {
                        let sandbox = try await engine.provider.create(engine.specification(network: access))
                        #expect(isPossible)
                        #expect(sandbox.network == (network == .open ? "open" : access?.summary ?? "none"))
                    } catch let error as BerthError {
                        #expect(!isPossible)
                        #expect(error.code == .sandbox)
                        #expect(error.message.hasPrefix("network: \(access?.summary ?? "") cannot be "))
                    }
                }
            }
        }
    }

    @Test(needsNamespaces) func nothingCanBeOpenedWithoutAGate() async throws {
        try await withEngine(.namespaces) { engine in
            #expect(try await engine.provider.capabilities().network == .closed)
            _ = try await engine.provider.create(engine.specification(network: .nothing))
            await #expect(throws: BerthError.self) {
                try await engine.provider.create(engine.specification(network: .egress))
            }
        }
    }

    @Test func rungsAreWhatTheyClaim() {
        #expect(NetworkEnforcement(.process) == .open)
        #expect(NetworkEnforcement(.landlock) == (berth_landlock_abi() >= 4 ? .closed : .open))
        #expect(NetworkEnforcement(.namespaces) == .filtered)
    }
}
