import CurlClient
import DeploymentCore
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

@Suite(needsAgent) struct SandboxContentTests {
    @Test(arguments: Machine.everyRung)
    func writtenFileIsRead(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox()
            let path = "\(sandbox.appFolder)/deep/er/häß lich&?.bin"
            let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
            try await sandbox.write(bytes, to: path, executable: false)
            #expect(try await sandbox.read(path, limit: 1 << 20) == bytes)
            await #expect(throws: BerthError.self) { _ = try await sandbox.read(path, limit: 1000) }
        }
    }

    @Test(arguments: Machine.everyRung)
    func missingFileIsNotFound(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox()
            let error = await #expect(throws: BerthError.self) {
                _ = try await sandbox.read("\(sandbox.appFolder)/nothing", limit: 100)
            }
            #expect(error?.code == .notFound)
        }
    }

    @Test(arguments: Machine.everyRung)
    func executableFileRuns(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox()
            let path = "\(sandbox.appFolder)/run.sh"
            try await sandbox.write(Array("#!/bin/sh\necho ran\n".utf8), to: path, executable: true)
            let process = try await sandbox.start(ProcessSpecification(tag: "run", command: [path]))
            #expect(try await output(of: process) == Output(stdout: "ran\n", status: .exited(code: 0)))
        }
    }

    @Test(arguments: Machine.everyRung)
    func processHasItsEnvironmentFolderAndExitCode(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox()
            let output = try await sandbox.shell(
                "echo \"$NAME in $PWD\"; echo trouble >&2; exit 7", environment: ["NAME": "model"])
            #expect(output.stdout == "model in \(sandbox.appFolder)\n")
            #expect(output.stderr == "trouble\n")
            #expect(output.status == .exited(code: 7))
        }
    }

    @Test(arguments: Machine.everyRung)
    func outputKeepsItsOrder(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox()
            let output = try await sandbox.shell("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done")
            #expect(output.stdout == (0..<2000).map { "line \($0)\n" }.joined())
        }
    }

    @Test(arguments: [(SIGTERM, EndStatus.signalled(SIGTERM)), (SIGKILL, .signalled(SIGKILL))])
    func signalEndsTheProcess(_ signal: Int32, _ status: EndStatus) async throws {
        try await withEngine(.process) { engine in
            let sandbox = try await engine.sandbox()
            let process = try await sandbox.start(
                ProcessSpecification(tag: "sleep", command: ["/bin/sh", "-c", "echo up; exec sleep 600"]))
            var ended: EndStatus?
            for try await event in process.events {
                if case .stdout = event { try await process.signal(signal) }
                if case .ended(let status) = event { ended = status }
            }
            #expect(ended == status)
            try await process.signal(signal)
        }
    }

    @Test(needsPython, arguments: Machine.everyRung)
    func serverIsReachedThroughTheAgent(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox()
            _ = try await sandbox.serve("hello")
            for _ in 0..<20 { #expect(try await sandbox.ask(engine.client) == "hello") }
            let listeners = try await sandbox.listeners().filter { $0.port == sandbox.port }
            #expect(listeners.map(\.tag) == ["app"])
        }
    }

    @Test(arguments: Machine.everyRung)
    func portWithoutListenerIsRefused(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let sandbox = try await engine.sandbox()
            await #expect(throws: PortRefused.self) { _ = try await sandbox.connect(port: sandbox.port) }
        }
    }

    @Test(needsPython, arguments: Machine.everyRung)
    func twoSandboxesServeAtOnce(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            let first = try await engine.sandbox()
            let second = try await engine.sandbox()
            #expect((first.port == second.port) == !isolation.sharesHost)
            _ = try await first.serve("first")
            _ = try await second.serve("second")
            #expect(try await first.ask(engine.client) == "first")
            #expect(try await second.ask(engine.client) == "second")
        }
    }

    @Test(arguments: Machine.everyRung)
    func mountsAppearAtTheirTargets(_ isolation: Isolation) async throws {
        try await withEngine(isolation) { engine in
            _ = try await engine.provider.list()
            let source = engine.folder + ".model"
            try SandboxFolder.write(Array("weights".utf8), to: source, mode: 0o644)
            let mount = SandboxSpecification.Mount(source: source, target: "/home/user/app/models/m.bin")
            let sandbox = try await engine.sandbox([mount])
            #expect(sandbox.path(of: mount) == "\(sandbox.appFolder)/models/m.bin")
            #expect(try await sandbox.read(sandbox.path(of: mount), limit: 100) == Array("weights".utf8))
            _ = try await sandbox.shell("echo changed > models/m.bin")
            #expect(try SandboxFolder.read(source, limit: 100) == Array("weights".utf8))
        }
    }
}
