import CPlatform
import DeploymentCore
import E2BProtocol
import Glibc

/// A process that has just been started, and the agent's ends of its pipes or of its terminal.
struct SpawnedProcess {
    var pid: pid_t
    /// Its standard input or terminal, for writing.
    var input: Int32?
    /// Its standard output or terminal.
    var output: Int32
    /// Its standard error; nil on a terminal.
    var errors: Int32?

    /// Where `sudo` is, in sandboxes with namespaces.
    static let programs = "/opt/berth/bin"
    static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    /// Variables of the agent that every process sees beside `PATH`: what the sandbox is.
    private static let inheritedPrefixes = ["BERTH_", "E2B_"]

    /// What programs on a terminal expect, unless the request or the sandbox says otherwise.
    private static let terminalDefaults = ["TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"]

    /// Starts what is asked for in a session of its own.
    ///
    /// - Throws: `invalid_argument` when the folder or the program does not exist or cannot be run.
    static func start(_ request: StartRequest, options: AgentOptions) throws(ConnectError) -> SpawnedProcess {
        let config = request.process
        var environment = try environment(config, options: options)
        if request.terminal != nil { environment.merge(terminalDefaults) { own, _ in own } }
        let folder = try PathResolver(options: options).resolve(config.workingDirectory ?? "")
        guard FileStatus(following: folder)?.isDirectory ?? false else {
            throw ConnectError(.invalidArgument, "cwd '\(config.workingDirectory ?? folder)' does not exist")
        }
        guard !config.command.isEmpty, !([config.command] + config.arguments).contains(where: { $0.utf8.contains(0) })
        else { throw ConnectError(.invalidArgument, "the command is empty or has a zero byte") }
        if !options.allowsHostPaths { environment["PATH"] = (environment["PATH"] ?? defaultPath) + ":" + programs }
        let program = try find(config.command, path: environment["PATH"] ?? defaultPath, folder: folder)
        let variables = environment.map { "\($0.key)=\($0.value)" }
        let launch = Launch(program: program, variables: variables, folder: folder, account: options.account)
        guard let terminal = request.terminal else { return try spawn(launch, request) }
        return try spawn(launch, on: terminal, request)
    }

    private static func environment(
        _ config: ProcessConfig, options: AgentOptions
    ) throws(ConnectError) -> [String: String] {
        var variables = [
            "PATH": getenv("PATH").map { String(cString: $0) } ?? defaultPath, "HOME": options.home,
            "USER": options.user, "LOGNAME": options.user, "E2B_SANDBOX": "true",
        ]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2, inheritedPrefixes.contains(where: { parts[0].hasPrefix($0) }) {
                variables[String(parts[0])] = String(parts[1])
            }
            entry = entry.successor()
        }
        variables.merge(options.environment) { $1 }
        variables.merge(options.sharedEnvironment) { $1 }
        for (name, value) in config.environment {
            guard !name.isEmpty, !name.contains("="), !name.utf8.contains(0), !value.utf8.contains(0) else {
                throw ConnectError(.invalidArgument, "the variable '\(name)' has no possible name or value")
            }
            variables[name] = value
        }
        return variables
    }

    /// The program's file, looked for as a shell does.
    private static func find(_ command: String, path: String, folder: String) throws(ConnectError) -> String {
        if command.contains("/") { return command.hasPrefix("/") ? command : "\(folder)/\(command)" }
        for entry in path.split(separator: ":", omittingEmptySubsequences: false) {
            let candidate = entry.hasPrefix("/") ? "\(entry)/\(command)" : "\(folder)/\(entry)/\(command)"
            if faccessat(AT_FDCWD, candidate, X_OK, AT_EACCESS) == 0,
                FileStatus(following: candidate)?.isRegular ?? false
            {
                return candidate
            }
        }
        throw ConnectError(.invalidArgument, "'\(command)' was not found in PATH")
    }

    /// A program that was found, and how to start it.
    private struct Launch {
        var program: String
        var variables: [String]
        var folder: String
        var account: Account?

        /// 0 or a negative errno. With a terminal it gets no descriptors.
        func start(
            _ pid: inout pid_t, _ arguments: [String], _ descriptors: [berth_fd_mapping], terminal: [CChar]? = nil
        ) -> Int32 {
            withCStrings(arguments) { argv in
                withCStrings(variables) { envp in
                    let count = Int32(descriptors.count)
                    guard var identity = account?.identity else {
                        guard let terminal else {
                            return berth_spawn(&pid, program, argv, envp, folder, descriptors, count, 1)
                        }
                        return berth_terminal_spawn(&pid, program, argv, envp, folder, terminal)
                    }
                    return berth_spawn_as(
                        &pid, program, argv, envp, folder, -1, descriptors, count, terminal, &identity)
                }
            }
        }
    }

    private static func spawn(
        _ launch: Launch, _ request: StartRequest
    ) throws(ConnectError) -> SpawnedProcess {
        var output: [Int32] = [-1, -1]
        var errors: [Int32] = [-1, -1]
        var input: [Int32] = [-1, -1]
        var failure = berth_pipe_from_child(&output)
        if failure == 0 { failure = berth_pipe_from_child(&errors) }
        if failure == 0, request.standardInput { failure = berth_pipe_to_child(&input) }
        var mappings = [
            berth_fd_mapping(source: output[1], target: 1), berth_fd_mapping(source: errors[1], target: 2),
        ]
        if request.standardInput { mappings.append(berth_fd_mapping(source: input[0], target: 0)) }
        var pid: pid_t = 0
        if failure == 0 {
            failure = launch.start(&pid, [request.process.command] + request.process.arguments, mappings)
        }
        for end in [output[1], errors[1], input[0]] where end >= 0 { Glibc.close(end) }
        guard failure == 0 else {
            for end in [output[0], errors[0], input[1]] where end >= 0 { Glibc.close(end) }
            throw startFailure(request.process.command, -failure)
        }
        return SpawnedProcess(
            pid: pid, input: request.standardInput ? input[1] : nil, output: output[0], errors: errors[0])
    }

    private static func spawn(
        _ launch: Launch, on terminal: PseudoTerminal, _ request: StartRequest
    ) throws(ConnectError) -> SpawnedProcess {
        let size = try TerminalLimits.checked(terminal)
        var path = [CChar](repeating: 0, count: TerminalLimits.pathLength)
        let ours = berth_terminal_open(size.columns, size.rows, &path, path.count)
        guard ours >= 0 else {
            throw ConnectError(.resourceExhausted, "there is no terminal to be had: \(errorText(-ours))")
        }
        // Two descriptors, as the loop waits for each direction by itself.
        let input = berth_fd_copy(ours)
        var pid: pid_t = 0
        var failure = min(input, 0)
        if failure == 0 {
            failure = launch.start(
                &pid, [request.process.command] + request.process.arguments, [], terminal: path)
        }
        guard failure == 0 else {
            for end in [ours, input] where end >= 0 { Glibc.close(end) }
            throw startFailure(request.process.command, -failure)
        }
        return SpawnedProcess(pid: pid, input: input, output: ours, errors: nil)
    }

    private static func startFailure(_ command: String, _ error: Int32) -> ConnectError {
        let text = "cannot start '\(command)': \(errorText(error))"
        return switch error {
        case EMFILE, ENFILE, EAGAIN, ENOMEM: ConnectError(.resourceExhausted, text)
        default: ConnectError(.invalidArgument, text)
        }
    }
}

/// What can be asked of a terminal.
enum TerminalLimits {
    /// Room for the path of a terminal, in bytes.
    static let pathLength = 64
    private static let sizes = 0...Int(UInt16.max)

    /// The size as the kernel takes it.
    static func checked(_ terminal: PseudoTerminal) throws(ConnectError) -> (columns: Int32, rows: Int32) {
        guard sizes.contains(terminal.columns), sizes.contains(terminal.rows) else {
            throw ConnectError(.invalidArgument, "a terminal cannot have more than \(sizes.upperBound) columns or rows")
        }
        return (Int32(terminal.columns), Int32(terminal.rows))
    }
}
