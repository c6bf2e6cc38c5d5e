import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Waiting

/// What makes a repeated creation the same creation.
public struct CreationKey: Sendable, Equatable {
    /// The client's key.
    public var key: String
    /// The digest of what was asked.
    public var digest: String

    /// Creates a key.
    ///
    /// - Throws: 400 when it is not 1 to 255 of `a` to `z`, `0` to `9` and `-`.
    public init(_ key: String, digest: String) throws(ControlFailure) {
        let isValid =
            (1...255).contains(key.utf8.count)
            && key.utf8.allSatisfy {
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-")
            }
        guard isValid else { throw ControlFailure(400, "Idempotency-Key has to be 1 to 255 of a-z, 0-9 and -") }
        self.key = key
        self.digest = digest
    }
}

extension SandboxHost {
    /// Makes a sandbox for a client, and hands it over when it is ready.
    ///
    /// - Parameter key: the same key with the same request gives the same sandbox for a day.
    /// - Throws: `ControlFailure`. Nothing is left over then, nor when the caller is cancelled.
    public func create(
        _ creation: SandboxCreation, _ version: CreationVersion, key: CreationKey? = nil
    ) async throws -> SandboxHandle {
        guard let key else { return try await make(creation, version, key: nil) }
        if let pending = creations[key.key] {
            guard pending.digest == key.digest else { throw Self.otherRequest }
            return try await pending.task.value
        }
        if let earlier = try store.hostedCreation(key.key, notBefore: now - HostedSettings.creationLifetime) {
            guard earlier.digest == key.digest else { throw Self.otherRequest }
            guard let entry = entries[earlier.sandbox], entry.record.isVisible else {
                throw ControlFailure(
                    409, "sandbox \(earlier.sandbox), which was made with this Idempotency-Key, has ended")
            }
            return handle(entry.record)
        }
        let task = Task {
            defer { creations[key.key] = nil }
            return try await make(creation, version, key: key)
        }
        creations[key.key] = PendingCreation(digest: key.digest, task: task)
        return try await task.value
    }

    /// Makes a sandbox like another one from an image: the same notes, variables and rules.
    ///
    /// - Throws: as `create`; 404 when there is no such sandbox.
    public func copy(of id: String, from image: SandboxImage, timeout: Int64) async throws -> SandboxHandle {
        let record = try visible(id).record
        let creation = SandboxCreation(
            template: image.template, timeout: timeout, pausesOnTimeout: record.pausesOnTimeout,
            pausesWithMemory: record.pausesWithMemory ? nil : false, resumesOnTraffic: record.resumesOnTraffic,
            isSecure: record.isSecure,
            allowsInternet: record.allowsInternet, network: record.networkSettings, metadata: record.metadata,
            environment: record.environment, volumes: record.volumeMounts)
        let capabilities = try await surroundings.provider.capabilities()
        let plan = try CreationPlan(creation, .first, capabilities.network)
        return handle(try await make(plan, from: image, capabilities, key: nil))
    }

    private static let otherRequest = ControlFailure(
        409, "this Idempotency-Key was used for another request; take a new one")

    private func make(
        _ creation: SandboxCreation, _ version: CreationVersion, key: CreationKey?
    ) async throws -> SandboxHandle {
        try requireOpen()
        let capabilities = try await surroundings.provider.capabilities()
        let plan = try CreationPlan(creation, version, capabilities.network)
        _ = try volumes(creation.volumes)
        let image = try await surroundings.images.image(creation.template)
        return handle(try await make(plan, from: image, capabilities, key: key))
    }

    /// Makes the sandbox of a plan from an image.
    func make(
        _ plan: CreationPlan, from image: SandboxImage, _ capabilities: SandboxCapabilities, key: CreationKey?
    ) async throws -> HostedSandboxRecord {
        try requireOpen()
        try requireRoom()
        try rate.take(now: now)
        let record = try Self.record(plan, image, now: now)
        let id = record.id
        var specification = Self.specification(id, plan.network.access, image, capabilities)
        let entry = Entry(record: record, journal)
        entries[id] = entry
        return try await entry.lane.alone {
            do {
                // Written first: what is made and then forgotten by a crash is found and removed.
                try store.write(record)
                // From here on nobody deletes them.
                specification.volumes = try volumes(plan.creation.volumes)
                try await boot(record, from: image, specification, entry.log, limit: settings.setupLimit)
                try Task.checkCancellation()
                return try begin(record, key)
            } catch {
                await undo(id)
                throw ControlFailure(error)
            }
        }
    }

    /// Makes the sandbox of a record that was written, and makes it ready.
    func boot(
        _ record: HostedSandboxRecord, from image: SandboxImage, _ specification: SandboxSpecification,
        _ log: SandboxLog, limit: Duration
    ) async throws {
        let provider = surroundings.provider
        let sandbox = try await within("making a sandbox", limit: settings.makingLimit) {
            try await provider.create(specification)
        }
        entries[record.id]?.sandbox = sandbox
        let setup = SandboxSetup(
            image: image, record: record, settings: settings, clock: surroundings.clock, token: secret(of: record),
            now: surroundings.now, log: log, tasks: tasks)
        try await within("setting up the sandbox", limit: limit) { try await setup.run(sandbox) }
    }

    /// From here on the sandbox is the client's.
    private func begin(_ record: HostedSandboxRecord, _ key: CreationKey?) throws -> HostedSandboxRecord {
        var record = record
        record.state = .running
        record.startedAt = now
        record.endAt = now + record.timeout * 1_000
        try store.write(
            record, event: event(.created, record),
            creation: key.map {
                HostedCreationRecord(key: $0.key, digest: $0.digest, sandbox: record.id, time: now)
            })
        entries[record.id]?.record = record
        wheel.set(record.id, at: record.endAt)
        note(record.id, "the sandbox was made from \(record.alias ?? record.template)")
        return record
    }

    /// Removes what a failed creation left; what cannot be removed now is tried again later.
    private func undo(_ id: String) async {
        entries[id]?.record.state = .ending
        do {
            // A crash from here on is the same as one before: what is being made is removed.
            try await uncancelled { try await self.finishEnding(id) }
        } catch {
            surroundings.announce("sandbox \(id), which could not be made, is not removed yet: \(error)")
            wheel.set(id, at: now)
        }
    }

    /// The folders of volumes and where they are shown.
    ///
    /// - Throws: 400 for one that there is not.
    func volumes(_ wanted: [SandboxCreation.VolumeMount]) throws -> [SandboxSpecification.Mount] {
        try wanted.map { mount in
            guard let folder = surroundings.volumes else { throw ControlFailure.notOffered("volumeMounts") }
            guard let volume = try store.volume(named: mount.name) else {
                throw ControlFailure(400, "volumeMounts: there is no volume '\(VisibleText.of(mount.name))'")
            }
            return SandboxSpecification.Mount(source: "\(folder)/\(volume.id)", target: mount.path)
        }
    }

    /// - Throws: 429 when as many sandboxes run as may.
    func requireRoom() throws(ControlFailure) {
        let count = entries.values.count { $0.record.isCounted }
        guard count < settings.maximumSandboxes else {
            throw ControlFailure(
                429,
                "you have reached the maximum number of concurrent sandboxes (\(settings.maximumSandboxes)): end or "
                    + "pause one, or start the server with another BERTH_MAX_SANDBOXES", shouldRetry: false)
        }
    }

    private static func record(
        _ plan: CreationPlan, _ image: SandboxImage, now: Int64
    ) throws -> HostedSandboxRecord {
        let creation = plan.creation
        let volumes: JSONValue? = creation.volumes.isEmpty ? nil : .some(.array(creation.volumes.map(\.json)))
        return HostedSandboxRecord(
            id: Identifiers.sandbox(), template: image.template, build: image.build, alias: image.alias,
            state: .creating, execution: Identifiers.event(), createdAt: now, startedAt: now,
            endAt: now + plan.timeout * 1_000, timeout: plan.timeout, processors: image.processors,
            memoryMiB: image.memoryMiB, isSecure: plan.isSecure, pausesOnTimeout: creation.pausesOnTimeout,
            resumesOnTraffic: creation.resumesOnTraffic, allowsInternet: creation.allowsInternet,
            network: creation.network.map { String(decoding: $0.json.encoded(), as: UTF8.self) },
            metadata: creation.metadata, environment: creation.environment,
            volumes: volumes.map { String(decoding: $0.encoded(), as: UTF8.self) },
            mounts: image.mounts.map(\.source), pausesWithMemory: creation.pausesWithMemory ?? true)
    }

    /// What is asked of the engine: limits as far as it holds them, since clients demand none.
    static func specification(
        _ id: String, _ access: NetworkAccess?, _ image: SandboxImage, _ capabilities: SandboxCapabilities
    ) -> SandboxSpecification {
        var limits = SandboxLimits()
        if capabilities.enforced.memory != .none { limits.memory = Int64(image.memoryMiB) << 20 }
        if capabilities.enforced.cpu != .none { limits.cpu = Double(image.processors) }
        return SandboxSpecification(
            id: id, labels: SandboxLabels(deployment: "", nonce: "", rollout: SandboxLabels.hosted),
            mounts: image.mounts, limits: limits, network: access)
    }
}
