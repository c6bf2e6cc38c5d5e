import BerthTestSupport
import CurlClient
import DeploymentCore
import Foundation
import HostedSandboxes
import Sandboxes
import Testing

@testable import LocalSandbox

/// The code interpreter, asked by the official SDK.
@Suite(.realPackages) struct InterpreterTests {
    /// The newest, and an older one with the `e2b` of its time.
    static let newest = (interpreter: "2.11.5", base: "2.63.0")
    static let older = (interpreter: "2.9.1", base: "2.46.0")

    /// The server as a plain process on a free port, ended afterwards.
    private func withServer(_ body: (_ port: Int) async throws -> Void) async throws {
        try await withImage { image in
            let environment = try #require(image.mounts.first { $0.target == "/opt/env" })
            let server = try #require(image.mounts.first { $0.target == "/opt/interpreter" })
            try await withTemporaryFolder { home in
                let process = Process()
                process.executableURL = URL(filePath: "\(environment.source)/bin/python")
                process.arguments = ["\(server.source)/serve.py", "0"]
                process.environment = ["HOME": home, "PATH": Machine.variables["PATH"] ?? "", "TMPDIR": home]
                process.environment?["BERTH_AGENT"] = "http://127.0.0.1:1"
                let output = Pipe()
                process.standardOutput = output
                process.standardInput = FileHandle.nullDevice
                let ended = AsyncStream<Void>.makeStream()
                process.terminationHandler = { _ in ended.continuation.finish() }
                try process.run()
                do {
                    let reading = output.fileHandleForReading
                    let line = await blocking {
                        var text = ""
                        while !text.hasSuffix("\n"), case let data = reading.availableData, !data.isEmpty {
                            text += String(decoding: data, as: UTF8.self)
                        }
                        return text.trimmingCharacters(in: .newlines)
                    }
                    let port = try #require(line.split(separator: " ").last.flatMap { Int($0) }, "\(line)")
                    try await body(port)
                } catch {
                    process.terminate()
                    for await _ in ended.stream {}
                    throw error
                }
                process.terminate()
                for await _ in ended.stream {}
                #expect(LeakAudit(root: home, sandboxes: []).processes() == [])
            }
        }
    }

    @Test(.timeLimit(.minutes(10))) func newestSDKRunsCode() async throws {
        try await withServer { try await check(port: $0, sdk: Self.newest) }
    }

    @Test(.timeLimit(.minutes(10))) func olderSDKRunsCode() async throws {
        try await withServer {
            try await check(
                port: $0, sdk: Self.older, "Cells.test_state_goes_from_cell_to_cell", "Contexts", "Results", "Charts",
                "Variables", "Asynchronous")
        }
    }

    @Test(.namespaces, .timeLimit(.minutes(10))) func codeRunsInASandbox() async throws {
        try await withImage { image in
            try await withSandbox(of: image) { sandbox in
                let agent = try #require(sandbox.agent)
                let body = #"{"accessToken": "t0ken", "envVars": {"SHARED": "everywhere"}}"#
                let reply = try await agent.send(
                    .init(
                        method: "POST", target: "/init", headers: [("Content-Type", "application/json")],
                        body: .bytes(Array(body.utf8))))
                #expect(reply.status == 204)
                let bridge = try PortBridge(sandbox, to: InterpreterTemplate.port)
                do {
                    try await check(
                        port: bridge.port, sdk: Self.newest,
                        environment: ["CHECK_SANDBOX": "1", "CHECK_TOKEN": "t0ken"])
                } catch {
                    await bridge.close()
                    throw error
                }
                await bridge.close()
            }
        }
    }

    /// A sandbox whose start command runs and whose ready command has ended with 0.
    private func withSandbox(
        of image: SandboxImage, _ body: (any Sandbox) async throws -> Void
    ) async throws {
        let agent = try #require(Machine.agent)
        try await withTemporaryFolder { parent in
            let client = CurlClient()
            defer { client.close() }
            let provider = LocalProvider(
                folder: parent + "/sandboxes", agent: agent, isolation: .namespaces, client: client)
            let id = "t" + UUID().uuidString.filter { $0 != "-" }.lowercased().prefix(20)
            let labels = SandboxLabels(deployment: "demo", nonce: "nonce-\(id)", rollout: "rollout-\(id)")
            let sandbox = try await provider.create(SandboxSpecification(id: id, labels: labels, mounts: image.mounts))
            do {
                let start = try #require(image.startCommand)
                _ = try await sandbox.start(
                    ProcessSpecification(
                        tag: "start", command: ["/bin/sh", "-c", start], environment: image.environment))
                let ready = try await sandbox.start(
                    ProcessSpecification(
                        tag: "ready", command: ["/bin/sh", "-c", try #require(image.readyCommand)],
                        environment: image.environment))
                var said = ""
                for try await event in ready.events {
                    switch event {
                    case .stdout(let bytes), .stderr(let bytes): said += String(decoding: bytes, as: UTF8.self)
                    case .ended(let status): #expect(status == .exited(code: 0), "\(said)")
                    }
                }
                try await body(sandbox)
            } catch {
                try await provider.destroy(id)
                throw error
            }
            try await provider.destroy(id)
            #expect(LeakAudit(root: parent + "/sandboxes", sandboxes: [id]).findings() == [])
        }
    }
}
