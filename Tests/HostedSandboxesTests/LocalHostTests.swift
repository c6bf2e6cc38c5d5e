import BerthTestSupport
import CurlClient
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Glibc
import LocalSandbox
import Sandboxes
import Testing

@testable import HostedSandboxes

/// What this machine has for real sandboxes.
private enum Machine {
    static let agent: String? = {
        let given = ProcessInfo.processInfo.environment["BERTH_TEST_AGENT"]
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let beside = own.map { ($0 as NSString).deletingLastPathComponent + "/berth-agent" }
        return [given, beside].compactMap { $0 }.first { access($0, X_OK) == 0 }
    }()

    /// What keeps namespaces from working; nil when they do.
    static func obstacle() async -> String? {
        guard let agent else { return "berth-agent is not built" }
        let client = CurlClient()
        defer { client.close() }
        let provider = LocalProvider(folder: "/nonexistent", agent: agent, isolation: nil, client: client)
        do {
            let isolation = try await provider.capabilities().isolation
            return isolation.sharesHost ? "namespaces do not work here, \(isolation.rawValue) does" : nil
        } catch {
            return "\(error)"
        }
    }
}

@Suite struct LocalHostTests {
    @Test func aRealSandboxIsSetUpPausedFoundAgainAndRemoved() async throws {
        if let obstacle = await Machine.obstacle() { try Test.cancel("needs namespaces: \(obstacle)") }
        let agent = try #require(Machine.agent)
        try await withTemporaryFolder { folder in
            let archive = try Self.archive(in: folder)
            let image = SandboxImage(
                template: "t1", build: "b1", archive: archive, environment: ["FROM_IMAGE": "yes"],
                startCommand: "echo started; touch /tmp/started; exec sleep 1000",
                readyCommand: "test -e /tmp/started")
            let client = CurlClient()
            defer { client.close() }
            func host() throws -> SandboxHost { try Self.host(folder, agent, image, client) }
            let first = try host()
            let handle = try await first.create(
                SandboxCreation(template: "t1", timeout: 600, environment: ["MINE": "1"]), .second)
            let id = handle.sandbox
            let audit = LeakAudit(root: "\(folder)/sandboxes", sandboxes: [id])
            let boot = try await Self.run(first, handle, "cat /proc/self/stat >/dev/null; cat /home/user/from-archive")
            #expect(boot == "in the archive\n")
            let told = try await Self.run(
                first, handle, "echo $FROM_IMAGE $MINE $E2B_SANDBOX_ID $(pwd); cat /run/e2b/.E2B_SANDBOX_ID")
            #expect(told == "yes 1 \(id) /home/user\n\(id)")
            // Without its token the agent answers nothing.
            let stranger = try await first.enter(id).sandbox
            await #expect(throws: BerthError.self) { try await stranger.listeners() }
            let number = try await stranger.connectToAgent()
            #expect(number >= 0)
            Glibc.close(number)

            try await first.pause(id)
            await #expect(throws: HostedRefusal.notFound) { try await first.enter(id) }
            await first.close()
            let second = try host()
            #expect(try await second.recover().isEmpty)
            #expect(try await second.information(id).state == .paused)
            let again = try await second.connect(id, timeout: 60)
            #expect(again.isResumed && again.handle.agentToken == handle.agentToken)
            #expect(try await Self.run(second, handle, "pgrep -c sleep || true; echo") != "0\n\n")
            await second.measure()
            #expect(try await second.measurements(id).last?.memoryUsed ?? 0 > 0)
            try await second.kill(id)
            #expect(audit.findings().isEmpty)
            #expect(try await second.list(SandboxQuery()).rows.isEmpty)
            await second.close()
        }
    }

    @Test func aRealSandboxOutlivesItsProcessesWithItsFilesAlone() async throws {
        if let obstacle = await Machine.obstacle() { try Test.cancel("needs namespaces: \(obstacle)") }
        let agent = try #require(Machine.agent)
        try await withTemporaryFolder { folder in
            let image = SandboxImage(
                template: "t1", build: "b1", archive: try Self.archive(in: folder),
                startCommand: "echo start >> /home/user/starts; exec sleep 1000",
                readyCommand: "test -e /home/user/starts")
            let client = CurlClient()
            defer { client.close() }
            let first = try Self.host(folder, agent, image, client)
            let handle = try await first.create(
                SandboxCreation(
                    template: "t1", timeout: 600, metadata: ["who": "me"], environment: ["MINE": "1"]), .second)
            let id = handle.sandbox
            let audit = LeakAudit(root: "\(folder)/sandboxes", sandboxes: [id])
            let plant = """
                cd /home/user; echo mine > kept; chmod 640 kept; ln -s kept link; rm from-archive; echo t > /tmp/kept
                echo gone > /dev/shm/gone; nohup sh -c 'while :; do date +%N >> ticks; done' > /dev/null 2>&1 & echo
                """
            _ = try await Self.run(first, handle, plant)
            let before = try await first.information(id)
            try await first.pause(id, keepsMemory: false)
            // Nothing of it is left but its files.
            #expect(audit.findings().isEmpty)
            let archives = "\(folder)/images"
            #expect(try FileManager.default.contentsOfDirectory(atPath: archives).count == 1)
            await first.close()

            let second = try Self.host(folder, agent, image, client)
            #expect(try await second.recover().isEmpty)
            #expect(try await second.information(id).pauseMode == .filesystem)
            let again = try await second.connect(id, timeout: 60)
            #expect(again.isResumed && again.handle == handle)
            #expect(try await second.information(id).metadata == before.metadata)
            let look = """
                cd /home/user; cat link /tmp/kept; stat -c '%a %U' kept; ls from-archive /dev/shm/gone 2>/dev/null
                echo $MINE $E2B_SANDBOX_ID; wc -l < starts; pgrep -c date
                """
            #expect(try await Self.run(second, handle, look) == "mine\nt\n640 user\n1 \(id)\n2\n0\n")
            #expect(try FileManager.default.contentsOfDirectory(atPath: archives).isEmpty)
            // The second generation is as good as the first one.
            try await second.pause(id)
            #expect(try await second.connect(id, timeout: 60, keepsMemory: false).isResumed)
            #expect(try await Self.run(second, handle, "cat /home/user/link; wc -l < /home/user/starts") == "mine\n3\n")
            try await second.pause(id, keepsMemory: false)
            try await second.kill(id)
            #expect(audit.findings().isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: archives).isEmpty)
            await second.close()
        }
    }

    @Test func processesThatACrashedPauseStoppedGoOn() async throws {
        if let obstacle = await Machine.obstacle() { try Test.cancel("needs namespaces: \(obstacle)") }
        let agent = try #require(Machine.agent)
        try await withTemporaryFolder { folder in
            let client = CurlClient()
            defer { client.close() }
            let first = try Self.host(folder, agent, SandboxImage(template: "t1", build: "b1"), client)
            let handle = try await first.create(SandboxCreation(template: "t1", timeout: 600), .second)
            _ = try await Self.run(first, handle, "nohup sleep 1000 > /dev/null 2>&1 & kill -STOP $!")
            await first.close()
            let store = try DeploymentStore(path: "\(folder)/berth.sqlite")
            var record = try #require(try store.hostedSandbox(handle.sandbox))
            record.state = .pausing
            record.pauseMode = .filesystem
            try store.write(record)
            let second = try Self.host(folder, agent, SandboxImage(template: "t1", build: "b1"), client)
            #expect(try await second.recover().isEmpty)
            #expect(try await second.information(handle.sandbox).state == .running)
            #expect(
                try await Self.run(second, handle, "grep -h '(sleep)' /proc/[0-9]*/stat | cut -d' ' -f3") == "S\n")
            try await second.kill(handle.sandbox)
            await second.close()
        }
    }

    private static func host(
        _ folder: String, _ agent: String, _ image: SandboxImage, _ client: CurlClient
    ) throws -> SandboxHost {
        let store = try DeploymentStore(path: "\(folder)/berth.sqlite")
        let now: @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1_000) }
        let images = ImageStore(
            store: store, folder: "\(folder)/images", builtIn: [image.template: { image }], now: now)
        return SandboxHost(
            SandboxHost.Surroundings(
                store: store,
                provider: LocalProvider(
                    folder: "\(folder)/sandboxes", agent: agent, isolation: .namespaces, client: client),
                images: images, files: images, tokens: SandboxTokens(seed: Array(repeating: 1, count: 32)), now: now))
    }

    /// Runs a shell command with the sandbox's token; what it printed.
    private static func run(_ host: SandboxHost, _ handle: SandboxHandle, _ command: String) async throws -> String {
        let sandbox = try await host.enter(handle.sandbox).sandbox
        let agent = try #require(sandbox.agent).with([("X-Access-Token", handle.agentToken ?? "")])
        let process = try await agent.start(
            ProcessSpecification(tag: "", command: ["/bin/sh", "-c", command]))
        var output: [UInt8] = []
        for try await event in process.events { if case .stdout(let bytes) = event { output += bytes } }
        return String(decoding: output, as: UTF8.self)
    }

    private static func archive(in folder: String) throws -> String {
        let root = "\(folder)/root/home/user"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        try Data("in the archive\n".utf8).write(to: URL(filePath: "\(root)/from-archive"))
        let tar = Process()
        tar.executableURL = URL(filePath: "/usr/bin/tar")
        tar.arguments = [
            "-c", "-f", "\(folder)/image.tar", "--owner=1000", "--group=1000", "-C", "\(folder)/root",
            "home/user/from-archive",
        ]
        try tar.run()
        tar.waitUntilExit()
        try #require(tar.terminationStatus == 0)
        return "\(folder)/image.tar"
    }
}
