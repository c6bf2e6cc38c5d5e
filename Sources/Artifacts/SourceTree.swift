import DeploymentCore
import Foundation
import Glibc
import HostDisk

/// The files that a manifest needs from beside it: model files, own code, files that smoke tests send.
public struct SourceTree: Sendable {
    /// The most files in all.
    public static let fileLimit = 10_000
    /// The deepest nesting of folders.
    public static let depthLimit = 64
    /// What is never copied, whatever the manifest says: histories, environments, caches, secrets.
    public static let alwaysExcluded = [
        ".git", ".hg", ".svn", ".venv", "venv", "__pycache__", "*.pyc", "node_modules", ".mypy_cache", ".pytest_cache",
        ".ruff_cache", ".tox", ".ipynb_checkpoints", ".DS_Store", ".env", ".env.*",
    ]

    let folder: String
    let cache: DigestCache
    let ours: [String]

    /// Looks in `folder`, where the manifest lies; `cache` saves hashing what has not changed.
    ///
    /// `ours` are files there that are berth's, not the app's: the manifest and its lock.
    public init(folder: String, cache: DigestCache, leavingOut ours: [String] = []) {
        self.folder = folder
        self.cache = cache
        self.ours = ours
    }

    /// Finds, checks and hashes the files; remote model files are left to `BlobStore.download`.
    ///
    /// - Throws: `artifact` naming what is missing (with a near name), leaves the folder, is no regular file or has
    ///   another digest than the pinned one; `too_large` for more than `fileLimit` files.
    public func collect(_ manifest: Manifest) async throws -> [FileEntry] {
        let found = try await blocking { try find(manifest) }
        var digests: [String: String] = [:]
        for file in manifest.model.files where !file.isRemote { digests[try Self.target(file.target)] = file.sha256 }
        let entries = try await hash(found)
        for entry in entries where entry.kind == .model && entry.root == nil {
            guard let pinned = digests[entry.path], pinned != entry.sha256 else { continue }
            throw BerthError(
                .artifact, "model file \(entry.source) has sha256 \(entry.sha256), but \(pinned) is pinned",
                suggestion: "if the change is wanted, pin the new digest")
        }
        // It only saves time: a home that cannot be written must not keep anybody from validating.
        try? cache.save()
        return entries
    }

    /// A file that was found and not yet hashed.
    struct Found: Sendable {
        var path: String
        var source: String
        var kind: FileEntry.Kind
        var root: String?
    }

    private func find(_ manifest: Manifest) throws -> [Found] {
        var walk = try SourceWalk(folder: folder)
        for file in manifest.model.files where !file.isRemote {
            let target = try Self.target(file.target)
            let source = try walk.locate(file.source, what: "model file")
            if source.isFolder {
                guard file.sha256 == nil else {
                    throw BerthError(.artifact, "model directory \(file.source) cannot be pinned with one sha256")
                }
                let count = walk.found.count
                try walk.add(folder: source.path, to: target, kind: .model, root: target, excluding: [])
                guard walk.found.count > count else {
                    throw BerthError(.artifact, "model directory \(file.source) has no files")
                }
            } else {
                try walk.add(Found(path: target, source: source.path, kind: .model, root: nil))
            }
        }
        let models = Set(walk.found.map(\.source)).union(ours.compactMap(SourceWalk.resolved))
        try addApp(manifest.server, &walk, leavingOut: models)
        for test in manifest.smoke {
            guard case .form(let fields) = test.request.body else { continue }
            for case .file(let path) in fields.map(\.value) {
                let source = try walk.locate(path, what: "smoke test file")
                guard !source.isFolder else {
                    throw BerthError(.artifact, "smoke test file \(path) is a folder")
                }
                try walk.add(Found(path: path, source: source.path, kind: .smoke, root: nil))
            }
        }
        return walk.found
    }

    private func addApp(_ server: Manifest.Server, _ walk: inout SourceWalk, leavingOut models: Set<String>) throws {
        let excluded = server.exclude.map { GlobPattern($0) }
        if let path = server.source {
            let source = try walk.locate(path, what: "server.source")
            guard source.isFolder else { throw BerthError(.artifact, "server.source \(path) is not a folder") }
            try walk.add(folder: source.path, to: "", kind: .app, root: nil, excluding: excluded, leavingOut: models)
            return
        }
        switch server.app {
        case .template: return
        case .own(let name):
            let path = name.prefix { $0 != ":" }
            let module = path.split(separator: ".").first.map(String.init) ?? String(path)
            let isFile = path.hasSuffix(".py") || path.contains("/")
            let package = "\(folder)/\(module)"
            let chosen = isFile ? String(path) : Disk.isFolder(package) ? module : "\(module).py"
            let source = try walk.locate(chosen, what: "app")
            if source.isFolder {
                try walk.add(
                    folder: source.path, to: chosen, kind: .app, root: nil, excluding: excluded, leavingOut: models)
            } else {
                try walk.add(Found(path: Self.target(chosen), source: source.path, kind: .app, root: nil))
            }
        case .command(let words):
            for word in words where !word.hasPrefix("/") && !word.hasPrefix("-") && !word.contains("..") {
                guard let source = try? walk.locate(word, what: "command"), !source.isFolder else { continue }
                try walk.add(Found(path: Self.target(word), source: source.path, kind: .app, root: nil))
            }
        }
    }

    private func hash(_ found: [Found]) async throws -> [FileEntry] {
        var entries: [FileEntry?] = Array(repeating: nil, count: found.count)
        try await withThrowingTaskGroup(of: (Int, FileEntry).self) { group in
            var next = 0
            func addOne() {
                guard next < found.count else { return }
                let (index, file) = (next, found[next])
                next += 1
                group.addTask {
                    try await blocking { [cache] in
                        let known = try cache.digest(of: file.source)
                        return (
                            index,
                            FileEntry(
                                path: file.path, source: file.source, size: known.size, sha256: known.sha256,
                                executable: known.executable, kind: file.kind, root: file.root)
                        )
                    }
                }
            }
            for _ in 0..<Self.parallelHashes { addOne() }
            while let (index, entry) = try await group.next() {
                entries[index] = entry
                addOne()
            }
        }
        return entries.compactMap { $0 }
    }

    private static let parallelHashes = 4

    /// A relative path without `.`, `..` and double slashes.
    static func target(_ path: String) throws(BerthError) -> String {
        let parts = path.split(separator: "/").filter { $0 != "." }
        guard !path.hasPrefix("/"), !parts.isEmpty, !parts.contains(".."), !path.utf8.contains(0) else {
            throw BerthError(.artifact, "`\(path)` is not a path inside the app folder")
        }
        return parts.joined(separator: "/")
    }
}
