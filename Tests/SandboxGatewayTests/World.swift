import BerthTestSupport
import Certificates
import DeploymentCore
import Foundation
import Testing
import Waiting

@testable import SandboxGateway

/// A gateway with two sandboxes, whose ports say who they are, and a control plane that does so too.
struct World: Sendable {
    let gateway: SandboxGateway
    let doors: TestDoors
    let port: Int
    /// 0 without TLS.
    let tlsPort: Int
    /// What clients have to trust.
    let authority: String
    /// A folder that is removed afterwards.
    let folder: String

    /// A connection to the plain port.
    func connect(receiveBuffer: Int32? = nil) throws -> Wire {
        try Wire(port: port, receiveBuffer: receiveBuffer)
    }

    /// Sends one request on a connection of its own and reads its answer.
    func exchange(_ request: String, hasBody: Bool = true) async throws -> Message {
        let port = port
        return try await onThread {
            let wire = try Wire(port: port)
            defer { wire.close() }
            return try wire.exchange(request, hasBody: hasBody)
        }
    }
}

/// A port that answers with `name` and what it saw of the request.
func mirror(_ name: String) throws -> ScriptedHTTPServer {
    try ScriptedHTTPServer(script: { connection in mirror(name, connection) })
}

/// Answers every request of a connection with `name` and what was seen of it.
@Sendable func mirror(_ name: String, _ connection: ScriptedConnection) {
    while let request = connection.readRequest() {
        var body = request.body
        if request.headers["transfer-encoding"] == "chunked" { body += connection.readChunks() ?? [] }
        let fields = request.headers.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)\n" }.joined()
        let text = "\(name)\n\(request.method) \(request.path)\n\(fields)\n"
        let answer = ScriptedAnswer(200, headers: [("X-Port", name)], bytes: Array(text.utf8) + body)
        guard connection.send(answer, to: request) else { return }
    }
}

/// Runs `body` with a gateway in front of `ports` of sandbox `one`, of sandbox `two`, and of a control plane.
///
/// - Parameter script: what port 8000 of `one` does instead of mirroring.
func withWorld(
    limits: SandboxGatewayLimits = .quick, tls: Bool = false, controlPlane: Bool = true,
    script: (@Sendable (ScriptedConnection) -> Void)? = nil,
    _ body: (World) async throws -> Void
) async throws {
    try await withTemporaryFolder { folder in
        let servers = [
            try ScriptedHTTPServer(script: script ?? { mirror("one:8000", $0) }), try mirror("one:49983"),
            try mirror("two:8000"), try mirror("two:49983"),
        ]
        let control =
            controlPlane
            ? try ScriptedHTTPServer(unixPath: "\(folder)/e2b.sock", script: { mirror("control", $0) }) : nil
        defer { for server in servers + [control].compactMap(\.self) { server.close() } }
        let doors = TestDoors([
            "one": .init(ports: [8000: servers[0].port, 49_983: servers[1].port]),
            "two": .init(ports: [8000: servers[2].port, 49_983: servers[3].port]),
        ])
        let store = CertificateStore(folder: "\(folder)/tls")
        if tls { _ = try store.prepare(domain: CertificateStore.defaultDomain, renewing: false) }
        let gateway = SandboxGateway(
            configuration: .init(
                port: 0, tls: tls ? .init(port: 0, certificate: store.certificate, key: store.key) : nil,
                controlSocket: "\(folder)/e2b.sock", limits: limits, loops: 2),
            doors: doors)
        let (port, tlsPort) = try await gateway.start()
        let world = World(
            gateway: gateway, doors: doors, port: port, tlsPort: tlsPort ?? 0, authority: store.authority,
            folder: folder)
        let result: Result<Void, any Error>
        do { result = .success(try await body(world)) } catch { result = .failure(error) }
        await gateway.stop(grace: .zero)
        doors.end()
        #expect(gateway.shared.exchanges.total == 0)
        #expect(gateway.shared.connections.total == 0)
        try result.get()
    }
}

/// A request with a body by length.
func request(
    _ method: String = "GET", _ target: String = "/", host: String = "8000-one.sbx.localhost", fields: String = "",
    body: String? = nil
) -> String {
    let length = body.map { "Content-Length: \($0.utf8.count)\r\n" } ?? ""
    return "\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\(length)\r\n\(body ?? "")"
}
