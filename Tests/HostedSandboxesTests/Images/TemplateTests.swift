import BerthTestSupport
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Glibc
import LocalSandbox
import Sandboxes
import Testing

@testable import HostedSandboxes

@Suite struct TemplateTests {
    /// A tar with files at paths, made by the machine's own tar.
    private func upload(
        _ files: [String: String], to bench: ImageBench, isCompressed: Bool = true
    ) async throws -> String {
        let stage = "\(bench.folder)/context-\(UUID().uuidString)"
        for (path, content) in files {
            let url = URL(filePath: "\(stage)/\(path)")
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(content.utf8).write(to: url)
        }
        let tar = Process()
        tar.executableURL = URL(filePath: "/usr/bin/tar")
        tar.arguments = [isCompressed ? "-czf" : "-cf", "\(stage).tar", "-C", stage, "."]
        try tar.run()
        tar.waitUntilExit()
        #expect(tar.terminationStatus == 0)
        let hash = String((0..<64).map { _ in "0123456789abcdef".randomElement() ?? "0" })
        let bytes = Array(try Data(contentsOf: URL(filePath: "\(stage).tar")))
        try await bench.templates.files.store(hash) { deliver in try deliver(bytes) }
        return hash
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func stepsMakeAnImageWithTheirFilesVariablesFolderAndUser() async throws {
        try await withImages { bench in
            let files = try await upload(
                ["src/a.txt": "A", "src/sub/b.txt": "B", "one.txt": "1", "two.txt": "2"], to: bench)
            let record = try await bench.build(
                "Demo",
                TemplateRecipe(
                    image: "e2bdev/base",
                    steps: [
                        .init(.environment, ["WHO", "world", "SECRET", "hush"]), .init(.workdir, ["work/here"]),
                        .init(.run, ["echo hello $WHO; echo $PWD > where; id -un >> where"]),
                        .init(.copy, ["src", "tree", "", ""], files: files),
                        .init(.copy, ["one.txt", "renamed.txt", "", "0600"], files: files),
                        .init(.copy, ["*.txt", "all/", "", ""], files: files),
                        .init(.copy, [".", "everything", "", ""], files: files),
                    ]))
            #expect(record.failure == nil)
            let log = try bench.log(record.id)
            #expect(log.contains("[builder 3/7] [stdout]: hello world"))
            #expect(log.contains("[builder 1/7] ENV WHO SECRET"))
            #expect(!log.contains { $0.contains("hush") })
            let image = try await bench.images.image("demo")
            #expect(image.environment == ["WHO": "world", "SECRET": "hush"])
            #expect(image.workdir == "/home/user/work/here")
            #expect(image.build == record.id)
            let sandbox = try await bench.sandboxes.create(image)
            let seen = try await sandbox.script(
                """
                cd /home/user/work/here; cat where tree/a.txt tree/sub/b.txt renamed.txt; stat -c ' %a %U' renamed.txt
                cat all/one.txt all/two.txt; ls everything; ls -A /home/user
                """)
            #expect(
                seen == "/home/user/work/here\nuser\nAB1 600 user\n12one.txt\nsrc\ntwo.txt\napp\nwork\n")
        }
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func sameStepsAreTakenFromTheCacheAndForcedOnesAreNot() async throws {
        try await withImages { bench in
            let random = TemplateRecipe.Step(.run, ["head -c 8 /dev/urandom | base64 > /home/user/random"])
            func value(_ name: String) async throws -> String {
                let sandbox = try await bench.sandboxes.create(try await bench.images.image(name))
                return try await sandbox.script("cat /home/user/random /home/user/x 2>/dev/null || true")
            }
            let first = try await bench.build("first", TemplateRecipe(template: "base", steps: [random]))
            #expect(first.status == .ready)
            let second = try await bench.build(
                "second", TemplateRecipe(template: "base", steps: [random, .init(.run, ["echo x > /home/user/x"])]))
            #expect(try bench.log(second.id).contains { $0.hasPrefix("CACHED [builder 1/2]") })
            #expect(try await value("second") == value("first") + "x\n")
            for recipe in [
                TemplateRecipe(template: "base", isForced: true, steps: [random]),
                TemplateRecipe(template: "base", steps: [.init(.run, random.arguments, isForced: true)]),
            ] {
                let before = try await value("first")
                #expect(try await bench.build("first", recipe).status == .ready)
                #expect(try await value("first") != before)
            }
            // On another template: its files come first.
            let third = try await bench.build("third", TemplateRecipe(template: "second"))
            #expect(third.status == .ready)
            #expect(try await value("third") == value("second"))
            // Files of a layer that are gone are made again.
            for name in bench.archives() { unlink("\(bench.images.archives.folder)/\(name)") }
            #expect(try await bench.build("fourth", TemplateRecipe(template: "base", steps: [random])).status == .ready)
            _ = try await value("fourth")
        }
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func whatCannotWorkEndsTheBuildWithItsOwnErrorAndTheWayOut() async throws {
        try await withImages { bench in
            let cases: [(TemplateRecipe, step: String, words: [String])] = [
                (
                    TemplateRecipe(template: "base", steps: [.init(.run, ["echo a"]), .init(.run, ["touch /usr/x"])]),
                    "2",
                    ["touch: cannot touch '/usr/x'", "exit code 1", "read-only"]
                ),
                (TemplateRecipe(image: "python:3.12"), "base", ["python:3.12", "from_template(\"base\")"]),
                (TemplateRecipe(template: "nothing"), "base", ["'nothing' does not exist"]),
                (
                    TemplateRecipe(template: "base", steps: [.init(.user, ["postgres"])]), "1",
                    ["'postgres' does not exist"]
                ),
                (
                    TemplateRecipe(
                        template: "base", steps: [.init(.copy, ["a", "b"], files: String(repeating: "0", count: 64))]),
                    "1", ["were not uploaded"]
                ),
                (TemplateRecipe(template: "base", steps: [.init(.environment, ["ONE"])]), "1", ["names and values"]),
                (
                    TemplateRecipe(template: "base", startCommand: "echo broken >&2; exit 3", readyCommand: "false"),
                    "finalize", ["exit code 3", "broken"]
                ),
            ]
            for (number, (recipe, step, words)) in cases.enumerated() {
                let record = try await bench.build("t\(number)", recipe)
                #expect(record.status == .error)
                #expect(record.failedStep == step)
                for word in words { #expect(record.failure?.contains(word) == true, "\(record.failure ?? "nil")") }
                await #expect(throws: ControlFailure.self) { try await bench.images.image("t\(number)") }
            }
            #expect(try await bench.sandboxes.provider.list().isEmpty)
        }
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func startCommandIsTriedAndItsTracesAreInNoImage() async throws {
        try await withImages { bench in
            let record = try await bench.build(
                "served",
                TemplateRecipe(
                    template: "base", steps: [.init(.run, ["echo a > /home/user/a"])],
                    startCommand: "touch /home/user/started; sleep 1000", readyCommand: "[ -f /home/user/started ]"))
            #expect(record.failure == nil)
            let image = try await bench.images.image("served")
            #expect(image.startCommand == "touch /home/user/started; sleep 1000")
            let sandbox = try await bench.sandboxes.create(image)
            #expect(try await sandbox.script("ls /home/user") == "a\napp\n")
        }
    }

    @Test func namesTagsAndTheirErrors() async throws {
        try await withTemporaryFolder { folder in
            let store = try DeploymentStore(path: "\(folder)/berth.sqlite")
            let images = ImageStore(store: store, folder: "\(folder)/images", builtIn: ["base": ImageBench.base]) { 1 }
            let templates = Templates(
                images: images, files: ArchiveFolder(folder: "\(folder)/files"), sandboxes: NoSandboxes())
            let ticket = try await templates.request(TemplateRequest(name: "default/My_App:v1.2", tags: ["Latest"]))
            #expect(ticket.names == ["default/my_app"])
            #expect(ticket.tags == ["v1.2", "latest"])
            // Not before it is ready.
            await #expect(throws: ControlFailure.self) { try await images.image("my_app:latest") }
            try await templates.start(ticket.build, of: ticket.template, TemplateRecipe(template: "base"))
            await templates.wait(for: ticket.build)
            for name in ["my_app:latest", "MY_APP:V1.2", "default/my_app:latest", "\(ticket.template):latest"] {
                #expect(try await images.image(name).build == ticket.build, "\(name)")
            }
            #expect(try await images.image("base").template == "base")
            for (name, code) in [
                ("my_app", 404), ("my_app:default", 404), ("other/my_app:latest", 404), ("base:v1", 404), ("", 400),
                ("a/b/c", 400), ("a:b:c", 400), ("a b", 400), ("a:", 400), ("../etc", 400), ("ä", 400),
                (String(repeating: "a", count: 129), 400),
            ] {
                let failure = await #expect(throws: ControlFailure.self) { try await images.image(name) }
                #expect(failure?.code == code, "\(name)")
            }
            #expect(
                try await templates.tag(TagRequest(target: "my_app:latest", tags: ["stable"])).build == ticket.build)
            #expect(try await images.image("my_app:stable").build == ticket.build)
            try await templates.untag(TagRequest(target: "my_app", tags: ["latest"]))
            await #expect(throws: ControlFailure.self) { try await images.image("my_app:latest") }
            await #expect(throws: ControlFailure.self) {
                try await templates.untag(TagRequest(target: "my_app", tags: ["latest"]))
            }
            for (name, code) in [("base", 403), ("other/x", 403), ("x y", 400)] {
                let failure = await #expect(throws: ControlFailure.self) {
                    try await templates.request(TemplateRequest(name: name))
                }
                #expect(failure?.code == code)
            }
            let begun = await #expect(throws: ControlFailure.self) {
                try await templates.start(ticket.build, of: ticket.template, TemplateRecipe(template: "base"))
            }
            #expect(begun?.code == 409)
            try await templates.delete("my_app")
            #expect(try await templates.list().isEmpty)
            await templates.close()
        }
    }

    @Test func buildThatRanWhenTheControlPlaneEndedIsAnErrorWithItsReason() async throws {
        try await withTemporaryFolder { folder in
            let store = try DeploymentStore(path: "\(folder)/berth.sqlite")
            let images = ImageStore(store: store, folder: "\(folder)/images", builtIn: ["base": ImageBench.base]) { 1 }
            let templates = Templates(
                images: images, files: ArchiveFolder(folder: "\(folder)/files"), sandboxes: NoSandboxes())
            let running = try await templates.request(TemplateRequest(name: "running"))
            let waiting = try await templates.request(TemplateRequest(name: "waiting"))
            #expect(try store.start(build: running.build))
            try FileManager.default.createDirectory(atPath: "\(folder)/images", withIntermediateDirectories: true)
            for name in [".new-x", String(repeating: "a", count: 64) + ".tar"] {
                try Data().write(to: URL(filePath: "\(folder)/images/\(name)"))
            }
            try images.recover()
            let record = try #require(try store.build(running.build))
            #expect(record.status == .error)
            #expect(record.failure?.contains("build it again") == true)
            #expect(try store.build(waiting.build)?.status == .waiting)
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/images").isEmpty)
            await templates.close()
        }
    }
}

/// No sandbox can be had.
struct NoSandboxes: ImageSandboxes {
    func hold<Result: Sendable>(
        _ sandbox: String, _ body: @escaping @Sendable (HeldSandbox) async throws -> Result
    ) async throws -> Result { throw ControlFailure.noSandbox(sandbox) }

    func copy(of sandbox: String, from image: SandboxImage, timeout: Int64) async throws -> SandboxHandle {
        throw ControlFailure.noSandbox(sandbox)
    }

    func noteSnapshot(of sandbox: String, snapshot: String) async {}

    func withBuildSandbox<Result: Sendable>(
        _ image: SandboxImage, _ body: @escaping @Sendable (HeldSandbox) async throws -> Result
    ) async throws -> Result { throw BerthError(.sandbox, "there are no sandboxes") }
}
