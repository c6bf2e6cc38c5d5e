import CurlClient
import DeploymentCore
import Glibc
import Sandboxes
import Waiting

/// Moves the files of a sandbox out and in: `tar` runs inside as whoever owns them, and streams through the agent.
///
/// An archive names files from `/`: `home/user/…`, `root/…`, `tmp/…`, and of a whole snapshot `dev/shm/…` and `run/…`.
/// Names, modes, owners, times, hard links, symlinks, holes and attributes of users are kept; sockets are not.
public struct SandboxFiles: Sendable {
    /// How long a killed process gets to end.
    private static let endLimit = Duration.seconds(10)
    /// What is read of an archive at once, in bytes.
    private static let step = 64 << 10
    /// How much of what tar says an error tells, in bytes.
    private static let errorLimit = 2048
    /// Where the home is in an archive.
    static let home = "home/user"
    /// What clients tell the sandbox itself, and what is mounted.
    private static let never = ["run/e2b", "run/lock"]

    let sandbox: HeldSandbox

    /// The files of a sandbox.
    public init(of sandbox: HeldSandbox) { self.sandbox = sandbox }

    /// Delivers the archive.
    ///
    /// - Parameter withVolatile: whether what lives only as long as the machine belongs to it: /dev/shm and /run.
    public func pack(withVolatile: Bool, _ deliver: ([UInt8]) throws -> Void) async throws {
        try await run(packing(withVolatile), input: nil, deliver)
    }

    /// Unpacks an archive of the host over what is there.
    public func unpack(_ path: String) async throws {
        try await run(unpacking, input: path) { _ in }
    }

    /// Unpacks an archive of somebody else's into a new folder.
    func extract(_ path: String, to folder: String, isCompressed: Bool) async throws {
        let script = "mkdir -- \"$1\" && exec tar --extract --file=- --directory=\"$1\" $2 --no-same-owner"
        try await run(
            ["/bin/sh", "-c", script, "sh", folder, isCompressed ? "--gzip" : "--preserve-permissions"], input: path
        ) { _ in }
    }

    private static let form = [
        "--format=posix", "--numeric-owner", "--xattrs", "--xattrs-include=user.*", "--sparse",
    ]

    private func packing(_ withVolatile: Bool) -> [String] {
        var command =
            ["tar", "--create", "--file=-"] + Self.form + [
                "--sort=name", "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", "--anchored",
                "--no-wildcards", "--warning=no-file-ignored",
            ]
        if sandbox.sharesHost {
            // Only names: what a link leads to stays as it is.
            command += ["--transform=flags=rhS;s,^\\.,\(Self.home),", "--directory=\(sandbox.home)"]
            return command + sandbox.mounts.compactMap(relativeToHome).map { "--exclude=./\($0)" } + ["."]
        }
        command += mounted.map { "--exclude=\($0)" } + Self.never.map { "--exclude=\($0)" } + ["--directory=/"]
        return command + places(withVolatile)
    }

    private var unpacking: [String] {
        var command =
            ["tar", "--extract", "--file=-"] + Self.form + ["--preserve-permissions", "--delay-directory-restore"]
        if !sandbox.hasRoot { command.append("--no-same-owner") }
        // What a sandbox had in its own folder does not end up in a volume that is mounted there now.
        command += ["--anchored", "--no-wildcards"] + mounted.map { "--exclude=\($0)" }
        command +=
            sandbox.sharesHost
            ? ["--directory=\(sandbox.home)", "--strip-components=2", Self.home] : ["--directory=/"]
        // A new sandbox has this folder, which the archive may be without.
        return ["/bin/sh", "-c", "rmdir -- \"$0/app\" 2>/dev/null; exec \"$@\"", sandbox.home] + command
    }

    /// The mounts as an archive would name them.
    private var mounted: [String] { sandbox.mounts.map { String($0.drop { $0 == "/" }) } }

    /// What can be written inside.
    private func places(_ withVolatile: Bool) -> [String] {
        [Self.home] + (sandbox.hasRoot ? ["root"] : []) + ["tmp"] + (withVolatile ? ["dev/shm", "run"] : [])
    }

    private func relativeToHome(_ path: String) -> String? {
        let prefix = "/\(Self.home)/"
        return path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : nil
    }

    /// Runs tar to its end.
    private func run(_ command: [String], input: String?, _ deliver: ([UInt8]) throws -> Void) async throws {
        let process = try await sandbox.owner.start(
            ProcessSpecification(
                tag: "", command: command, environment: ["LC_ALL": "C"], workingDirectory: "/",
                keepsInputOpen: input != nil))
        do {
            async let feeding = Self.feed(input, to: process)
            var errors: [UInt8] = []
            var status: ExitStatus?
            for try await event in process.events {
                switch event {
                case .stdout(let bytes): try deliver(bytes)
                case .stderr(let bytes): if errors.count < Self.errorLimit { errors += bytes }
                case .ended(let end): status = end
                }
            }
            let failure = await feeding
            guard status != .exited(code: 0) || failure != nil else { return }
            let text = String(decoding: errors.prefix(Self.errorLimit), as: UTF8.self)
            let code: BerthError.Code = text.contains("No space left") ? .storageFull : .sandbox
            throw BerthError(
                code,
                "the files of sandbox \(sandbox.id) cannot be \(input == nil ? "read" : "written"): "
                    + (text.isEmpty ? "tar ended with \(status.map { "\($0)" } ?? "nothing")" : text), cause: failure)
        } catch {
            await Self.end(process)
            throw error
        }
    }

    /// Ends a process and waits for its end; not as part of this task, which may be cancelled.
    private static func end(_ process: EnvdProcess) async {
        await Task {
            try? await process.signal(SIGKILL)
            try? await withDeadline(endLimit, BerthError(.timeout, "a killed process does not end")) {
                for try await _ in process.events {}
            }
        }.value
    }

    /// Sends a file of the host to a process, and then the end of it; ends the process when that fails.
    private static func feed(_ path: String?, to process: EnvdProcess) async -> (any Error)? {
        guard let path else { return nil }
        do {
            try await send(path, to: process)
            return nil
        } catch {
            await Task { try? await process.signal(SIGKILL) }.value
            return error
        }
    }

    private static func send(_ path: String, to process: EnvdProcess) async throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw BerthError(.notFound, "the image's files \(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: Self.step)
        while true {
            let count = read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw BerthError(.sandbox, "\(path) cannot be read: \(String(cString: strerror(errno)))")
            }
            guard count > 0 else { break }
            try await process.write(Array(buffer[..<count]))
        }
        try await process.closeInput()
    }
}
