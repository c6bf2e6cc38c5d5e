import CPlatform
import DeploymentCore
import Glibc

/// How the host comes to an agent that it can hand no listener to, since no descriptor crosses into gVisor.
///
/// The agent makes a socket in the home folder, which is a socket of the host's there, and says so over a pipe. Then the
/// host moves it out of the home folder: a connection follows the socket and not its name, and inside nobody can put
/// another one in its place any more.
final class AgentDoor: Sendable {
    private let inside: String
    private let outside: String
    private let reading: Descriptor
    private let writing: Locked<Descriptor?>

    init(_ folder: SandboxFolder) throws {
        inside = "\(folder.home)/\(GvisorCommand.doorName)"
        outside = "\(folder.path)/\(SandboxFolder.socketName)"
        var ends: [Int32] = [-1, -1]
        try check(berth_pipe_from_child(&ends), "no pipe from the agent of sandbox \(folder.id)")
        reading = Descriptor(ends[0])
        writing = Locked(Descriptor(ends[1]))
    }

    /// Gives away the agent's end, so that its end is seen here.
    func takeWriting() throws -> Descriptor {
        let taken = writing.withLock { slot in
            defer { slot = nil }
            return slot
        }
        guard let taken else { throw BerthError(.internalError, "the agent's end of a pipe was given away already") }
        return taken
    }

    /// Waits until the agent listens, and takes its socket out of its reach.
    ///
    /// - Throws: `sandbox` when it ended before, `timeout` when it takes longer than `limit`.
    func open(limit: Duration) async throws {
        guard try await ExitWatch.wait(reading, limit: limit) else {
            throw BerthError(.timeout, "the agent does not listen within \(limit)")
        }
        var word: UInt8 = 0
        guard read(reading.number, &word, 1) == 1 else { throw BerthError(.sandbox, "the launcher ended") }
        guard rename(inside, outside) == 0 else { throw BerthError.system(errno, "\(inside) cannot be moved") }
    }
}
