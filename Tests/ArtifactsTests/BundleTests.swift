import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

@testable import Artifacts

@Suite struct BundleTests {
    private func entry(_ path: String, _ text: String, _ kind: FileEntry.Kind = .app, root: String? = nil) -> FileEntry
    {
        let bytes = Array(text.utf8)
        return FileEntry(
            path: path, source: "/x", size: Int64(bytes.count), sha256: sha256(bytes), kind: kind, root: root)
    }

    @Test func theDigestIsOverPathsModesAndContents() throws {
        let one = try Bundle(files: [entry("a", "1"), entry("b", "2")], rendered: ["app.py": [1]])
        #expect(try Bundle(files: [entry("b", "2"), entry("a", "1")], rendered: ["app.py": [1]]).digest == one.digest)
        #expect(try Bundle(files: [entry("a", "1"), entry("b", "2")], rendered: ["app.py": [2]]).digest != one.digest)
        #expect(try Bundle(files: [entry("a", "1"), entry("c", "2")], rendered: ["app.py": [1]]).digest != one.digest)
        var executable = entry("a", "1")
        executable.executable = true
        #expect(try Bundle(files: [executable, entry("b", "2")], rendered: ["app.py": [1]]).digest != one.digest)
        let smoke = [entry("a", "1"), entry("b", "2"), entry("s", "3", .smoke)]
        #expect(try Bundle(files: smoke, rendered: ["app.py": [1]]).digest == one.digest)
    }

    @Test func filesThatWantTheSamePlaceAreRefused() {
        #expect(throws: BerthError.self) { try Bundle(files: [entry("a", "1"), entry("a", "2")]) }
        #expect(throws: BerthError.self) { try Bundle(files: [entry("app.py", "1")], rendered: ["app.py": []]) }
        #expect(throws: BerthError.self) { try Bundle(files: [entry("a", "1"), entry("a/b/c", "2")]) }
    }

    @Test func aFileIsMountedAsItsBlobAndADirectoryAsHardlinks() async throws {
        try await withBlobs { folder, blobs in
            let files = [
                entry("models/one", "1", .model), entry("w/a", "2", .model, root: "w"),
                entry("w/sub/b", "1", .model, root: "w"), entry("app.py", "3"),
            ]
            let store = try BundleStore(folder: "\(folder)/bundles", blobs: blobs)
            let bundle = try Bundle(files: files)
            let failure = try await error { try await store.modelMounts(bundle) }
            #expect(failure.code == .notFound)
            for text in ["1", "2"] { _ = try await blobs.add(Chunks([text]), digest: sha256(Array(text.utf8))) }
            let mounts = try await store.modelMounts(bundle)
            #expect(mounts.map(\.target) == ["models/one", "w"])
            #expect(mounts[0].source == blobs.path(of: sha256(Array("1".utf8))))
            #expect(try String(contentsOfFile: "\(mounts[1].source)/sub/b", encoding: .utf8) == "1")
            let links = try FileManager.default.attributesOfItem(atPath: mounts[0].source)[.referenceCount] as? Int
            #expect(links == 2)
            #expect(try await store.modelMounts(bundle) == mounts)
            let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/bundles")
            #expect(Set(names) == BundleStore.folders(of: bundle))
            #expect(store.collectGarbage(keeping: Set(names), graceSeconds: 0).isEmpty)
            #expect(store.collectGarbage(keeping: [], graceSeconds: 0) == names)
        }
    }
}
