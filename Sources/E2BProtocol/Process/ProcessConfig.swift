import DeploymentCore

/// What to run (`process.ProcessConfig`).
public struct ProcessConfig: WireMessage, Equatable {
    /// The program: a path, or a name to look up in the process's `PATH`.
    public var command: String
    /// Its arguments, without the program's name.
    public var arguments: [String]
    /// Variables over those of the agent.
    public var environment: [String: String]
    /// The working directory; nil is the agent's default.
    public var workingDirectory: String?

    /// Creates a configuration.
    public init(
        command: String, arguments: [String] = [], environment: [String: String] = [:],
        workingDirectory: String? = nil
    ) {
        self.command = command
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "process")
        command = try reader.string("cmd")
        arguments = try reader.strings("args")
        environment = try reader.stringMap("envs")
        workingDirectory = try reader.optionalString("cwd")
    }

    /// The message as JSON.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["cmd": .string(command)]
        if !arguments.isEmpty { members["args"] = .array(arguments.map { .string($0) }) }
        if !environment.isEmpty { members["envs"] = .object(environment.mapValues { .string($0) }) }
        if let workingDirectory { members["cwd"] = .string(workingDirectory) }
        return .object(members)
    }
}

/// A terminal (`process.PTY`), which is its size.
public struct PseudoTerminal: WireMessage, Equatable {
    /// Columns, in characters.
    public var columns: Int
    /// Rows, in characters.
    public var rows: Int

    /// Creates a size.
    public init(columns: Int, rows: Int) {
        self.columns = columns
        self.rows = rows
    }

    /// Reads `process.PTY`, the message around the size.
    public init(json: JSONValue) throws(ConnectError) {
        let size = try MessageReader(try MessageReader(json, "pty").required("size"), "size")
        columns = try size.unsigned("cols")
        rows = try size.unsigned("rows")
    }

    /// `process.PTY` as JSON.
    public var json: JSONValue {
        ["size": ["cols": .integer(Int64(columns)), "rows": .integer(Int64(rows))]]
    }
}
