import AppTemplates
import Artifacts
import ControlAPI
import ControlPlane
import DeploymentCore
import Environments
import Foundation
import ManifestParsing

/// From a manifest on disk to a request: parsed, locked, its files collected. Nothing here talks to a control plane.
struct Preparation {
    let path: String
    let text: [UInt8]
    let manifest: Manifest
    let options: ManifestOptions
    let configuration: Configuration
    let templates: TemplateCatalog

    /// Reads and checks the manifest.
    ///
    /// - Throws: a `Failure` with every diagnostic.
    init(_ options: ManifestOptions, warn: (String) -> Void = { _ in }) throws {
        let environment = ProcessInfo.processInfo.environment
        path = options.manifest
        self.options = options
        configuration = try Connection.configuration()
        templates = try TemplateCatalog(folder: configuration.templates)
        guard let data = FileManager.default.contents(atPath: path) else {
            throw BerthError(
                .invalidManifest, "there is no manifest at \(path)",
                suggestion: "`berth init` writes one; or name it: `berth deploy path/to/manifest.yaml`")
        }
        text = Array(data)
        do {
            let parsed = try ManifestParser.parse(
                text, file: path, environment: environment, overrides: options.overrides)
            for warning in parsed.warnings { warn(warning.rendered()) }
            var manifest = parsed.manifest
            manifest.env.merge(try options.environment()) { _, flag in flag }
            self.manifest = manifest
        } catch let errors as ManifestErrors {
            throw Failure(ManifestProblem(errors).problem)
        }
    }

    /// The folder that the manifest's paths are relative to.
    var folder: String {
        URL(fileURLWithPath: path).deletingLastPathComponent().path(percentEncoded: false)
    }

    /// Where the lock lies: beside the manifest, named after it when it is not the only one there.
    var lockPath: String {
        let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        var file = name == "manifest" || name == "berth" ? Lock.fileName : "\(name).lock"
        // The user's own lock is an input; ours must not overwrite it.
        if case .file(let own) = manifest.requirements, own == file { file = "berth.lock" }
        return URL(fileURLWithPath: folder).appending(path: file).path(percentEncoded: false)
    }

    /// What the lock is made from.
    func lockInputs() throws -> LockInputs {
        LockInputs(
            folder: folder, requirements: manifest.requirements,
            template: try templates.requirements(for: manifest.server),
            python: manifest.python)
    }

    /// The lock on disk, if it is still current; otherwise a new one, written beside the manifest.
    func lock(refreshing: Bool = false) async throws -> (lock: Lock, isNew: Bool) {
        let inputs = try lockInputs()
        if !refreshing, let lock = try Lock.read(from: lockPath), try lock.isCurrent(for: inputs) {
            return (lock, false)
        }
        let uv = try Uv.locate(home: configuration.home, environment: ProcessInfo.processInfo.environment)
        let lock = try await uv.lock(inputs)
        try lock.write(to: lockPath)
        return (lock, true)
    }

    /// The files beside the manifest, with their digests.
    func files() async throws -> [FileEntry] {
        let cache = DigestCache(file: configuration.path("cache/digests.json"))
        return try await SourceTree(folder: folder, cache: cache, leavingOut: [path, lockPath]).collect(manifest)
    }

    /// The request for these files.
    func request(_ kind: DeployRequest.Kind, lock: Lock, files: [FileEntry]) throws -> DeployRequest {
        let environment = ProcessInfo.processInfo.environment
        return DeployRequest(
            manifest: String(decoding: text, as: UTF8.self), file: path, overrides: options.overrides,
            environment: try options.environment(),
            modelPort: environment["BERTH_MODEL_PORT"] ?? environment["E2B_MODEL_PORT"], lock: lock.text,
            files: files.map(\.bundleFile), kind: kind)
    }
}

/// A problem of a manifest: every diagnostic with its source line.
struct ManifestProblem {
    let errors: ManifestErrors

    init(_ errors: ManifestErrors) { self.errors = errors }

    var problem: Problem {
        let count = errors.diagnostics.count
        return Problem(
            code: .invalidManifest, title: "\(count) error\(count == 1 ? "" : "s") in the manifest",
            detail: errors.rendered(color: Style.standardError.isColoured))
    }
}

extension FileEntry {
    /// The entry without its place on this machine.
    var bundleFile: BundleFile {
        let role: BundleFile.Role =
            switch kind {
            case .app: .app
            case .model: .model
            case .smoke: .smoke
            }
        return BundleFile(path: path, sha256: sha256, size: size, isExecutable: executable, role: role, root: root)
    }
}
