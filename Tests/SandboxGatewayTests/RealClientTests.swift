import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import SandboxGateway

/// A Python with real clients in it, made once for all tests.
enum Clients {
    static let packages = ["websockets==15.0.1", "httpx[http2]==0.28.1"]
    static let folder = FileManager.default.temporaryDirectory.appending(path: "berth-test-gateway-clients").path
    static let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "python/client.py").path

    /// Why there are none; nil when there are.
    static let obstacle: String? = {
        guard run("uv", ["--version"]) == 0 else { return "uv is not on the PATH" }
        let python = "\(folder)/bin/python"
        if run(python, ["-c", "import websockets, httpx, h2"]) == 0 { return nil }
        guard run("uv", ["venv", "-q", "--clear", folder]) == 0 else { return "uv makes no environment" }
        guard run("uv", ["pip", "install", "-q", "--python", python] + packages) == 0 else {
            return "the package index cannot be reached"
        }
        return nil
    }()

    private static func run(_ name: String, _ arguments: [String]) -> Int32 {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [name] + arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return -1 }
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// Runs a verb of the script; `begun` is called when it says so.
    static func run(_ verb: String, _ world: World, begun: @escaping @Sendable () -> Void = {}) async throws {
        let process = Process()
        process.executableURL = URL(filePath: "\(folder)/bin/python")
        process.arguments = [script, verb, "\(world.port)", "\(world.tlsPort)", world.authority, world.folder]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let handle = output.fileHandleForReading
        let text = try await onThread {
            var text = ""
            var hasBegun = false
            while case let data = handle.availableData, !data.isEmpty {
                text += String(decoding: data, as: UTF8.self)
                if text.contains("begun"), !hasBegun {
                    hasBegun = true
                    begun()
                }
            }
            return text
        }
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(text)")
    }
}

extension Trait where Self == ConditionTrait {
    /// Skips, with the reason, where real clients cannot be installed.
    static var realClients: Self {
        .enabled("needs uv and a package index: \(Clients.obstacle ?? "")") { Clients.obstacle == nil }
    }
}

@Suite(.realClients) struct RealClientTests {
    @Test func webSocketsWorkWithAndWithoutTLS() async throws {
        try await withWorld(tls: true) { world in
            let path = "\(world.folder)/ws.sock"
            world.doors.change("one") { $0.paths[8000] = path }
            try await Clients.run("websocket", world)
        }
    }

    @Test func HTTP2CarriesManyRequestsAtOnce() async throws {
        try await withWorld(tls: true) { world in
            try await Clients.run("http2", world)
            #expect(world.gateway.shared.largestBuffer < StreamingTests.buffer)
        }
    }

    @Test func forgedRequestsOfHTTP2GetNowhere() async throws {
        try await withWorld(tls: true) { world in
            try await Clients.run("forged", world)
            #expect(world.doors.connects.allSatisfy { $0 == "one:8000" })
        }
    }

    private static func endless(_ connection: ScriptedConnection) {
        _ = connection.readRequest()
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        connection.awaitClose()
    }

    @Test(arguments: ["broken", "broken1"])
    func anAnswerOverTLSIsResetWithItsSandbox(_ verb: String) async throws {
        try await withWorld(tls: true, script: { Self.endless($0) }) { world in
            try await Clients.run(verb, world) { world.doors.kill("one") }
        }
    }
}

@Suite struct DescriptorTests {
    private func descriptors() -> Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []).count
    }

    @Test func nothingStaysOpen() async throws {
        // What is made once for the whole process is not a leak.
        try await useEverything()
        let before = descriptors()
        for _ in 0..<5 { try await useEverything() }
        #expect(descriptors() <= before)
    }

    private func useEverything() async throws {
        try await withWorld(tls: true) { world in
            for index in 0..<20 {
                let answer = try await world.exchange(request(host: index % 2 == 0 ? "8000-one.a" : "81-one.a"))
                #expect(answer.status == (index % 2 == 0 ? 200 : 502))
            }
            let (near, far) = try Wire.pair()
            world.doors.change("one") { $0.sockets[8000] = far }
            try await onThread {
                let wire = try world.connect()
                try wire.send(request(fields: "Connection: Upgrade\r\nUpgrade: echo\r\n"))
                _ = try near.read(through: "\r\n\r\n")
                try near.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
                _ = try wire.read(through: "\r\n\r\n")
                world.doors.kill("one")
                #expect(near.isAtEnd())
                wire.close()
                near.close()
            }
        }
    }
}
