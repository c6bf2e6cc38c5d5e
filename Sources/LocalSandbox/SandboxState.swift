import CPlatform
import DeploymentCore
import Foundation
import Glibc
import Sandboxes

/// What is written beside a sandbox, so that a later control plane finds it.
struct SandboxState: Codable, Sendable, Equatable {
    var id: String
    var labels: SandboxLabels
    var isolation: Isolation
    /// The port that the app has to listen on.
    var port: Int
    /// The boot in which it was made.
    var boot: String
    /// The process whose end is the sandbox's end: the init of its pid namespace, or the agent. nil until it answered.
    var process: ProcessIdentity?
    /// What it was given; nil when nothing was asked for.
    var limits: SandboxLimits?
    /// Its control group, written down before it is made; nil where there is none.
    var group: SandboxGroup?
    /// What it may reach; nil is nothing, where its rung can enforce that.
    var network: NetworkAccess?
    /// The ids that are its own, claimed before anything is made with them; nil where it has one user.
    var identities: IdentityRange?
    /// How it was paused; nil while it runs.
    var paused: FreezeMechanism?
    /// Who was stopped by signals, and so is let go by them.
    var stopped: [ProcessIdentity]?
}

/// The folder of one sandbox: `sandbox.json`, `agent.sock`, `home/`, `models/`, `egress/`, `etc/`, `info.json` and
/// `launch.log`.
struct SandboxFolder: Sendable {
    static let stateName = "sandbox.json"
    static let socketName = "agent.sock"
    static let infoName = "info.json"
    static let logName = "launch.log"
    /// The prefix of a folder that has no state yet.
    static let draftPrefix = ".new-"
    /// The most bytes of a state file; a list of hosts may take a quarter of it.
    static let stateLimit = 256 << 10
    /// How much of the launch log an error tells, in bytes.
    static let logTail = 2048

    /// The folder of all sandboxes, absolute.
    let root: String
    let id: String

    var path: String { "\(root)/\(id)" }
    var home: String { "\(path)/home" }
    var app: String { "\(home)/app" }
    /// The files of /etc that are its own.
    var etc: String { "\(path)/etc" }
    /// Links to the model files that a sandbox was given after it had started.
    var models: String { "\(path)/models" }
    /// Where its way out listens.
    var egress: String { "\(path)/egress" }

    /// Whether an id is what we make folders of: lower-case letters and digits, 1 to 32.
    static func isValid(_ id: String) -> Bool {
        (1...32).contains(id.utf8.count)
            && id.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }
    }

    /// Makes the folder with its state in it, so that no folder is ever without one.
    ///
    /// - Throws: `conflict` when the sandbox exists.
    func make(_ state: SandboxState) throws {
        let draft = "\(root)/\(Self.draftPrefix)\(id)"
        try makeFolder(draft, mode: 0o700)
        do {
            try Self.write(try Self.encoded(state), to: "\(draft)/\(Self.stateName)")
            let result = berth_rename_new(draft, path)
            if result == -EEXIST { throw BerthError(.conflict, "the sandbox \(id) exists already") }
            try check(result, "the folder of sandbox \(id) cannot be made")
        } catch {
            unlink("\(draft)/\(Self.stateName)")
            rmdir(draft)
            throw error
        }
    }

    /// Replaces the state in one step.
    func update(_ state: SandboxState) throws {
        let draft = "\(path)/\(Self.stateName).new"
        try Self.write(try Self.encoded(state), to: draft)
        guard rename(draft, "\(path)/\(Self.stateName)") == 0 else {
            throw BerthError.system(errno, "the state of sandbox \(id) cannot be written")
        }
    }

    /// Only one change of a state at a time, so that none is lost.
    private static let changing = Locked(())

    /// Changes the state as it is now.
    ///
    /// - Throws: `not_found` when there is no sandbox.
    func change(_ body: (inout SandboxState) -> Void) throws {
        try Self.changing.withLock { _ in
            guard var state = try state() else { throw BerthError(.notFound, "there is no sandbox \(id)") }
            body(&state)
            try update(state)
        }
    }

    /// The state; nil when there is no sandbox.
    ///
    /// - Throws: `sandbox` when the file is not what we write.
    func state() throws -> SandboxState? {
        let file = "\(path)/\(Self.stateName)"
        guard let bytes = try Self.read(file, limit: Self.stateLimit) else { return nil }
        do {
            return try JSONDecoder().decode(SandboxState.self, from: Data(bytes))
        } catch {
            throw BerthError(.sandbox, "\(file) is not a sandbox's state", cause: error)
        }
    }

    /// The init of the pid namespace as bubblewrap reported it; nil before that, and when it is not ours any more.
    func reportedInit() -> ProcessIdentity? {
        guard let bytes = try? Self.read("\(path)/\(Self.infoName)", limit: Self.stateLimit),
            let json = try? JSONValue(parsing: bytes),
            let pid = json["child-pid"]?.integer.flatMap({ Int32(exactly: $0) }), pid > 1,
            let entry = ProcessTable.entry(pid), ProcessTable.isMarked(pid, id: id)
        else { return nil }
        return entry.identity
    }

    /// The end of what the launcher and the agent wrote.
    func launchLog() -> String {
        guard let bytes = try? Self.read("\(path)/\(Self.logName)", limit: 1 << 20) else { return "" }
        return String(decoding: bytes.suffix(Self.logTail), as: UTF8.self).trimmingCharacters(
            in: .whitespacesAndNewlines)
    }

    static func encoded(_ state: SandboxState) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        return Array(try encoder.encode(state))
    }

    /// Writes a file of ours, replacing it.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o600) throws {
        let file = try Descriptor(opening: path, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file.number, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw BerthError.system(errno, "\(path) cannot be written") }
            rest = rest.dropFirst(count)
        }
    }

    /// Reads a file of ours; nil when it does not exist.
    static func read(_ path: String, limit: Int) throws -> [UInt8]? {
        let number = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard number >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw BerthError.system(errno, "\(path) cannot be read")
        }
        let file = Descriptor(number)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count <= limit {
            let count = Glibc.read(file.number, &chunk, chunk.count)
            guard count >= 0 else { throw BerthError.system(errno, "\(path) cannot be read") }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
        }
        throw BerthError(.tooLarge, "\(path) is longer than \(limit) bytes")
    }
}

/// Makes a folder; its parents exist.
///
/// - Throws: `conflict` when something of that name exists.
func makeFolder(_ path: String, mode: mode_t) throws {
    guard mkdir(path, mode) != 0 else { return }
    if errno == EEXIST { throw BerthError(.conflict, "\(path) exists already") }
    throw BerthError.system(errno, "\(path) cannot be made")
}
