import Crypto
import DeploymentCore
import E2BProtocol
import Environments
import Foundation
import Sandboxes

/// The image `code-interpreter-v1`: a sandbox that runs code for E2B's code-interpreter SDKs.
///
/// Its packages are built when it is first asked for, and shared read-only by every sandbox made from it.
public struct InterpreterImage: Sendable {
    /// Processors of a sandbox made from it.
    public static let processors = 2
    /// Its memory, in MiB.
    public static let memoryMiB = 1024
    /// Where the packages are, inside.
    static let environmentFolder = "/opt/env"
    /// Where the server is, inside.
    static let serverFolder = "/opt/interpreter"
    /// How long the ready command waits, in seconds.
    static let readyTimeout = 60

    private let folder: String
    private let environments: EnvironmentStore
    private let log: @Sendable (String) -> Void

    /// Creates the image's recipe; nothing is built yet.
    ///
    /// - Parameters:
    ///   - templates: The folder of templates that are shipped; the server is in `interpreter` below it.
    ///   - environments: Builds the packages.
    ///   - log: Is told how the building goes, from any thread.
    public init(templates: String, environments: EnvironmentStore, log: @escaping @Sendable (String) -> Void) {
        // As a mount wants it: absolute, without a slash at its end.
        folder = URL(filePath: "\(templates)/interpreter", directoryHint: .notDirectory).standardizedFileURL.path(
            percentEncoded: false)
        self.environments = environments
        self.log = log
    }

    /// The image, once its packages are there; those who ask at the same time share one building.
    ///
    /// - Throws: `ControlFailure` 503 with the reason when they cannot be built; it may be tried again.
    public func make() async throws -> SandboxImage {
        let environment: Environment
        let build: String
        do {
            let lock = try Lock(parsing: try text("requirements.lock"))
            let log = log
            environment = try await environments.environment(for: lock) { progress in
                if let text = Self.text(of: progress) { log("packages of \(InterpreterTemplate.name): \(text)") }
            }
            build = try self.build(environment)
        } catch let error as BerthError {
            throw ControlFailure(
                503, "the packages of template '\(InterpreterTemplate.name)' cannot be built: \(error)",
                kind: "sandbox_create_failed", shouldRetry: false)
        }
        var mounts = [
            SandboxSpecification.Mount(source: environment.path, target: Self.environmentFolder),
            SandboxSpecification.Mount(source: folder, target: Self.serverFolder),
        ]
        if let prefix = environment.interpreterPrefix {
            mounts.append(SandboxSpecification.Mount(source: prefix, target: prefix))
        }
        return SandboxImage(
            template: InterpreterTemplate.name, build: build, alias: InterpreterTemplate.name, mounts: mounts,
            environment: ["PATH": "/home/user/.interpreter/bin:/opt/env/bin:/usr/local/bin:/usr/bin:/bin"],
            startCommand: Self.startCommand, readyCommand: Self.readyCommand, processors: Self.processors,
            memoryMiB: Self.memoryMiB)
    }

    /// Serves, and again after a crash of the server itself; the kernels end with it.
    static let startCommand = """
        cd /home/user; while :; do \(environmentFolder)/bin/python \(serverFolder)/serve.py; sleep 0.2; done
        """

    /// Ends with 0 as soon as code can be run: the server listens at once and answers once it can.
    static let readyCommand = """
        \(environmentFolder)/bin/python -I -S -c '
        import socket, sys, time
        end = time.monotonic() + \(readyTimeout)
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", \(InterpreterTemplate.port)), end - time.monotonic()) as server:
                    server.sendall(b"GET /health HTTP/1.0\\r\\n\\r\\n")
                    if b" 200 " in server.recv(64):
                        sys.exit(0)
            except OSError:
                pass
            time.sleep(0.01)
        sys.exit("the code interpreter does not answer")'
        """

    /// The id of what it is made from: packages and server.
    private func build(_ environment: Environment) throws -> String {
        var hash = SHA256()
        hash.update(data: Data(environment.digest.utf8))
        let files = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        for file in files.sorted() where file.hasSuffix(".py") {
            hash.update(data: Data("\u{0}\(file)\u{0}\(try text(file))".utf8))
        }
        return hash.finalize().prefix(16).map { String(format: "%02x", $0) }.joined()
    }

    private func text(_ name: String) throws -> String {
        do {
            return try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
        } catch {
            throw BerthError(
                .internalError, "\(folder)/\(name) cannot be read",
                suggestion: "set BERTH_TEMPLATES to the `templates` folder of the project", cause: error)
        }
    }

    /// What is worth a line in the log.
    private static func text(of progress: EnvironmentProgress) -> String? {
        switch progress {
        case .waiting: "somebody else builds them"
        case .downloading(let package, let size): "fetching \(package), \(size)"
        case .compiling: "compiling byte code"
        case .finishing: "writing to disk"
        case .warning(let text): text
        case .downloaded, .installing: nil
        }
    }
}
