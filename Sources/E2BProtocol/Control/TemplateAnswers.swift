import DeploymentCore

/// Where a build stands.
public enum TemplateBuildState: String, Sendable, Codable, CaseIterable {
    /// It was asked for, and has not begun.
    case waiting
    /// It runs.
    case building
    /// It can be used.
    case ready
    /// It failed.
    case error
}

/// A line of a build's log.
public struct TemplateLogEntry: Sendable, Equatable {
    /// When it was written.
    public var time: Timestamp
    /// `debug`, `info`, `warn` or `error`.
    public var level: String
    /// The line.
    public var message: String
    /// The step as its number from 1, `base` or `finalize`; nil for none.
    public var step: String?

    /// Creates a line.
    public init(time: Timestamp, level: String, message: String, step: String?) {
        self.time = time
        self.level = level
        self.message = message
        self.step = step
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = [
            "timestamp": .string(time.text), "level": .string(level), "message": .string(message),
        ]
        if let step { members["step"] = .string(step) }
        return .object(members)
    }
}

/// Why a build failed.
public struct TemplateBuildReason: Sendable, Equatable {
    /// What is wrong.
    public var message: String
    /// The step as its number from 1, `base` or `finalize`; nil for none.
    public var step: String?

    /// Creates a reason.
    public init(message: String, step: String?) {
        self.message = message
        self.step = step
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["message": .string(message)]
        if let step { members["step"] = .string(step) }
        return .object(members)
    }
}

/// A build that was asked for (answer to `POST /v3/templates`).
public struct TemplateBuildTicket: Sendable, Equatable {
    /// The template's id.
    public var template: String
    /// The build's id, a UUID.
    public var build: String
    /// Whether others may use the template.
    public var isPublic: Bool
    /// The template's names with their namespace.
    public var names: [String]
    /// The template's names without it.
    public var aliases: [String]
    /// What the build will be called.
    public var tags: [String]

    /// Creates a ticket.
    public init(
        template: String, build: String, isPublic: Bool, names: [String], aliases: [String], tags: [String]
    ) {
        self.template = template
        self.build = build
        self.isPublic = isPublic
        self.names = names
        self.aliases = aliases
        self.tags = tags
    }

    /// The message as JSON.
    public var json: JSONValue {
        [
            "templateID": .string(template), "buildID": .string(build), "public": .bool(isPublic),
            "names": .array(names.map { .string($0) }), "aliases": .array(aliases.map { .string($0) }),
            "tags": .array(tags.map { .string($0) }),
        ]
    }
}

/// A template as lists show it.
public struct TemplateInformation: Sendable, Equatable {
    /// One build of it.
    public struct Build: Sendable, Equatable {
        /// The id, a UUID.
        public var build: String
        /// Where it stands.
        public var state: TemplateBuildState
        /// When it was asked for.
        public var createdAt: Timestamp
        /// When it ended; nil while it has not.
        public var finishedAt: Timestamp?
        /// Processors of its sandboxes.
        public var processors: Int
        /// Memory of its sandboxes, in MiB.
        public var memoryMiB: Int

        /// Creates a description.
        public init(
            build: String, state: TemplateBuildState, createdAt: Timestamp, finishedAt: Timestamp?, processors: Int,
            memoryMiB: Int
        ) {
            self.build = build
            self.state = state
            self.createdAt = createdAt
            self.finishedAt = finishedAt
            self.processors = processors
            self.memoryMiB = memoryMiB
        }

        /// The message as JSON.
        public var json: JSONValue {
            var members: [String: JSONValue] = [
                "buildID": .string(build), "status": .string(state.rawValue), "createdAt": .string(createdAt.text),
                "updatedAt": .string((finishedAt ?? createdAt).text), "cpuCount": .integer(Int64(processors)),
                "memoryMB": .integer(Int64(memoryMiB)), "envdVersion": .string(SandboxHandle.agentVersion),
            ]
            if let finishedAt { members["finishedAt"] = .string(finishedAt.text) }
            return .object(members)
        }
    }

    /// The id.
    public var template: String
    /// The names without namespace.
    public var aliases: [String]
    /// The names with namespace.
    public var names: [String]
    /// Whether others may use it.
    public var isPublic: Bool
    /// When it was made.
    public var createdAt: Timestamp
    /// When it was changed for the last time.
    public var updatedAt: Timestamp
    /// The builds, newest first; the first is the one that is described.
    public var builds: [Build]
    /// Disk of its sandboxes, in MiB.
    public var diskMiB: Int

    /// Creates a description.
    public init(
        template: String, aliases: [String], names: [String], isPublic: Bool, createdAt: Timestamp,
        updatedAt: Timestamp, builds: [Build], diskMiB: Int
    ) {
        self.template = template
        self.aliases = aliases
        self.names = names
        self.isPublic = isPublic
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.builds = builds
        self.diskMiB = diskMiB
    }

    /// The message as JSON; with the builds only where one template was asked for.
    public func json(withBuilds: Bool = false) -> JSONValue {
        let newest = builds.first { $0.state == .ready } ?? builds.first
        var members: [String: JSONValue] = [
            "templateID": .string(template), "buildID": .string(newest?.build ?? ""),
            "cpuCount": .integer(Int64(newest?.processors ?? 0)), "memoryMB": .integer(Int64(newest?.memoryMiB ?? 0)),
            "diskSizeMB": .integer(Int64(diskMiB)), "public": .bool(isPublic),
            "aliases": .array(aliases.map { .string($0) }), "names": .array(names.map { .string($0) }),
            "createdAt": .string(createdAt.text), "updatedAt": .string(updatedAt.text), "createdBy": .null,
            "lastSpawnedAt": .null, "spawnCount": 0, "buildCount": .integer(Int64(builds.count)),
            "envdVersion": .string(SandboxHandle.agentVersion),
            "buildStatus": .string((newest?.state ?? .waiting).rawValue),
        ]
        if withBuilds { members["builds"] = .array(builds.map(\.json)) }
        return .object(members)
    }
}
