import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import Artifacts

@Suite struct SourceTreeTests {
    /// A folder with these files; a content of `-> path` makes a symbolic link.
    private func withTree(
        _ files: [String: String], _ body: (String, SourceTree) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let root = "\(folder)/project"
            for (path, text) in files {
                let url = URL(fileURLWithPath: "\(root)/\(path)")
                try FileManager.default.createDirectory(
                    at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
                if text.hasPrefix("-> ") {
                    try FileManager.default.createSymbolicLink(
                        atPath: url.path, withDestinationPath: String(text.dropFirst(3)))
                } else {
                    try text.write(to: url, atomically: false, encoding: .utf8)
                }
            }
            try "secret".write(toFile: "\(folder)/outside", atomically: true, encoding: .utf8)
            try await body(root, SourceTree(folder: root, cache: DigestCache(file: "\(folder)/cache/digests.json")))
        }
    }

    private func model(_ source: String, _ target: String? = nil, sha256: String? = nil) -> Manifest {
        Manifest(name: "m", model: .init(files: [.init(source: source, target: target ?? source, sha256: sha256)]))
    }

    private func app(_ source: String = ".", exclude: [String] = []) -> Manifest {
        Manifest(name: "m", server: .init(app: .own("app.py"), source: source, exclude: exclude))
    }

    @Test func aHomeThatCannotBeWrittenDoesNotKeepFilesFromBeingCollected() async throws {
        try await withTree(["model.bin": "a", "home": "a file, so nothing can be below it"]) { root, _ in
            let cache = DigestCache(file: "\(root)/home/cache/digests.json", settledSeconds: 0)
            let entries = try await SourceTree(folder: root, cache: cache).collect(model("model.bin"))
            #expect(entries.map(\.sha256) == [sha256(Array("a".utf8))])
            _ = try cache.digest(of: "\(root)/home")
            #expect(throws: BerthError.self) { try cache.save() }
        }
    }

    @Test func modelFilesAndDirectoriesKeepTheirTargets() async throws {
        try await withTree(["m/a.bin": "a", "d/x/1": "1", "d/2": "2"]) { folder, tree in
            var manifest = model("m/a.bin", "models/a.bin", sha256: sha256(Array("a".utf8)))
            manifest.model.files.append(.init(source: "d", target: "weights"))
            let entries = try await tree.collect(manifest)
            #expect(entries.map(\.path).sorted() == ["models/a.bin", "weights/2", "weights/x/1"])
            #expect(entries.allSatisfy { $0.kind == .model })
            #expect(entries.first { $0.path == "weights/x/1" }?.root == "weights")
            #expect(entries.first { $0.path == "models/a.bin" }?.sha256 == sha256(Array("a".utf8)))
        }
    }

    @Test func aMissingModelIsNamedWithANearName() async throws {
        try await withTree(["models/iris.pkl": "x"]) { folder, tree in
            let failure = try await error { try await tree.collect(model("models/iris.joblib")) }
            #expect(failure.code == .artifact)
            #expect(failure.message == "model file models/iris.joblib is missing; looked in \(folder)/models")
            #expect(failure.suggestion == "did you mean models/iris.pkl?")
        }
    }

    @Test func aPinnedDigestThatDoesNotHoldNamesBoth() async throws {
        try await withTree(["a": "a"]) { _, tree in
            let pinned = String(repeating: "3", count: 64)
            let failure = try await error { try await tree.collect(model("a", sha256: pinned)) }
            #expect(failure.message.contains(pinned) && failure.message.contains(sha256(Array("a".utf8))))
        }
    }

    @Test(arguments: ["../outside", "/etc/passwd", "link", "folderlink/outside", "dangling"])
    func whatLeavesTheFolderIsRefused(path: String) async throws {
        let files = ["a": "a", "link": "-> ../outside", "folderlink": "-> ..", "dangling": "-> nowhere"]
        try await withTree(files) { _, tree in
            let failure = try await error { try await tree.collect(model(path, "target")) }
            #expect(failure.code == .artifact)
        }
    }

    @Test func modelsMayLieAnywhereInTheCheckoutOfTheManifest() async throws {
        try await withTree([".git/HEAD": "ref", "models/a": "a", "manifests/m.yaml": "x"]) { folder, _ in
            let cache = DigestCache(file: "\(folder)/../cache/digests.json")
            let tree = SourceTree(folder: "\(folder)/manifests", cache: cache)
            #expect(try await tree.collect(model("../models/a", "target")).count == 1)
            let failure = try await error { try await tree.collect(model("../../outside", "target")) }
            #expect(failure.code == .artifact)
        }
    }

    @Test(arguments: ["../x", "/x", "", "a/../../x", "."])
    func targetsStayInTheAppFolder(target: String) async throws {
        try await withTree(["a": "a"]) { _, tree in
            let failure = try await error { try await tree.collect(model("a", target)) }
            #expect(failure.message.contains("is not a path inside the app folder"))
        }
    }

    @Test func linksInTheTreeThatLeaveItOrLoopAreRefusedAndOthersFollowed() async throws {
        try await withTree(["app.py": "x", "lib": "-> real", "real/b.py": "b"]) { _, tree in
            let paths = try await tree.collect(app()).map(\.path).sorted()
            #expect(paths == ["app.py", "lib/b.py", "real/b.py"])
        }
        for link in ["-> ../outside", "-> .", "-> nowhere"] {
            try await withTree(["app.py": "x", "sub/link": link]) { _, tree in
                let failure = try await error { try await tree.collect(app()) }
                #expect(failure.code == .artifact && failure.message.contains("sub/link"))
            }
        }
    }

    @Test func aFifoInTheTreeIsRefusedWithoutWaiting() async throws {
        try await withTree(["app.py": "x"]) { folder, tree in
            #expect(mkfifo("\(folder)/pipe", 0o600) == 0)
            let failure = try await error { try await tree.collect(app()) }
            #expect(failure.message.contains("pipe is a device, a socket or a FIFO"))
            #expect(try await tree.collect(app(exclude: ["pipe"])).count == 1)
        }
    }

    @Test func excludesAndSecretsAreLeftOut() async throws {
        let files = [
            "app.py": "", ".git/config": "", ".venv/x": "", "pkg/__pycache__/a.pyc": "", "pkg/a.py": "",
            ".env": "KEY=1",
            ".env.local": "", "data/big.csv": "", "data/keep.txt": "", "tests/t.py": "", "pkg/tests/u.py": "",
            "docs/a/b/c.md": "", "node_modules/x/y.js": "",
        ]
        try await withTree(files) { _, tree in
            let entries = try await tree.collect(app(exclude: ["data/*.csv", "tests/", "docs/**/*.md"]))
            #expect(entries.map(\.path).sorted() == ["app.py", "data/keep.txt", "pkg/a.py"])
        }
    }

    @Test func modelsAreNotCopiedTwiceAndAppsWithoutASourceBringWhatTheyName() async throws {
        try await withTree(["app.py": "", "m/a.bin": "a", "pkg/a.py": "", "other.py": ""]) { _, tree in
            var manifest = model("m/a.bin", "models/a.bin")
            manifest.server = .init(app: .own("app.py"), source: ".")
            let paths = try await tree.collect(manifest).map(\.path).sorted()
            #expect(paths == ["app.py", "models/a.bin", "other.py", "pkg/a.py"])
            manifest.server = .init(app: .own("pkg.a:app"))
            #expect(try await tree.collect(manifest).map(\.path).sorted() == ["models/a.bin", "pkg/a.py"])
            manifest.server = .init(app: .command(["python", "other.py", "--fast"]))
            #expect(try await tree.collect(manifest).map(\.path).sorted() == ["models/a.bin", "other.py"])
        }
    }

    @Test func tooManyFilesAreRefused() async throws {
        try await withTree(["app.py": ""]) { folder, tree in
            for number in 0..<SourceTree.fileLimit {
                close(open("\(folder)/\(number)", O_CREAT | O_WRONLY, 0o600))
            }
            let failure = try await error { try await tree.collect(app()) }
            #expect(failure.code == .tooLarge)
        }
    }

    @Test func aKnownFileIsNotReadAgainAndAChangedOneIs() async throws {
        try await withTree(["a": "one"]) { folder, tree in
            let path = "\(folder)/a"
            let stampBefore = try await tree.collect(model("a"))
            #expect(stampBefore.first?.sha256 == sha256(Array("one".utf8)))
            try "two".write(toFile: path, atomically: false, encoding: .utf8)
            #expect(try await tree.collect(model("a")).first?.sha256 == sha256(Array("two".utf8)))
        }
    }

    @Test func globsKnowFoldersAndStars() {
        #expect(GlobPattern("*.csv").matches("a/b/c.csv"))
        #expect(!GlobPattern("data/*.csv").matches("data/b/c.csv"))
        #expect(GlobPattern("data/**").matches("data/b/c.csv"))
        #expect(GlobPattern("**/c.csv").matches("c.csv"))
        #expect(GlobPattern("a/**/c").matches("a/c"))
        #expect(GlobPattern("./a/").matches("a"))
        #expect(!GlobPattern("[").matches("a"))
        let nasty = GlobPattern(Array(repeating: "**", count: 200).joined(separator: "/") + "/x")
        #expect(!nasty.matches(Array(repeating: "a", count: 200).joined(separator: "/")))
    }
}
