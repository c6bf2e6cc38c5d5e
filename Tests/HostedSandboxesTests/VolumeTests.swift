import BerthTestSupport
import CurlClient
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import LocalSandbox
import Sandboxes
import Testing
import Waiting

@testable import HostedSandboxes

/// Volumes and their sandboxes on the real engine.
private struct VolumeBench: Sendable {
    let folder: String
    let provider: LocalProvider
    let host: SandboxHost
    let volumes: Volumes
    let clock = TestClock()

    init(folder: String, client: CurlClient, identities: Bool) throws {
        self.folder = folder
        provider = LocalProvider(
            folder: "\(folder)/sandboxes", agent: try #require(ImageMachine.agent), isolation: .namespaces,
            client: client, identities: identities)
        let store = try DeploymentStore(path: "\(folder)/berth.sqlite")
        let tokens = SandboxTokens(seed: Array(repeating: 5, count: SandboxTokens.seedLength))
        let clock = clock
        let now: @Sendable () -> Int64 = { 1_700_000_000_000 + Int64(clock.now.offset.milliseconds) }
        let images = ImageStore(
            store: store, folder: "\(folder)/images", builtIn: ["base": { BuiltInImages.base }], now: now)
        host = SandboxHost(
            SandboxHost.Surroundings(
                store: store, provider: provider, images: images, files: images, volumes: "\(folder)/volumes",
                tokens: tokens, now: now))
        volumes = Volumes(
            store: store, provider: provider, folder: "\(folder)/volumes", tokens: tokens, clock: clock, now: now)
    }

    /// - Parameter identities: whether sandboxes have ids of their own, where the host grants some.
    static func with(identities: Bool = true, _ body: (VolumeBench, CurlClient) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let client = CurlClient()
            defer { client.close() }
            let bench = try VolumeBench(folder: folder, client: client, identities: identities)
            do {
                try await body(bench, client)
            } catch {
                await bench.end()
                throw error
            }
            await bench.end()
            #expect(bench.sandboxes == [])
        }
    }

    func end() async {
        _ = await host.killAll()
        await volumes.close()
        await host.close()
    }

    /// What the engine has.
    var sandboxes: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/sandboxes")) ?? []).sorted()
    }

    /// Runs a shell command in a new sandbox that mounts a volume, and ends it unless it is to stay; what it printed.
    func run(_ command: String, mounting name: String, at path: String = "/mnt/data") async throws -> String {
        let made = try await make(mounting: name, at: path)
        let output = try await run(command, in: made)
        try await host.kill(made.sandbox)
        return output
    }

    func run(_ command: String, in made: SandboxHandle) async throws -> String {
        let sandbox = try await host.enter(made.sandbox).sandbox
        let agent = try #require(sandbox.agent).showing(token: made.agentToken ?? "")
        let process = try await agent.start(
            ProcessSpecification(tag: "", command: ["/bin/sh", "-c", command]))
        var output: [UInt8] = []
        for try await event in process.events {
            switch event {
            case .stdout(let bytes), .stderr(let bytes): output += bytes
            case .ended: break
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    func make(mounting name: String, at path: String = "/mnt/data") async throws -> SandboxHandle {
        try await host.create(
            SandboxCreation(template: "base", timeout: 600, volumes: [.init(name: name, path: path)]), .second)
    }

    func write(_ text: String, _ id: String, _ path: String, force: Bool = false) async throws -> VolumeEntry {
        try await volumes.write(id, try VolumePath(path), .none, force: force) { deliver in
            try await deliver(Array(text.utf8))
        }
    }

    func read(_ id: String, _ path: String) async throws -> String {
        let bytes = Locked<[UInt8]>([])
        try await volumes.read(id, try VolumePath(path)).send { chunk in bytes.withLock { $0 += chunk } }
        return String(decoding: bytes.withLock { $0 }, as: UTF8.self)
    }
}

extension VolumeAttributes {
    fileprivate static var none: VolumeAttributes {
        get throws { try VolumeAttributes { _ throws(ConnectError) in nil } }
    }
}

@Suite struct VolumeTests {
    private func failure(_ body: () async throws -> some Any) async -> String? {
        do {
            _ = try await body()
            return nil
        } catch {
            return (error as? VolumeFailure)?.code ?? "\(error)"
        }
    }

    @Test(needsImageAgent, needsImageNamespaces, arguments: [true, false])
    func contentsAndSandboxesSeeTheSameFiles(_ identities: Bool) async throws {
        try await VolumeBench.with(identities: identities) { bench, _ in
            let id = try await bench.volumes.create("data").volume
            let written = try await bench.write("from outside", id, "/in/a.txt", force: true)
            #expect(written.path == "/in/a.txt" && written.size == 12 && written.mode == 0o644 && written.user == 1000)
            let seen = try await bench.run(
                "cd /mnt/data && cat in/a.txt && stat -c %U in in/a.txt && echo back >in/b.txt && ln -s /etc/passwd out",
                mounting: "data")
            #expect(seen == "from outsideuser\nuser\n")
            #expect(try await bench.read(id, "in/b.txt") == "back\n")
            let all = try await bench.volumes.entries(id, try VolumePath("/"), depth: 2)
            #expect(all.map(\.path) == ["/in", "/in/a.txt", "/in/b.txt", "/out"])
            #expect(all.map(\.kind) == [.directory, .file, .file, .symlink])
            #expect(all.last?.target == "/etc/passwd")
            #expect(await failure { try await bench.read(id, "/out") } == "INVALID_PATH")
            #expect(await failure { try await bench.write("x", id, "/out", force: true) } == "INVALID_PATH")
            #expect(await failure { try await bench.read(id, "/../../etc/hostname") } == "PATH_NOT_FOUND")
        }
    }

    @Test(needsImageAgent, needsImageNamespaces, arguments: [true, false])
    func everyOperationOnContentsDoesWhatItSays(_ identities: Bool) async throws {
        try await VolumeBench.with(identities: identities) { bench, _ in
            let id = try await bench.volumes.create("data").volume
            let volumes = bench.volumes
            #expect(await failure { try await bench.write("x", id, "/none/a") } == "PATH_NOT_FOUND")
            #expect(
                await failure { try await volumes.makeFolder(id, VolumePath("/a/b"), .none, force: false) }
                    == "PATH_NOT_FOUND")
            let folder = try await volumes.makeFolder(id, VolumePath("/a/b"), .none, force: true)
            #expect(folder.kind == .directory && folder.mode == 0o755)
            #expect(
                await failure { try await volumes.makeFolder(id, VolumePath("/a/b"), .none, force: false) }
                    == "PATH_ALREADY_EXISTS")
            _ = try await bench.write("one", id, "/a/b/f")
            #expect(await failure { try await bench.write("two", id, "/a/b/f") } == "PATH_ALREADY_EXISTS")
            #expect(try await bench.read(id, "/a/b/f") == "one")
            _ = try await bench.write("two", id, "/a/b/f", force: true)
            #expect(try await bench.read(id, "/a/b/f") == "two")
            let private_ = try await volumes.change(
                id, VolumePath("/a/b/f"), VolumeAttributes { name throws(ConnectError) in name == "mode" ? 0o600 : nil }
            )
            #expect(private_.mode == 0o600 && private_.user == 1000)
            for (path, code) in [("/a", "IS_A_DIRECTORY"), ("/x", "PATH_NOT_FOUND"), ("/a/b/f/g", "PATH_NOT_FOUND")] {
                #expect(await failure { try await bench.read(id, path) } == code)
            }
            #expect(
                await failure { try await volumes.entries(id, VolumePath("/a/b/f"), depth: 1) } == "NOT_A_DIRECTORY")
            #expect(await failure { try await volumes.entries(id, VolumePath("/"), depth: 11) } == "DEPTH_OUT_OF_RANGE")
            #expect(await failure { try await volumes.remove(id, VolumePath("/")) } == "CANNOT_DELETE_ROOT")
            // Half a file is none.
            struct Torn: Error {}
            await #expect(throws: Torn.self) {
                try await volumes.write(id, VolumePath("/torn"), .none, force: false) { deliver in
                    try await deliver([1, 2, 3])
                    throw Torn()
                }
            }
            try await volumes.remove(id, VolumePath("/a"))
            #expect(await failure { try await volumes.remove(id, VolumePath("/a")) } == "PATH_NOT_FOUND")
            #expect(try await volumes.entries(id, VolumePath("/"), depth: 10) == [])
        }
    }

    @Test(needsImageAgent, needsImageNamespaces, arguments: [true, false])
    func aVolumeOutlivesItsSandboxesAndTheServer(_ identities: Bool) async throws {
        try await VolumeBench.with(identities: identities) { bench, client in
            let id = try await bench.volumes.create("data").volume
            let made = try await bench.make(mounting: "data", at: "/home/user/data")
            _ = try await bench.write("kept", id, "/kept")
            await bench.volumes.close()
            await bench.host.close()
            let next = try VolumeBench(folder: bench.folder, client: client, identities: identities)
            #expect(try await next.host.recover() == [])
            #expect(try await next.volumes.recover() == [])
            #expect(
                try await next.host.information(made.sandbox).volumes == [.init(name: "data", path: "/home/user/data")])
            let refused = await ControlFailure.of { try await next.volumes.remove(id) }
            #expect(refused?.code == 409 && refused?.message.contains(made.sandbox) == true)
            try await next.host.pause(made.sandbox)
            #expect(await ControlFailure.of { try await next.volumes.remove(id) }?.code == 409)
            try await next.host.kill(made.sandbox)
            #expect(
                try await next.run(
                    "cat /mnt/data/kept; mkdir -p /mnt/data/a/b; chmod 000 /mnt/data/a", mounting: "data") == "kept")
            try await next.volumes.remove(id)
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(bench.folder)/volumes") == [])
            await next.end()
        }
    }

    @Test(needsImageAgent, needsImageNamespaces) func aSandboxThatStartsAnewHasItsVolumeAgain() async throws {
        try await VolumeBench.with { bench, _ in
            let id = try await bench.volumes.create("data").volume
            let made = try await bench.make(mounting: "data", at: "/home/user/data")
            _ = try await bench.run("echo before >data/f; echo own >own", in: made)
            try await bench.host.pause(made.sandbox, keepsMemory: false)
            #expect(bench.sandboxes == [])
            #expect(await ControlFailure.of { try await bench.volumes.remove(id) }?.code == 409)
            _ = try await bench.write("meanwhile", id, "/f", force: true)
            let again = try await bench.host.connect(made.sandbox, timeout: 600).handle
            // The volume is as others left it, the sandbox's own files as it left them itself.
            #expect(try await bench.run("cat data/f own", in: again) == "meanwhileown\n")
            try await bench.host.kill(made.sandbox)
        }
    }

    @Test(needsImageAgent, needsImageNamespaces) func whatNobodyNeedsIsRemovedAfterAWhile() async throws {
        try await VolumeBench.with { bench, _ in
            let id = try await bench.volumes.create("data").volume
            let running = Task { await bench.volumes.run() }
            _ = try await bench.write("x", id, "/x")
            #expect(bench.sandboxes.count == 1)
            while !bench.sandboxes.isEmpty {
                bench.clock.advance(by: .milliseconds(VolumeKeepers.rest))
                await Task.yield()
            }
            #expect(try await bench.read(id, "/x") == "x")
            #expect(bench.sandboxes.count == 1)
            running.cancel()
            await running.value
        }
    }

    @Test(needsImageAgent, needsImageNamespaces) func whatACrashLeftOfARemovalGoesAtTheNextStart() async throws {
        try await VolumeBench.with { bench, client in
            let id = try await bench.volumes.create("data").volume
            _ = try await bench.write("x", id, "/a/b/x", force: true)
            await bench.volumes.close()
            #expect(try DeploymentStore(path: "\(bench.folder)/berth.sqlite").removeVolume(id))
            let next = try VolumeBench(folder: bench.folder, client: client, identities: true)
            #expect(try await next.volumes.recover() == [])
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(bench.folder)/volumes") == [])
            await next.end()
        }
    }

    @Test func pathsDoNotLeadOut() throws {
        for (given, path) in [
            ("/", "/"), ("a", "/a"), ("/a/b/", "/a/b"), ("//a/./b", "/a/b"), ("../..", "/"), ("/a/../../b", "/b"),
        ] { #expect(try VolumePath(given).text == path) }
        for wrong in [nil, "", "a\0b", String(repeating: "x", count: 4_001)] {
            #expect(throws: VolumeFailure.self) { try VolumePath(wrong) }
        }
    }

    @Test func entriesAreReadWhateverTheirNames() throws {
        let text = "f\u{0}3\u{0}4755\u{0}7\u{0}8\u{0}1.5\u{0}-2.0\u{0}1700000000.1234567890\u{0}\u{0}a\nb/c\u{0}"
        let entry = try #require(try VolumeScript.entries(Array(text.utf8), below: "/base").first)
        #expect(entry.path == "/base/a\nb/c" && entry.mode == 0o4755 && entry.user == 7 && entry.group == 8)
        #expect(entry.json["mtime"] == "1969-12-31T23:59:58Z")
        #expect(entry.json["ctime"] == "2023-11-14T22:13:20.123456Z")
        #expect(entry.json["name"] == "c" && entry.json["target"] == nil)
        #expect(throws: BerthError.self) { try VolumeScript.entries(Array("f\u{0}3\u{0}".utf8), below: "/") }
    }
}
