import BerthTestSupport
import CPlatform
import CurlClient
import DeploymentCore
import Foundation
import Glibc
import Sandboxes
import Testing

@testable import LocalSandbox

extension Descriptor {
    /// Watches any process.
    convenience init(ofProcess pid: Int32) throws { self.init(try check(berth_pidfd_open(pid), "process \(pid)")) }
}

/// An executable script.
private func script(_ text: String, in folder: String) throws -> String {
    let path = "\(folder)/script-\(UUID().uuidString.prefix(8))"
    try SandboxFolder.write(Array("#!/bin/sh\n\(text)\n".utf8), to: path, mode: 0o755)
    return path
}

@Suite struct FailureTests {
    @Test func launcherThatFailsSaysWhy() async throws {
        try await withTemporaryFolder { folder in
            let broken = try script("echo 'bwrap: No permissions to create new namespace' >&2; exit 3", in: folder)
            try await withEngine(.namespaces, agent: "/bin/true", bubblewrap: broken, identities: { .refused }) {
                engine in
                let error = await #expect(throws: BerthError.self) { _ = try await engine.sandbox() }
                #expect(error?.code == .sandbox)
                #expect(error?.message.contains("exit code 3") == true, "\(String(describing: error))")
                #expect(error?.message.contains("No permissions to create new namespace") == true)
                #expect(error?.suggestion != nil)
                #expect(engine.leaks() == [])
            }
        }
    }

    @Test func missingLauncherSaysHowToInstallIt() async throws {
        try await withEngine(.namespaces, agent: "/bin/true", bubblewrap: nil) { engine in
            let error = await #expect(throws: BerthError.self) { _ = try await engine.sandbox() }
            #expect(error?.suggestion?.contains("apt install bubblewrap") == true)
            #expect(engine.leaks() == [])
        }
    }

    @Test(arguments: Machine.everyRung)
    func agentThatEndsAtOnceIsReported(_ isolation: Isolation) async throws {
        try await withTemporaryFolder { folder in
            let agent = try script("echo 'agent trouble' >&2; exit 9", in: folder)
            try await withEngine(isolation, agent: agent) { engine in
                let error = await #expect(throws: BerthError.self) { _ = try await engine.sandbox() }
                #expect(error?.message.contains("exit code 9") == true, "\(String(describing: error))")
                #expect(error?.message.contains("agent trouble") == true)
                #expect(engine.leaks() == [])
            }
        }
    }

    @Test(arguments: Machine.everyRung)
    func cancelledCreationLeavesNothing(_ isolation: Isolation) async throws {
        try await withTemporaryFolder { folder in
            let agent = try script("sleep 600 & exec sleep 600", in: folder)
            try await withEngine(isolation, agent: agent) { engine in
                let specification = engine.specification()
                let creation = Task { _ = try await engine.provider.create(specification) }
                // The agent runs, but never answers.
                let marked = { ProcessTable.members(of: specification.id, roots: []).count }
                while marked() < 2 { await Task.yield() }
                creation.cancel()
                await #expect(throws: CancellationError.self) { try await creation.value }
                #expect(engine.leaks() == [])
            }
        }
    }

    @Test(arguments: Machine.everyRung)
    func creationCancelledBeforeItBeginsLeavesNothing(_ isolation: Isolation) async throws {
        try await withEngine(isolation, agent: "/bin/true") { engine in
            let specification = engine.specification()
            let creation = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                _ = try await engine.provider.create(specification)
            }
            await #expect(throws: CancellationError.self) { try await creation.value }
            #expect(engine.leaks() == [])
        }
    }

    @Test func recycledProcessNumberIsNotKilled() async throws {
        try await withEngine(.process, agent: "/bin/true") { engine in
            let bystander = try Child.spawn(["/bin/sleep", "600"], environment: [:], folder: "/", descriptors: [])
            defer {
                bystander.kill()
                _ = bystander.wait(limit: .seconds(5))
            }
            let now = try #require(ProcessTable.entry(bystander.pid)?.identity)
            let specification = engine.specification()
            let folder = engine.provider.sandboxFolder(specification.id)
            _ = try engine.provider.rootDescriptor()
            let earlier = ProcessIdentity(pid: now.pid, startTime: now.startTime - 1)
            try folder.make(
                SandboxState(
                    id: specification.id, labels: specification.labels, isolation: .namespaces, port: 1,
                    boot: ProcessTable.boot, process: earlier))
            try SandboxFolder.write(
                Array("{\"child-pid\": \(now.pid)}".utf8), to: "\(folder.path)/\(SandboxFolder.infoName)")
            #expect(try await engine.provider.list().map(\.isAlive) == [false])
            try await engine.provider.destroy(specification.id)
            #expect(ProcessTable.isAlive(now))
        }
    }

    @Test func stateOfAnotherBootIsDead() async throws {
        try await withEngine(.process, agent: "/bin/true") { engine in
            let me = try #require(ProcessTable.entry(getpid())?.identity)
            let specification = engine.specification()
            _ = try engine.provider.rootDescriptor()
            try engine.provider.sandboxFolder(specification.id).make(
                SandboxState(
                    id: specification.id, labels: specification.labels, isolation: .process, port: 1,
                    boot: "another", process: me))
            #expect(try await engine.provider.list().map(\.isAlive) == [false])
            try await engine.provider.destroy(specification.id)
        }
    }

    @Test(arguments: [
        "/", "/etc", "/usr/lib", "/proc/1", "/home/user", "/opt/berth/agent", "relative", "/a/../b", "/a//b",
    ])
    func mountsOverTheSystemAreRefused(_ target: String) async throws {
        try await withEngine(.process, agent: "/bin/true") { engine in
            let specification = engine.specification([.init(source: "/usr/share", target: target)])
            await #expect(throws: BerthError.self) { _ = try await engine.provider.create(specification) }
            #expect(!FileManager.default.fileExists(atPath: engine.folder))
        }
    }

    @Test func folderWithALongPathWorks() async throws {
        try await withTemporaryFolder { parent in
            let folder = parent + "/" + String(repeating: "long/", count: 40)
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let directory = try Descriptor(folder: folder)
            let listener = Descriptor(try check(berth_unix_listen(directory.number, "s", 1), "listen"))
            let socket = Descriptor(try check(berth_unix_connect(directory.number, "s"), "connect"))
            withExtendedLifetime((listener, socket)) {}
        }
    }
}

@Suite(needsAgent) struct EngineTests {
    @Test func probeTriesEveryRung() async throws {
        let client = CurlClient()
        defer { client.close() }
        let engine = LocalEngine(agent: try #require(Machine.agent), client: client)
        let reports = await engine.probe()
        #expect(reports.map(\.isolation) == [.gvisor, .namespaces, .landlock, .process])
        let gvisor = GvisorTrial.cached(bubblewrap: BubblewrapCommand.find(), runsc: GvisorCommand.find())
        #expect(
            reports.map(\.works) == [gvisor.works, Machine.trial.works, Machine.confinement?.works, true],
            "\(reports)")
        for report in reports where report.works { print("rung \(report.isolation): \(report.milliseconds ?? -1) ms") }
    }
}
