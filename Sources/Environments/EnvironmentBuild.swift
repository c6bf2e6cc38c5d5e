import DeploymentCore
import Foundation
import Glibc
import HostDisk

/// One environment to build: beside uv's downloads, then renamed. Nothing of a package is run on the way.
struct EnvironmentBuild: Sendable {
    let folder: String
    /// Where it is while it is not complete.
    let staging: String
    let key: String
    let lock: Lock
    let interpreter: Interpreter
    let uv: Uv

    static func lockPath(_ folder: String, _ key: String) -> String { "\(folder)/.locks/\(key)" }

    private var path: String { "\(folder)/\(key)" }

    /// The finished environment; nil when there is none.
    ///
    /// It counts as used from now on, so that a collection leaves it alone until somebody refers to it.
    func existing() -> Environment? {
        Disk.touch(path)
        guard let text = try? String(contentsOfFile: "\(path)/berth.json", encoding: .utf8),
            let packages = try? JSONValue(parsing: text)["packages"]?.integer
        else { return nil }
        // Made by an earlier version, behind a mask.
        if !Disk.isOpenForOthers("\(path)/berth.json") { Disk.openForOthers(path) }
        return environment(packages: Int(packages), reused: true)
    }

    /// Builds it, waiting for another process that already does.
    func run(_ progress: @escaping @Sendable (EnvironmentProgress) -> Void) async throws -> Environment {
        let held = try await FolderLock.take(Self.lockPath(folder, key), timeout: Uv.syncTimeout) {
            progress(.waiting)
        }
        if let ready = existing() { return ready }
        let temporary = "\(staging)/\(key).tmp-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { Disk.remove(temporary) }
        let packages = try await install(into: temporary, progress)
        progress(.finishing)
        try await blocking { try publish(temporary, packages: packages) }
        _ = consume held
        return environment(packages: packages, reused: false)
    }

    private func install(
        into temporary: String, _ progress: @escaping @Sendable (EnvironmentProgress) -> Void
    ) async throws -> Int {
        let total = lock.pins.count
        progress(.installing(done: 0, total: total))
        let reach = uv.reach(installing: lock, with: interpreter)
        var walls = uv.walls?(reach) ?? []
        if !walls.isEmpty, uv.asksSessionForCredentials {
            progress(.warning("installing without walls, because UV_KEYRING_PROVIDER asks your session"))
            walls = []
        }
        let created = try await uv.run(
            [
                "venv", "--quiet", "--relocatable", "--no-project", "--no-config", "--python", interpreter.path,
                temporary,
            ],
            in: "/", timeout: Uv.queryTimeout, walls: walls)
        guard created.isSuccess else { throw failure(created.text) }
        if total > 0 {
            // In `/`, because uv reads settings such as `no-binary` from the folders above the one it runs in.
            try Disk.replace("\(temporary)/requirements.lock", with: Array(lock.canonical.utf8), mode: 0o644)
            let synced = try await uv.run(
                [
                    "pip", "sync", "--python", "\(temporary)/bin/python", "--require-hashes", "--only-binary", ":all:",
                    "--link-mode", "hardlink", "\(temporary)/requirements.lock",
                ], in: "/", timeout: Uv.syncTimeout, walls: walls
            ) { line in
                if let step = EnvironmentProgress(line: line, total: total) { progress(step) }
            }
            guard synced.isSuccess else { throw failure(synced.text) }
            progress(.compiling)
            try await compile(temporary, progress)
        }
        return packageCount(temporary)
    }

    /// Compiles with the base interpreter: with `-I -S` no `.pth` file and no module of a package is ever run.
    private func compile(
        _ temporary: String, _ progress: @escaping @Sendable (EnvironmentProgress) -> Void
    ) async throws {
        let reach = Reach(
            readable: interpreter.visiblePrefix.map { [$0] } ?? [], writable: [temporary], network: false)
        let result = try await Program(
            executable: interpreter.path,
            arguments: [
                "-I", "-S", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "timestamp", "\(temporary)/lib",
            ],
            environment: uv.pythonEnvironment, folder: "/", timeout: Uv.syncTimeout, walls: uv.walls?(reach) ?? []
        ).run()
        let text = result.output + result.errors
        if Disk.isFull(text) { throw Disk.full(path, cause: UvFailure(text)) }
        guard !result.isSuccess else { return }
        // Packages carry files for other Pythons; whoever imports such a file meets the error there.
        let count = text.matches(of: /\*\*\* Error compiling/).count
        progress(.warning("\(count == 0 ? "some" : "\(count)") files could not be compiled ahead"))
    }

    private func publish(_ temporary: String, packages: Int) throws {
        let description: JSONValue = [
            "packages": .integer(Int64(packages)), "python": .string(interpreter.version),
            "interpreter": .string(interpreter.path),
        ]
        try Disk.replace("\(temporary)/berth.json", with: Array("\(description)\n".utf8), mode: 0o644)
        Disk.openForOthers(temporary)
        Disk.setFolderModes(temporary, 0o555)
        // A folder that changes its parent has to be writable; root is not asked.
        chmod(temporary, 0o755)
        try Disk.sync(filesystemOf: temporary)
        guard rename(temporary, path) == 0 else { throw Disk.failure("finish", path) }
        chmod(path, 0o555)
        try Disk.syncFolder(folder)
    }

    private func packageCount(_ temporary: String) -> Int {
        let major = interpreter.version.split(separator: ".").prefix(2).joined(separator: ".")
        let site = "\(temporary)/lib/python\(major)/site-packages"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: site)) ?? []
        return names.count { $0.hasSuffix(".dist-info") }
    }

    private func environment(packages: Int, reused: Bool) -> Environment {
        Environment(
            digest: key, path: path, python: "\(path)/bin/python", interpreterPrefix: interpreter.visiblePrefix,
            pythonVersion: interpreter.version, reused: reused, packages: packages)
    }

    private func failure(_ text: String) -> BerthError {
        let cause = UvFailure(text)
        if Disk.isFull(text) { return Disk.full(path, cause: cause) }
        if let match = text.firstMatch(of: /Hash mismatch for `([^`]+)`/) {
            return BerthError(
                .dependencies, "the file downloaded for \(match.1) is not the one in the lock",
                suggestion: "if the change is wanted, make a new lock with `berth lock`", cause: cause)
        }
        if let match = text.firstMatch(of: /Because (?:all versions of )?(\S+) (?:has|have) no (?:usable )?wheels/) {
            return BerthError(
                .dependencies, "\(match.1) has no wheel for Python \(interpreter.minor) on \(LockInputs.platform)",
                suggestion: "make a new lock on this machine with `berth lock`", cause: cause)
        }
        if text.contains(/Failed to fetch|error sending request|dns error|timed out/) {
            return BerthError(
                .dependencies, "the packages cannot be downloaded",
                suggestion: "check the network; UV_INDEX_URL and HTTPS_PROXY are respected", cause: cause)
        }
        return BerthError(.dependencies, "the packages of the lock cannot be installed", cause: cause)
    }
}
