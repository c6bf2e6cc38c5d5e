import DeploymentCore

/// What a client wants of a new build (`POST /v3/templates`; protocol note 1.8).
public struct TemplateRequest: WireMessage, Equatable {
    /// The template's name, which may carry a tag: `name`, `name:tag`, `namespace/name`.
    public var name: String
    /// More tags for the build.
    public var tags: [String]
    /// Processors of the sandboxes; nil takes the default.
    public var processors: Int?
    /// Memory of the sandboxes, in MiB; nil takes the default.
    public var memoryMiB: Int?

    /// Creates a request.
    public init(name: String, tags: [String] = [], processors: Int? = nil, memoryMiB: Int? = nil) {
        self.name = name
        self.tags = tags
        self.processors = processors
        self.memoryMiB = memoryMiB
    }

    /// Reads the message; older clients say `alias` for `name`.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "template")
        let alias = try reader.string("alias")
        name = try reader.optionalString("name") ?? alias
        guard !name.isEmpty else { throw ConnectError(.invalidArgument, "name is missing") }
        tags = try reader.strings("tags")
        processors = try reader.optionalInteger("cpuCount", in: 1...1024).map { Int($0) }
        memoryMiB = try reader.optionalInteger("memoryMB", in: 1...(1 << 24)).map { Int($0) }
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["name": .string(name)]
        if !tags.isEmpty { members["tags"] = .array(tags.map { .string($0) }) }
        if let processors { members["cpuCount"] = .integer(Int64(processors)) }
        if let memoryMiB { members["memoryMB"] = .integer(Int64(memoryMiB)) }
        return .object(members)
    }
}

/// What a template is built from (`POST /v2/templates/{id}/builds/{buildID}`).
public struct TemplateRecipe: WireMessage, Equatable {
    /// One step of a build.
    public struct Step: WireMessage, Equatable {
        /// What steps do.
        public enum Kind: String, Sendable, CaseIterable {
            case run = "RUN"
            case copy = "COPY"
            case environment = "ENV"
            case workdir = "WORKDIR"
            case user = "USER"
        }

        /// What it does.
        public var kind: Kind
        /// RUN: command, user. COPY: source, target, owner, mode. ENV: names and values in turn. WORKDIR, USER: one.
        public var arguments: [String]
        /// The uploaded files of a COPY.
        public var files: String?
        /// Whether it and those after it are done again, whatever is known of earlier builds.
        public var isForced: Bool

        /// Creates a step.
        public init(_ kind: Kind, _ arguments: [String], files: String? = nil, isForced: Bool = false) {
            self.kind = kind
            self.arguments = arguments
            self.files = files
            self.isForced = isForced
        }

        /// Reads the message.
        public init(json: JSONValue) throws(ConnectError) {
            let reader = try MessageReader(json, "step")
            let name = try reader.string("type")
            guard let kind = Kind(rawValue: name) else {
                let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
                throw ConnectError(.invalidArgument, "a step of type '\(name)' is not known; \(known) are")
            }
            self.kind = kind
            arguments = try reader.strings("args")
            files = try reader.optionalString("filesHash")
            isForced = try reader.bool("force")
        }

        /// The message as JSON.
        public var json: JSONValue {
            var members: [String: JSONValue] = [
                "type": .string(kind.rawValue), "args": .array(arguments.map { .string($0) }), "force": .bool(isForced),
            ]
            if let files { members["filesHash"] = .string(files) }
            return .object(members)
        }
    }

    /// The image of a registry to begin with.
    public var image: String?
    /// The template to begin with.
    public var template: String?
    /// Whether a registry's credentials came with it, which are not kept.
    public var hasRegistry = false
    /// Whether nothing of earlier builds is used.
    public var isForced: Bool
    /// The steps in their order.
    public var steps: [Step]
    /// A command that is started with every sandbox.
    public var startCommand: String?
    /// A command that ends with 0 once the start command is ready.
    public var readyCommand: String?

    /// Creates a recipe.
    public init(
        image: String? = nil, template: String? = nil, isForced: Bool = false, steps: [Step] = [],
        startCommand: String? = nil, readyCommand: String? = nil
    ) {
        self.image = image
        self.template = template
        self.isForced = isForced
        self.steps = steps
        self.startCommand = startCommand
        self.readyCommand = readyCommand
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "build")
        image = try reader.optionalString("fromImage").flatMap { $0.isEmpty ? nil : $0 }
        template = try reader.optionalString("fromTemplate").flatMap { $0.isEmpty ? nil : $0 }
        guard (image == nil) != (template == nil) else {
            throw ConnectError(.invalidArgument, "either fromImage or fromTemplate has to be given")
        }
        hasRegistry = reader.value("fromImageRegistry") != nil
        isForced = try reader.bool("force")
        steps = []
        for value in try reader.messages("steps") { steps.append(try Step(json: value)) }
        startCommand = try reader.optionalString("startCmd").flatMap { $0.isEmpty ? nil : $0 }
        readyCommand = try reader.optionalString("readyCmd").flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["force": .bool(isForced), "steps": .array(steps.map(\.json))]
        if let image { members["fromImage"] = .string(image) }
        if let template { members["fromTemplate"] = .string(template) }
        if let startCommand { members["startCmd"] = .string(startCommand) }
        if let readyCommand { members["readyCmd"] = .string(readyCommand) }
        return .object(members)
    }
}

/// Names for a build, or names to take away (`POST` and `DELETE /templates/tags`).
public struct TagRequest: WireMessage, Equatable {
    /// The build as `name:tag`, or of a removal the template's name.
    public var target: String
    /// The tags.
    public var tags: [String]

    /// Creates a request.
    public init(target: String, tags: [String]) {
        self.target = target
        self.tags = tags
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "tags")
        let name = try reader.string("name")
        target = try reader.optionalString("target") ?? name
        guard !target.isEmpty else { throw ConnectError(.invalidArgument, "name is missing") }
        tags = try reader.strings("tags")
        guard !tags.isEmpty else { throw ConnectError(.invalidArgument, "tags is empty") }
    }

    /// The message as JSON.
    public var json: JSONValue { ["target": .string(target), "tags": .array(tags.map { .string($0) })] }
}

/// Whether others may use a template (`PATCH /v2/templates/{id}`).
public struct TemplateChange: WireMessage, Equatable {
    /// nil leaves it as it is.
    public var isPublic: Bool?

    /// Creates a change.
    public init(isPublic: Bool?) { self.isPublic = isPublic }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        isPublic = try MessageReader(json, "template").optionalBool("public")
    }

    /// The message as JSON.
    public var json: JSONValue { isPublic.map { ["public": .bool($0)] } ?? .object([:]) }
}
