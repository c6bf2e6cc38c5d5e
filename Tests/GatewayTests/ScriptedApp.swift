import BerthTestSupport
import DeploymentCore
import Foundation
import Gateway
import Glibc
import Testing

/// An app that answers as a script says: blocking, one thread per connection.
final class ScriptedApp: Sendable {
    typealias Script = @Sendable (_ wire: Wire, _ connection: Int) throws -> Void

    let port: Int
    private let listener: Int32
    private let wires = Locked<[Wire]>([])

    init(_ script: @escaping Script) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        let bound = Wire.withAddress(port: 0) { bind(listener, $0, $1) }
        guard bound == 0, listen(listener, 512) == 0 else { throw WireError(what: "listen: \(errno)") }
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &size) }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        let wires = wires
        Thread {
            while true {
                let accepted = accept(listener, nil, nil)
                guard accepted >= 0 else { return }
                let wire = Wire(adopting: accepted)
                let index = wires.withLock { wires in
                    wires.append(wire)
                    return wires.count - 1
                }
                Thread {
                    try? script(wire, index)
                    shutdown(accepted, Int32(SHUT_RDWR))
                }.start()
            }
        }.start()
    }

    /// How many connections there have been.
    var connections: Int { wires.withLock { $0.count } }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        for wire in wires.withLock({ $0 }) { shutdown(wire.socket, Int32(SHUT_RDWR)) }
    }

    func upstream(
        _ revision: String = "r1", paths: Upstream.Paths = .init(), timeout: Duration = .seconds(20),
        maximumBody: Int = 64 * 1024 * 1024
    ) -> Upstream {
        let port = port
        return Upstream(revision: revision, paths: paths, timeout: timeout, maximumBody: maximumBody) {
            try Wire.connect(port: port)
        }
    }

    /// Answers every request with what the app saw of its head.
    static let mirror: Script = { wire, _ in
        while let request = try wire.readMessage(isRequest: true) {
            let body = request.head + request.text
            let isHead = request.head.hasPrefix("HEAD ")
            try wire.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n" + (isHead ? "" : body))
        }
    }

    /// Answers every request with the same bytes, which may end the connection.
    static func saying(_ answer: String, thenCloses: Bool = false) -> Script {
        { wire, _ in
            while try wire.readMessage(isRequest: true) != nil {
                try wire.send(answer)
                if thenCloses { return }
            }
        }
    }
}

/// Runs `body` with a gateway that serves `script` as `iris`, and ends both.
func withGateway(
    _ script: @escaping ScriptedApp.Script = ScriptedApp.mirror, timeout: Duration = .seconds(20),
    maximumBody: Int = 64 * 1024 * 1024, limits: GatewayLimits = .quick,
    _ body: (_ gateway: Gateway, _ port: Int, _ app: ScriptedApp) async throws -> Void
) async throws {
    let app = try ScriptedApp(script)
    defer { app.stop() }
    let gateway = Gateway(configuration: .init(port: 0, loops: 2, limits: limits))
    let port = try await gateway.start()
    gateway.publish("iris", app.upstream(timeout: timeout, maximumBody: maximumBody))
    do {
        try await body(gateway, port, app)
    } catch {
        await gateway.stop(grace: .zero)
        throw error
    }
    await gateway.stop(grace: .zero)
}

/// What the gateway counted once nothing is in flight: an answer reaches its client just before it is counted.
func settledStatistics(_ gateway: Gateway) async throws -> RouteStatistics {
    gateway.announce("iris", stage: "draining")
    #expect(await gateway.withdraw("iris")?.wait(upTo: .seconds(20)) == true)
    return try #require(gateway.statistics("iris"))
}

/// A plain request for a prediction.
func predict(_ body: String = "{}", fields: String = "", path: String = "/iris/predict") -> String {
    "POST \(path) HTTP/1.1\r\nHost: localhost\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
}
