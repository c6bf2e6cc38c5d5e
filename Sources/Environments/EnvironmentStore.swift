import Crypto
import DeploymentCore
import Foundation
import Glibc
import HostDisk

/// Environments by content: each is built once and shared read-only by every deployment with the same lock.
///
/// A folder is either absent or complete: it is built under another name and renamed.
public actor EnvironmentStore {
    /// Raised whenever the same key would have to give another folder.
    static let layoutVersion = 1

    /// How long an environment that nobody refers to yet survives a collection, in seconds.
    public static let graceSeconds = 3_600

    nonisolated let folder: String
    /// What is being built; another store with the same cache has another folder.
    nonisolated let staging: String
    private let uv: Uv
    private var uvVersion: String?
    private var builds: [String: SharedWork] = [:]
    private var running: [ObjectIdentifier: SharedWork] = [:]
    private var isPrepared = false
    private var isClosed = false

    /// Keeps environments in `folder` (`$BERTH_HOME/environments`), which must share a filesystem with uv's cache.
    public init(folder: String, uv: Uv) {
        self.folder = folder
        self.uv = uv
        staging = "\(uv.cache)/staging/\(SHA256.hash(data: Data(folder.utf8)).hex.prefix(16))"
    }

    /// Ends all builds that are under way at once, with every process of theirs, and waits until they have cleaned up.
    ///
    /// Cheap when nothing is built; may be called more than once. Whoever waits for a build gets a `CancellationError`.
    public func close() async {
        isClosed = true
        // A build that nobody waits for any more is still in here until its processes are gone.
        let works = Array(running.values)
        for work in works { work.abandon() }
        for work in works { await work.ended() }
        rmdir(staging)  // when it is empty
    }

    /// The environment of a lock: the one that is there, or a new one.
    ///
    /// Callers who ask at the same time share one build; a caller that is cancelled does not end it for the others.
    /// - Parameters:
    ///   - lock: What is installed.
    ///   - python: The version wanted; nil takes the one that the lock was resolved for.
    ///   - progress: Called from any thread while this caller waits.
    /// - Throws: `dependencies`, `storage_full` when the disk is full, `timeout`.
    public func environment(
        for lock: Lock, python: String? = nil, progress: @escaping @Sendable (EnvironmentProgress) -> Void = { _ in }
    ) async throws -> Environment {
        try prepare()
        let version = try await version()
        let locked = lock.python.map { $0.split(separator: ".").prefix(2).joined(separator: ".") }
        let interpreter = try await uv.interpreter(python ?? locked)
        let key = Self.key(lock, interpreter, version)
        let build = EnvironmentBuild(
            folder: folder, staging: staging, key: key, lock: lock, interpreter: interpreter, uv: uv)
        if let ready = build.existing() { return ready }
        while true {
            guard !isClosed else { throw CancellationError() }
            let work = builds[key] ?? start(build)
            if let environment = try await work.value(progress: progress) { return environment }
            if builds[key] === work { builds[key] = nil }
        }
    }

    /// Removes what killed builds have left; what another process still builds is kept. Returns how many.
    @discardableResult public func removeLeftovers() throws -> Int {
        try Disk.makeFolder(folder + "/.locks")
        var removed = 0
        for place in [folder, staging] {
            for name in (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? [] {
                guard let range = name.range(of: ".tmp-") else { continue }
                let key = String(name[..<range.lowerBound])
                guard let lock = try FolderLock.tryTake(EnvironmentBuild.lockPath(folder, key)) else { continue }
                Disk.remove("\(place)/\(name)")
                removed += 1
                _ = consume lock
            }
        }
        return removed
    }

    /// Removes environments that are neither in `keeping` (digests) nor in `mounted` (folders), unless they were built or
    /// asked for within `graceSeconds`; those being built are kept. Returns the removed.
    @discardableResult public func collectGarbage(
        keeping: Set<String>, mounted: Set<String> = [], graceSeconds: Int = graceSeconds
    ) async throws -> [String] {
        try prepare()
        var removed: [String] = []
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
            guard name.wholeMatch(of: /[0-9a-f]{64}/) != nil, !keeping.contains(name),
                !mounted.contains("\(folder)/\(name)")
            else { continue }
            guard let lock = try FolderLock.tryTake(EnvironmentBuild.lockPath(folder, name)) else { continue }
            // From here to the rename nothing is awaited, so that `environment` cannot answer with it in between.
            guard (Disk.age("\(folder)/\(name)") ?? 0) >= graceSeconds else { continue }
            let gone = "\(folder)/\(name).tmp-gone-\(UInt32.random(in: 0 ... .max))"
            guard rename("\(folder)/\(name)", gone) == 0 else { throw Disk.failure("remove", "\(folder)/\(name)") }
            removed.append(name)
            try await blocking { Disk.remove(gone) }
            _ = consume lock
        }
        return removed
    }

    private func prepare() throws {
        guard !isPrepared else { return }
        try Disk.makeFolder(staging)
        try Disk.makeFolder(uv.downloads)
        try removeLeftovers()
        isPrepared = true
    }

    private func version() async throws -> String {
        if let uvVersion { return uvVersion }
        let version = try await uv.version()
        uvVersion = version
        return version
    }

    private func start(_ build: EnvironmentBuild) -> SharedWork {
        let work = SharedWork()
        builds[build.key] = work
        running[ObjectIdentifier(work)] = work
        work.start { progress in
            try await build.run(progress)
        } ended: {
            await self.forget(work, build.key)
        }
        return work
    }

    private func forget(_ work: SharedWork, _ key: String) {
        running[ObjectIdentifier(work)] = nil
        if builds[key] === work { builds[key] = nil }
    }

    /// Everything that decides what the folder holds.
    private static func key(_ lock: Lock, _ interpreter: Interpreter, _ uvVersion: String) -> String {
        let parts = [
            lock.content, interpreter.implementation, interpreter.version, interpreter.platform, interpreter.path,
            uvVersion, "\(layoutVersion)",
        ]
        return SHA256.hash(data: Data(parts.joined(separator: "\u{0}").utf8)).hex
    }
}
