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

/// What this machine has for tests of images.
enum ImageMachine {
    /// The agent beside the test executable, or where `BERTH_TEST_AGENT` says.
    static let agent: String? = {
        let given = ProcessInfo.processInfo.environment["BERTH_TEST_AGENT"]
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let beside = own.map { ($0 as NSString).deletingLastPathComponent + "/berth-agent" }
        return [given, beside].compactMap { $0 }.first { access($0, X_OK) == 0 }
    }()
    /// What keeps namespaces from working here, found by trying; nil when they do.
    static func obstacle() async -> String? {
        guard let agent else { return "berth-agent is not built" }
        let client = CurlClient()
        defer { client.close() }
        let reports = await LocalEngine(agent: agent, client: client).probe()
        guard let report = reports.first(where: { $0.isolation == .namespaces }) else { return "no report" }
        return report.works ? nil : report.detail
    }
}

/// Skips what needs an agent.
let needsImageAgent = ConditionTrait.enabled(if: ImageMachine.agent != nil, "berth-agent is not built")
/// Skips what needs namespaces.
let needsImageNamespaces = ConditionTrait.enabled("needs namespaces; `berth doctor` says what keeps them away") {
    await ImageMachine.obstacle() == nil
}
/// Skips what needs a root inside.
let needsImageRoot = ConditionTrait.enabled(
    if: LocalEngine.identities().works, "needs ids of a sandbox's own: \(LocalEngine.identities().detail)")

/// Owns sandboxes as `SandboxHost` does, as far as images see it.
final class TestSandboxes: ImageSandboxes {
    let provider: LocalProvider
    let images = Locked<[String: SandboxImage]>([:])
    let made = Locked<[String]>([])
    let notes = Locked<[String]>([])
    /// Fails the copies of these numbers, counted from 0.
    let failing = Locked<Set<Int>>([])
    private let copies = Locked(0)

    init(provider: LocalProvider) { self.provider = provider }

    func create(_ image: SandboxImage) async throws -> any Sandbox {
        let id = "i\(Identifiers.random())"
        made.withLock { $0.append(id) }
        let labels = SandboxLabels(deployment: "", nonce: "", rollout: "hosted")
        let sandbox = try await provider.create(SandboxSpecification(id: id, labels: labels, mounts: image.mounts))
        images.withLock { $0[id] = image }
        if let archive = image.archive {
            try await SandboxFiles(of: HeldSandbox(sandbox, image: image)).unpack(archive)
        }
        return sandbox
    }

    func hold<Result: Sendable>(
        _ sandbox: String, _ body: @escaping @Sendable (HeldSandbox) async throws -> Result
    ) async throws -> Result {
        guard let image = images.withLock({ $0[sandbox] }) else { throw ControlFailure.noSandbox(sandbox) }
        return try await body(try HeldSandbox(try await provider.adopt(sandbox), image: image))
    }

    func copy(of sandbox: String, from image: SandboxImage, timeout: Int64) async throws -> SandboxHandle {
        let number = copies.withLock { count in
            defer { count += 1 }
            return count
        }
        guard failing.withLock({ !$0.contains(number) }) else { throw BerthError(.storageFull, "the disk is full") }
        return SandboxHandle(sandbox: try await create(image).id, template: image.template)
    }

    func noteSnapshot(of sandbox: String, snapshot: String) async { notes.withLock { $0.append(snapshot) } }

    func withBuildSandbox<Result: Sendable>(
        _ image: SandboxImage, _ body: @escaping @Sendable (HeldSandbox) async throws -> Result
    ) async throws -> Result {
        try await BuildSandboxes(provider: provider, network: nil).with(image, body)
    }

    func destroyAll() async throws {
        for id in made.withLock({ $0 }) { try await provider.destroy(id) }
    }
}

/// Images with real sandboxes, in a fresh folder.
struct ImageBench: Sendable {
    let folder: String
    let store: DeploymentStore
    let images: ImageStore
    let sandboxes: TestSandboxes
    let snapshots: Snapshots
    let templates: Templates

    static let base: ImageStore.BuiltIn = { SandboxImage(template: "base", build: "base", alias: "base") }

    /// What is in the folder of archives.
    func archives() -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: images.archives.folder)) ?? []).sorted()
    }

    /// Builds a template and answers its record.
    func build(_ name: String, _ recipe: TemplateRecipe) async throws -> TemplateBuildRecord {
        let ticket = try await templates.request(TemplateRequest(name: name))
        try await templates.start(ticket.build, of: ticket.template, recipe)
        await templates.wait(for: ticket.build)
        return try #require(try store.build(ticket.build))
    }

    func log(_ build: String) throws -> [String] {
        try store.log(of: build, offset: 0, limit: 1000, levels: ["debug", "info", "warn", "error"]).map(\.message)
    }
}

/// Runs `body` with real sandboxes, destroys what it made and checks that nothing is left.
func withImages(
    _ isolation: Isolation = .namespaces, write: (@Sendable (Int32, UnsafeRawBufferPointer) -> Int)? = nil,
    _ body: (ImageBench) async throws -> Void
) async throws {
    let agent = try #require(ImageMachine.agent)
    try await withTemporaryFolder { parent in
        let parent = parent.hasSuffix("/") ? String(parent.dropLast()) : parent
        let client = CurlClient()
        defer { client.close() }
        let provider = LocalProvider(folder: "\(parent)/sandboxes", agent: agent, isolation: isolation, client: client)
        let sandboxes = TestSandboxes(provider: provider)
        let store = try DeploymentStore(path: "\(parent)/berth.sqlite")
        let archives = write.map {
            ArchiveStore(folder: "\(parent)/images", limit: ArchiveStore.maximumBytes, write: $0)
        }
        let ticks = Locked<Int64>(1_000)
        let images = ImageStore(
            store: store, archives: archives ?? ArchiveStore(folder: "\(parent)/images"),
            builtIn: ["base": ImageBench.base]
        ) {
            ticks.withLock { time in
                time += 1
                return time
            }
        }
        let templates = Templates(
            images: images, files: ArchiveFolder(folder: "\(parent)/files"), sandboxes: sandboxes)
        let bench = ImageBench(
            folder: parent, store: store, images: images, sandboxes: sandboxes,
            snapshots: Snapshots(images: images, sandboxes: sandboxes), templates: templates)
        do {
            try await body(bench)
        } catch {
            await templates.close()
            try await sandboxes.destroyAll()
            throw error
        }
        await templates.close()
        try await sandboxes.destroyAll()
        let audit = LeakAudit(root: "\(parent)/sandboxes", sandboxes: sandboxes.made.withLock { $0 })
        #expect(audit.findings() == [])
    }
}

extension Sandbox {
    /// Runs a script as one of the users and answers what it wrote; a failure is an error with its words.
    @discardableResult func script(_ text: String, as user: String? = nil) async throws -> String {
        let agent = try #require(agent)
        let process = try await (user.map { agent.acting(as: $0) } ?? agent).start(
            ProcessSpecification(tag: "", command: ["/bin/bash", "-c", text], workingDirectory: "/"))
        var (output, errors) = ("", "")
        for try await event in process.events {
            switch event {
            case .stdout(let bytes): output += String(decoding: bytes, as: UTF8.self)
            case .stderr(let bytes): errors += String(decoding: bytes, as: UTF8.self)
            case .ended(let status):
                guard status == .exited(code: 0) else { throw BerthError(.sandbox, "\(status): \(errors)") }
            }
        }
        return output
    }
}
