import BerthTestSupport
import CPlatform
import CurlClient
import Foundation
import Glibc
import Sandboxes
import Testing

/// The agent as a real process, in a folder of its own.
struct RunningAgent {
    let pid: pid_t
    /// Its home folder, where its socket lies too.
    let folder: String
    private let folderDescriptor: Int32

    /// What goes wrong in the tests' own machinery.
    struct Failure: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }

    private static let socketName = "agent.sock"
    /// The longest time that the agent may take to end, in milliseconds.
    static let endLimit: Int32 = 20_000

    fileprivate init(folder: String, arguments: [String]) throws {
        self.folder = folder
        folderDescriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        let listener = berth_unix_listen(folderDescriptor, Self.socketName, 64)
        guard listener >= 0 else { throw Failure("cannot listen: errno \(-listener)") }
        defer { close(listener) }
        let binary = try Self.binary()
        let words = [binary, "--listen-fd", "3", "--home", folder] + arguments
        var pid: pid_t = 0
        var argv = words.map { strdup($0) } + [nil]
        var envp = [strdup("PATH=/usr/local/bin:/usr/bin:/bin"), strdup("LC_ALL=C"), nil]
        defer { for pointer in argv + envp { free(pointer) } }
        let mappings = [
            berth_fd_mapping(source: listener, target: 3), berth_fd_mapping(source: STDERR_FILENO, target: 2),
        ]
        let error = berth_spawn(&pid, binary, &argv, &envp, folder, mappings, Int32(mappings.count), 0)
        guard error == 0 else { throw Failure("cannot start \(binary): errno \(-error)") }
        self.pid = pid
    }

    /// The agent's binary: built beside the tests.
    private static func binary() throws -> String {
        var folder = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        for argument in CommandLine.arguments where argument.hasSuffix(".xctest") {
            folder = URL(filePath: argument).deletingLastPathComponent()
        }
        let path = folder.appending(path: "berth-agent").path(percentEncoded: false)
        guard access(path, X_OK) == 0 else { throw Failure("\(path) has not been built") }
        return path
    }

    func connect() throws -> TestConnection {
        let descriptor = berth_unix_connect(folderDescriptor, Self.socketName)
        guard descriptor >= 0 else { throw Failure("cannot connect: errno \(-descriptor)") }
        _ = berth_fd_blocking(descriptor)
        return TestConnection(descriptor: descriptor)
    }

    /// How many descriptors it holds.
    var descriptorCount: Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd"))?.count ?? -1
    }

    /// The memory it has, in bytes.
    func residentMemory() throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        guard let kibibytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) }) else {
            throw Failure("the agent's memory is not told")
        }
        return kibibytes << 10
    }

    /// Sends SIGTERM and waits for the end; the wait status.
    @discardableResult
    func terminate() throws -> Int32 {
        let descriptor = berth_pidfd_open(pid)
        guard descriptor >= 0 else { throw Failure("the agent has ended by itself") }
        defer { close(descriptor) }
        kill(pid, SIGTERM)
        guard berth_pidfd_wait(descriptor, Self.endLimit) == 1 else {
            kill(pid, SIGKILL)
            throw Failure("the agent does not end")
        }
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        return status
    }

    fileprivate func closeFolder() { close(folderDescriptor) }
}

/// Runs `body` with an agent, and ends it; the agent has to be alive and well at the end.
func withAgent(_ arguments: [String] = [], _ body: (RunningAgent) throws -> Void) async throws {
    try await withTemporaryFolder { folder in
        let agent = try RunningAgent(
            folder: folder.hasSuffix("/") ? String(folder.dropLast()) : folder, arguments: arguments)
        defer { agent.closeFolder() }
        do {
            try body(agent)
            let health = try agent.connect().request("GET", "/health")
            #expect(health.status == 204)
        } catch {
            _ = try? agent.terminate()
            throw error
        }
        #expect(try agent.terminate() == 0)
    }
}

/// Runs `body` with an agent and the client that the host has for it.
func withAgentClient(_ body: (RunningAgent, EnvdClient) async throws -> Void) async throws {
    try await withTemporaryFolder { folder in
        let folder = folder.hasSuffix("/") ? String(folder.dropLast()) : folder
        let agent = try RunningAgent(folder: folder, arguments: [])
        defer { agent.closeFolder() }
        let curl = CurlClient()
        defer { curl.close() }
        let client = EnvdClient(
            client: curl, baseURL: "http://localhost", transport: .unixSocket("\(folder)/agent.sock"))
        do {
            try await body(agent, client)
        } catch {
            _ = try? agent.terminate()
            throw error
        }
        #expect(try agent.terminate() == 0)
    }
}

/// Waits until the process has ended, which it must within the limit.
func expectEnd(of pid: Int, _ location: SourceLocation = #_sourceLocation) {
    let descriptor = berth_pidfd_open(pid_t(pid))
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    #expect(berth_pidfd_wait(descriptor, RunningAgent.endLimit) == 1, sourceLocation: location)
}
