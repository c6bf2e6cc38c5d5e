import Crypto
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Sandboxes
import Waiting

/// Templates that clients build here, their builds, names and tags.
public actor Templates {
    /// Builds that run at once; others wait.
    public static let maximumRunning = 2
    /// Builds that wait at most.
    public static let maximumWaiting = 32
    /// The most steps of a build.
    public static let maximumSteps = 256
    /// How many layers are kept, and how large they are together, in bytes.
    public static let maximumLayers = 256
    /// See `maximumLayers`.
    public static let maximumLayerBytes: Int64 = 32 << 30
    /// Lines of a log in one answer.
    public static let maximumLogPage = 100

    /// The images.
    public nonisolated let images: ImageStore
    /// Uploaded files.
    public nonisolated let files: ArchiveFolder
    private let sandboxes: any ImageSandboxes
    private let clock: any Clock<Duration>
    private let tasks = OwnedTasks()
    private var running: [String: Task<Void, Never>] = [:]
    private var waiting: [(build: String, recipe: TemplateRecipe)] = []
    private let key = SymmetricKey(size: .bits256)

    /// Creates the service.
    public init(
        images: ImageStore, files: ArchiveFolder, sandboxes: any ImageSandboxes,
        clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.images = images
        self.files = files
        self.sandboxes = sandboxes
        self.clock = clock
    }

    /// Ends all builds and waits for their end; they are taken up by nobody.
    public func close() async {
        waiting = []
        await tasks.close()
    }

    // MARK: Builds

    /// Notes a build that is to come.
    public func request(_ request: TemplateRequest) throws -> TemplateBuildTicket {
        let reference = try ImageReference(request.name)
        guard reference.isOwn else {
            throw ControlFailure(403, "the namespace '\(reference.namespace ?? "")' is not yours")
        }
        guard images.builtIn[reference.name] == nil else {
            throw ControlFailure(403, "'\(reference.name)' is built in; choose another name")
        }
        var tags = reference.tag.map { [$0] } ?? []
        for tag in request.tags {
            let tag = try ImageReference.check(tag: tag)
            if !tags.contains(tag) { tags.append(tag) }
        }
        if tags.isEmpty { tags = [ImageReference.defaultTag] }
        let chosen = tags
        return try answering {
            let time = images.now()
            let (template, build) = try images.store.begin(
                TemplateRecord(id: Identifiers.random(), createdAt: time), name: reference.name
            ) { template in
                TemplateBuildRecord(
                    id: UUID().uuidString.lowercased(), template: template, tags: chosen,
                    processors: request.processors ?? SandboxImage.defaultProcessors,
                    memoryMiB: request.memoryMiB ?? SandboxImage.defaultMemoryMiB, createdAt: time)
            }
            return TemplateBuildTicket(
                template: template.id, build: build.id, isPublic: template.isPublic,
                names: [ImageReference.full(reference.name)], aliases: [reference.name], tags: chosen)
        }
    }

    /// Lets a build begin, or wait for its turn.
    public func start(_ build: String, of template: String, _ recipe: TemplateRecipe) throws {
        guard recipe.steps.count <= Self.maximumSteps else {
            throw ControlFailure(400, "a build has \(Self.maximumSteps) steps at most")
        }
        _ = try self.build(build, of: template)
        guard running.count < Self.maximumRunning || waiting.count < Self.maximumWaiting else {
            throw ControlFailure(429, "\(Self.maximumWaiting) builds wait already", retryAfter: 10)
        }
        try answering {
            guard try images.store.start(build: build) else {
                throw ControlFailure(409, "the build \(build) has begun already")
            }
        }
        waiting.append((build, recipe))
        beginNext()
    }

    private func beginNext() {
        while running.count < Self.maximumRunning, !waiting.isEmpty {
            let (build, recipe) = waiting.removeFirst()
            let task = tasks.start {
                await self.run(build, recipe)
                await self.ended(build)
            }
            // Closed: what is written in the store as running is ended by the next control plane.
            guard let task else { return }
            running[build] = task
        }
    }

    private func ended(_ build: String) {
        running[build] = nil
        beginNext()
    }

    /// Waits until a build is not at work here any more.
    func wait(for build: String) async {
        while waiting.contains(where: { $0.build == build }) || running[build] != nil {
            if let task = running[build] { await task.value } else { await Task.yield() }
        }
    }

    private func run(_ id: String, _ recipe: TemplateRecipe) async {
        let log = BuildLog(store: images.store, build: id, now: images.now)
        do {
            guard var record = try images.store.build(id) else { return }
            do {
                let work = BuildRun(images: images, sandboxes: sandboxes, files: files, log: log, clock: clock)
                let (image, archive) = try await work.build(recipe, record)
                defer { archive.map(images.archives.unpin) }
                record.content = try await images.stored(image, archive: archive).text()
                record.archive = archive
                record.status = .ready
                record.finishedAt = images.now()
                await log.flush()
                try images.store.finish(record)
            } catch {
                let failure = error as? BuildFailure
                record.status = .error
                record.content = nil
                record.archive = nil
                record.failure = failure?.message ?? (Task.isCancelled ? "the control plane ends" : "\(error)")
                record.failedStep = failure?.step
                record.finishedAt = images.now()
                await log.write(record.failure ?? "", level: "error", step: failure?.step)
                await log.flush()
                try images.store.finish(record)
            }
            let forgotten = try images.store.pruneLayers(count: Self.maximumLayers, bytes: Self.maximumLayerBytes)
            images.release(forgotten.map(\.archive))
        } catch {
            // The store cannot be written: the next control plane ends the build.
            await log.flush()
        }
    }

    /// A build and the lines of its log.
    public func status(
        _ build: String, of template: String, offset: Int, limit: Int, level: String?
    ) throws -> JSONValue {
        let record = try self.build(build, of: template)
        return try answering {
            let entries = try images.store.log(
                of: build, offset: max(0, offset), limit: min(max(1, limit), Self.maximumLogPage),
                levels: try Self.levels(from: level)
            ).map(Self.entry)
            var members: [String: JSONValue] = [
                "templateID": .string(template), "buildID": .string(build), "status": .string(record.status.rawValue),
                "logs": .array(entries.map { .string($0.message) }), "logEntries": .array(entries.map(\.json)),
            ]
            if let failure = record.failure {
                members["reason"] = TemplateBuildReason(message: failure, step: record.failedStep).json
            }
            return .object(members)
        }
    }

    /// Lines of a build's log.
    public func log(
        _ build: String, of template: String, cursor: Int, limit: Int, isBackward: Bool, level: String?
    ) throws -> [TemplateLogEntry] {
        _ = try self.build(build, of: template)
        return try answering {
            try images.store.log(
                of: build, offset: max(0, cursor), limit: min(max(1, limit), Self.maximumLogPage),
                levels: try Self.levels(from: level), isBackward: isBackward
            ).map(Self.entry)
        }
    }

    private static func levels(from level: String?) throws -> [String] {
        let all = ["debug", "info", "warn", "error"]
        guard let level else { return all }
        guard let index = all.firstIndex(of: level) else { throw ControlFailure(400, "'\(level)' is not a level") }
        return Array(all[index...])
    }

    private static func entry(_ line: BuildLogRecord) -> TemplateLogEntry {
        TemplateLogEntry(
            time: Timestamp(milliseconds: line.time), level: line.level, message: line.message, step: line.step)
    }

    private func build(_ id: String, of template: String) throws -> TemplateBuildRecord {
        guard let record = try answering({ try images.store.build(id) }), record.template == template else {
            throw ControlFailure(404, "there is no build '\(id.prefix(100))' of template '\(template.prefix(100))'")
        }
        return record
    }

    /// Lets the errors of `body` be those that clients know.
    func answering<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch { throw ControlFailure(error) }
    }

    // MARK: Uploads

    /// Whether files were uploaded, and what allows to upload them.
    public func upload(_ hash: String, of template: String) throws -> (isPresent: Bool, token: String) {
        guard ArchiveFolder.isHash(hash) else { throw ControlFailure(400, "'\(hash.prefix(100))' is not a hash") }
        guard try answering({ try images.store.template(template) }) != nil else {
            throw ImageStore.missing(template)
        }
        return (files.path(of: hash) != nil, token(hash, template))
    }

    /// Whether a token allows the upload.
    public func mayUpload(_ hash: String, of template: String, token: String) -> Bool {
        guard let shown = Data(base64Encoded: token) else { return false }
        return HMAC<Crypto.SHA256>.isValidAuthenticationCode(
            shown, authenticating: Data("\(template)/\(hash)".utf8), using: key)
    }

    private func token(_ hash: String, _ template: String) -> String {
        Data(HMAC<Crypto.SHA256>.authenticationCode(for: Data("\(template)/\(hash)".utf8), using: key))
            .base64EncodedString()
    }
}
