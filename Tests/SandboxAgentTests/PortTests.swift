import CPlatform
import DeploymentCore
import Foundation
import Glibc
import Testing

@Suite struct PortTests {
    private static let limit: Int32 = 20_000

    /// Asks for a connection; the descriptor, or the negative errno that the agent told.
    private func ask(_ line: String, _ connection: TestConnection) throws -> Int32 {
        let request = Array(line.utf8)
        var refused: Int32 = 0
        let result = request.withUnsafeBytes { bytes in
            berth_request_descriptor(
                connection.descriptor, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count,
                Self.limit, &refused)
        }
        if result == -EREMOTEIO { return -refused }
        guard result >= 0 else { throw RunningAgent.Failure("no answer: errno \(-result)") }
        return result
    }

    private func expectEcho(_ descriptor: Int32, _ server: LocalServer) throws {
        try #require(descriptor >= 0)
        let client = TestConnection(descriptor: descriptor)
        try client.send(Data("ping".utf8))
        try server.echo(4)
        #expect(try client.take(4) == Data("ping".utf8))
    }

    @Test func connectedSocketIsHandedOut() async throws {
        try await withAgent { agent in
            let server = try LocalServer()
            let control = try agent.connect()
            for _ in 0..<10 {
                let descriptor = try ask("CONNECT \(server.port)\n", control)
                var delay: Int32 = 0
                var size = socklen_t(MemoryLayout<Int32>.size)
                getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &delay, &size)
                #expect(delay != 0)
                #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK == 0)
                try expectEcho(descriptor, server)
            }
        }
    }

    @Test func serverOnTheAddressOfIPv6IsFound() async throws {
        guard let server = try? LocalServer(ipv6: true) else { return }
        try await withAgent { agent in
            try expectEcho(try ask("CONNECT \(server.port)\n", try agent.connect()), server)
        }
    }

    @Test func refusedPortIsTold() async throws {
        try await withAgent { agent in
            let port = try LocalServer().port
            let control = try agent.connect()
            #expect(try ask("CONNECT \(port)\n", control) == -ECONNREFUSED)
            let server = try LocalServer()
            try expectEcho(try ask("CONNECT \(server.port)\n", control), server)
        }
    }

    @Test func unixSocketIsReached() async throws {
        try await withAgent { agent in
            let control = try agent.connect()
            let descriptor = try ask("CONNECT unix:\(agent.folder)/agent.sock\n", control)
            try #require(descriptor >= 0)
            #expect(try TestConnection(descriptor: descriptor).request("GET", "/health").status == 204)
            #expect(try ask("CONNECT unix:\(agent.folder)/none.sock\n", control) == -ENOENT)
            let long = String(repeating: "x", count: 200)
            #expect(try ask("CONNECT unix:/\(long)\n", control) == -ENAMETOOLONG)
        }
    }

    @Test(arguments: [
        "CONNECT \n", "CONNECT 0\n", "CONNECT 65536\n", "CONNECT -1\n", "CONNECT x\n", "CONNECT unix:x\n",
    ])
    func requestThatMakesNoSenseIsAnswered(_ line: String) async throws {
        try await withAgent { agent in
            let control = try agent.connect()
            #expect(try ask(line, control) == -EINVAL)
            let server = try LocalServer()
            try expectEcho(try ask("CONNECT \(server.port)\n", control), server)
        }
    }

    @Test func endlessRequestEndsTheConnection() async throws {
        try await withAgent { agent in
            let control = try agent.connect()
            try control.send(Data("CONNECT ".utf8) + Data(repeating: 0x31, count: 8000))
            #expect(try control.receive().isEmpty)
        }
    }

    @Test func manyRequestsAtOnceAreAnsweredInOrder() async throws {
        try await withAgent { agent in
            let control = try agent.connect()
            let port = try LocalServer().port
            try control.send(Data(String(repeating: "CONNECT \(port)\nCONNECT x\n", count: 100).utf8))
            let pair = Data([0x21, 0, 0, 0, UInt8(ECONNREFUSED), 0x21, 0, 0, 0, UInt8(EINVAL)])
            for _ in 0..<100 { #expect(try control.take(10) == pair) }
        }
    }

    @Test(.enabled(if: access("/usr/bin/python3", X_OK) == 0, "needs python3"), arguments: [false, true])
    func listenersAreTracedToTheirProcess(_ allowsHostPaths: Bool) async throws {
        try await withAgent(allowsHostPaths ? ["--allow-host-paths"] : []) { agent in
            try expectTracedListener(agent, showsStrangers: !allowsHostPaths)
        }
    }

    /// Starts a server in a session of its own below a tagged process, and looks it up.
    private func expectTracedListener(_ agent: RunningAgent, showsStrangers: Bool) throws {
        let stranger = try LocalServer()
        let connection = try agent.connect()
        let script = """
            setsid /usr/bin/python3 -c "
            import socket, time
            s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1], flush=True)
            time.sleep(1000)" & wait
            """
        let pid = try connection.start(script, tag: "server")
        guard case .stdout(let line) = try connection.nextEvent() else { throw RunningAgent.Failure("no port") }
        let port = Int64(String(decoding: line, as: UTF8.self).trimmingCharacters(in: .newlines))
        let all = try agent.connect().request("GET", "/berth/listeners").json["listeners"]?.array ?? []
        let ours = try #require(all.first { $0["port"]?.integer == port })
        let holder = try #require(ours["pid"]?.integer)
        #expect(ours["address"] == "127.0.0.1")
        #expect(ours["tag"] == "server")
        #expect(holder > pid)
        let other = all.first { $0["port"]?.integer == Int64(stranger.port) }
        #expect((other != nil) == showsStrangers)
        #expect(other?["tag"]?.string == nil)
        // Its session is its own, so the end of the group does not reach it.
        kill(pid_t(holder), SIGKILL)
    }
}
