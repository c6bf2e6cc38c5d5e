import CPlatform
import Foundation
import Glibc
import Testing

/// Connections that the agent passes on as bytes, for hosts that no descriptor reaches.
@Suite struct RelayTests {
    private static let limit: Int32 = 20_000

    /// Asks for a connection over `connection`, which becomes it; 0, or the negative errno that the agent told.
    private func ask(_ line: String, _ connection: TestConnection) -> Int32 {
        var refused: Int32 = 0
        let result = berth_request_stream(connection.descriptor, line, line.utf8.count, Self.limit, &refused)
        return result == -EREMOTEIO ? -refused : result
    }

    @Test func connectionBecomesTheOneAskedFor() async throws {
        try await withAgent(["--relay-ports"]) { agent in
            let server = try LocalServer()
            for _ in 0..<10 {
                let connection = try agent.connect()
                #expect(ask("CONNECT \(server.port)\n", connection) == 0)
                try connection.send(Data("ping".utf8))
                try server.echo(4)
                #expect(try connection.take(4) == Data("ping".utf8))
            }
        }
    }

    @Test func refusalIsToldAndTheConnectionCanAskAgain() async throws {
        try await withAgent(["--relay-ports"]) { agent in
            let port = try LocalServer().port
            let connection = try agent.connect()
            #expect(ask("CONNECT \(port)\n", connection) == -ECONNREFUSED)
            #expect(ask("CONNECT unix:\(agent.folder)/none.sock\n", connection) == -ENOENT)
            #expect(ask("CONNECT unix:\(agent.folder)/agent.sock\n", connection) == 0)
            #expect(try connection.request("GET", "/health").status == 204)
        }
    }

    // Whoever sends before the answer came does not know yet whom it is talking to.
    @Test func bytesBeforeTheAnswerEndTheConnection() async throws {
        try await withAgent(["--relay-ports"]) { agent in
            let server = try LocalServer()
            let connection = try agent.connect()
            #expect(ask("CONNECT \(server.port)\nearly", connection) == -ECONNRESET)
            #expect(try agent.connect().request("GET", "/health").status == 204)
        }
    }

    @Test func relaysThatEndAreForgotten() async throws {
        try await withAgent(["--relay-ports"]) { agent in
            let server = try LocalServer()
            _ = try agent.connect().request("GET", "/health")
            let before = agent.descriptorCount
            for _ in 0..<20 {
                let connection = try agent.connect()
                #expect(ask("CONNECT \(server.port)\n", connection) == 0)
                try connection.send(Data("ping".utf8))
                try server.echo(4)
            }
            // Both ends are gone with their owners; the agent sees it when it looks next.
            while agent.descriptorCount > before { _ = try agent.connect().request("GET", "/health") }
        }
    }
}
