import CPlatform
import DeploymentCore
import Foundation
import Glibc
import Testing

@Suite struct EgressTests {
    /// An agent with a way out, and the host's end of it.
    private func withEgress(
        _ body: (_ agent: RunningAgent, _ port: Int32, _ listener: Int32, _ socket: String) throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "berth-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path(percentEncoded: false)
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(descriptor) }
        let listener = berth_unix_listen(descriptor, "out.sock", 64)
        try #require(listener >= 0)
        _ = berth_fd_blocking(listener)
        defer { close(listener) }
        let port = berth_free_port()
        try #require(port > 0)
        try await withAgent(["--egress-socket", "\(path)/out.sock", "--egress-port", "\(port)"]) { agent in
            // It listens before it answers.
            try agent.connect().request("GET", "/health")
            try body(agent, port, listener, "\(path)/out.sock")
        }
    }

    private func connect(_ port: Int32) throws -> TestConnection {
        let descriptor = berth_tcp_connect_begin(port, 0)
        try #require(descriptor >= 0)
        _ = berth_fd_blocking(descriptor)
        return TestConnection(descriptor: descriptor)
    }

    private func accept(_ listener: Int32) throws -> TestConnection {
        let descriptor = Glibc.accept(listener, nil, nil)
        try #require(descriptor >= 0)
        return TestConnection(descriptor: descriptor)
    }

    private func everything(_ connection: TestConnection) throws -> Data {
        var all = Data()
        while case let part = try connection.receive(), !part.isEmpty { all += part }
        return all
    }

    @Test func bytesGoBothWaysAndEndsArePassedOn() async throws {
        try await withEgress { _, port, listener, _ in
            let inner = try connect(port)
            let outer = try accept(listener)
            try inner.send(Data("question".utf8))
            #expect(try outer.take(8) == Data("question".utf8))
            shutdown(inner.descriptor, Int32(SHUT_WR))
            #expect(try outer.receive().isEmpty)
            // The other direction goes on after one has ended.
            try outer.send(Data("answer".utf8))
            shutdown(outer.descriptor, Int32(SHUT_WR))
            #expect(try everything(inner) == Data("answer".utf8))
        }
    }

    @Test func slowReaderHoldsTheSenderUp() async throws {
        try await withEgress { agent, port, listener, _ in
            let inner = try connect(port)
            let outer = try accept(listener)
            _ = berth_fd_prepare(inner.descriptor)
            let block = [UInt8](repeating: 7, count: 1 << 20)
            var sent = 0
            // Until nothing more is taken for a while: what is in between has a limit.
            var state = pollfd(fd: inner.descriptor, events: Int16(POLLOUT), revents: 0)
            while sent < 64 << 20, poll(&state, 1, 300) > 0 {
                let count = Glibc.send(inner.descriptor, block, block.count, Int32(MSG_NOSIGNAL))
                if count > 0 { sent += count }
            }
            #expect(sent < 32 << 20)
            #expect(try agent.residentMemory() < 64 << 20)
            shutdown(inner.descriptor, Int32(SHUT_WR))
            var received = 0
            while case let part = try outer.receive(), !part.isEmpty { received += part.count }
            #expect(received == sent)
        }
    }

    @Test func connectionsHaveALimitAndAreGivenBack() async throws {
        try await withEgress { agent, port, listener, _ in
            let control = try agent.connect()
            try control.request("GET", "/health")
            let before = agent.descriptorCount
            var pairs: [(TestConnection, TestConnection)] = []
            for _ in 0..<256 { pairs.append((try connect(port), try accept(listener))) }
            let refused = try connect(port)
            #expect((try? refused.receive())?.isEmpty ?? true)
            for (inner, outer) in pairs {
                shutdown(inner.descriptor, Int32(SHUT_RDWR))
                shutdown(outer.descriptor, Int32(SHUT_RDWR))
            }
            pairs = []
            try control.request("GET", "/health")
            try control.request("GET", "/health")
            #expect(agent.descriptorCount <= before)
        }
    }

    @Test func withoutAHostTheConnectionIsClosed() async throws {
        try await withEgress { _, port, _, socket in
            unlink(socket)
            let inner = try connect(port)
            #expect((try? inner.receive())?.isEmpty ?? true)
        }
    }
}
