import ControlAPI
import ControlPlane
import DeploymentCore
import Foundation
import Glibc
import Testing

/// What SIGTERM and Ctrl-C make of a control plane and of what is under way.
@Suite(.timeLimit(.minutes(5))) struct StopTests {
    /// An app whose predictions wait for SIGUSR1 where the input says so.
    private static let patient = PlainApp(
        prologue: """
            import builtins
            import signal
            import threading
            go = threading.Event()
            signal.signal(signal.SIGUSR1, lambda *_: go.set())
            def sum(numbers):
                if numbers[0] == 0:
                    print("waiting", flush=True)
                    go.wait()
                return builtins.sum(numbers)

            """)

    @Test(arguments: [SIGTERM, SIGINT])
    func requestInFlightIsAnsweredAndNoOtherIsTaken(_ signal: Int32) async throws {
        try await CLI.with { cli in
            let first = try await cli.serve()
            try await cli.succeed("deploy", try Self.patient.write(cli))
            let before = try await cli.status("plain")
            let log = try cli.start(["logs", "plain", "--follow"])
            let port = try cli.endpoint().gatewayPort
            let waiting = Task { try await cli.ask("plain/predict", "{\"input\": [0, 1]}") }
            try await log.prints("waiting")
            first.signal(signal)
            while Self.isListening(port) {}
            for pid in cli.processes(ofSandbox: try #require(before.sandbox)) where Self.isPython(pid) {
                kill(pid, SIGUSR1)
            }
            let answer = try await waiting.value
            #expect(answer.status == 200)
            #expect(try answer.json()["sum"] == 1)
            let ending = await cli.finish(first)
            #expect(ending.status == 0 && ending.signal == nil, "\(ending.all)")
            _ = await cli.finish(log)
            #expect(cli.noteSandboxes() == [before.sandbox])

            let second = try await cli.serve()
            #expect(try await cli.status("plain").sandbox == before.sandbox)
            #expect(try await cli.sum().sum == 6.5)
            try await cli.succeed("down")
            #expect(await cli.finish(second).status == 0)
        }
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func secondSignalEndsItAtOnce(_ signal: Int32) async throws {
        try await CLI.with { cli in
            let first = try await cli.serve()
            try await cli.succeed("deploy", try Self.patient.write(cli))
            let before = try await cli.status("plain")
            let log = try cli.start(["logs", "plain", "--follow"])
            let port = try cli.endpoint().gatewayPort
            let waiting = Task { try await cli.ask("plain/predict", "{\"input\": [0, 1]}") }
            try await log.prints("waiting")
            first.signal(signal)
            while Self.isListening(port) {}
            first.signal(signal)
            #expect(await cli.finish(first).signal == signal)
            #expect((try? await waiting.value) == nil)
            _ = await cli.finish(log)

            // Nothing of it is lost.
            let second = try await cli.serve()
            #expect(try await cli.status("plain").sandbox == before.sandbox)
            #expect(try await cli.sum().sum == 6.5)
            try await cli.succeed("down")
            #expect(await cli.finish(second).status == 0)
        }
    }

    @Test func rolloutIsCancelledAndUndoneByAStop() async throws {
        try await CLI.with { cli in
            let first = try await cli.serve()
            let manifest = try PlainApp().write(cli)
            try await cli.succeed("deploy", manifest)
            let before = try await cli.status("plain")
            try PlainApp(version: 2, port: nil).write(cli)
            let deploy = try cli.start(["deploy", manifest])
            try await deploy.says(" start  ")
            first.signal(SIGTERM)
            let outcome = await cli.finish(deploy)
            #expect(outcome.status == 130, "\(outcome.all)")
            #expect(outcome.stderr.contains("the rollout was cancelled, everything of it is undone"))
            #expect(await cli.finish(first).status == 0)
            #expect(cli.noteSandboxes() == [before.sandbox])
            let second = try await cli.serve()
            let history = try await cli.json([RevisionResource].self, "history", "plain")
            #expect(history.map(\.status) == ["failed", "active"])
            #expect(try await cli.sum().version == 1)
            try await cli.succeed("down")
            #expect(await cli.finish(second).status == 0)
        }
    }

    /// Whether somebody accepts connections on a port of 127.0.0.1.
    private static func isListening(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func isPython(_ pid: Int32) -> Bool {
        let command = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        return String(decoding: command.prefix(200), as: UTF8.self).contains("python")
    }
}
