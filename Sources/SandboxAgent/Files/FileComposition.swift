import CPlatform
import DeploymentCore
import E2BProtocol
import Glibc

/// `POST /files/compose`: joins files into one, a part in each round of the loop, and deletes them.
final class FileComposition {
    /// Files to join at once.
    static let sourceLimit = 1024
    private static let partLimit = 1 << 20
    private let loop: EventLoop
    private let options: AgentOptions
    private let destination: UploadedFile
    private let sources: [String]
    private var next = 0
    private var current: Int32 = -1
    private var connection: Connection?

    private init(
        sources: [String], destination: UploadedFile, options: AgentOptions, loop: EventLoop, connection: Connection
    ) {
        self.options = options
        self.sources = sources
        self.destination = destination
        self.connection = connection
        self.loop = loop
    }

    deinit { if current >= 0 { close(current) } }

    static func begin(agent: Agent, on connection: Connection) -> any BodySink {
        CollectedBody { [unowned agent, unowned connection] body in
            do throws(ConnectError) {
                let request = try ComposeRequest(json: try Agent.parse(unary: try body.get()))
                let options = try agent.options(actingAs: request.user ?? "")
                try options.act { () throws(ConnectError) in
                    try begin(request, options, agent.loop, connection)
                }
            } catch {
                connection.fail(status: error.code.httpStatus, message: error.message)
            }
        }
    }

    private static func begin(
        _ request: ComposeRequest, _ options: AgentOptions, _ loop: EventLoop, _ connection: Connection
    ) throws(ConnectError) {
        let resolver = PathResolver(options: options)
        guard !request.sources.isEmpty, request.sources.count <= sourceLimit, !request.destination.isEmpty else {
            throw ConnectError(.invalidArgument, "1 to \(sourceLimit) files can be joined into one that is named")
        }
        let target = try resolver.resolve(request.destination)
        var sources: [String] = []
        for path in request.sources {
            let source = try resolver.resolve(path)
            guard let status = FileStatus(following: source) else { throw FilesystemService.failure(errno, source) }
            guard status.isRegular else { throw ConnectError(.invalidArgument, "'\(source)' is no file") }
            guard !sources.contains(source), !Self.areSame(source, target) else {
                throw ConnectError(.invalidArgument, "'\(source)' is named twice")
            }
            sources.append(source)
        }
        do {
            let file = try UploadedFile(path: target, mode: nil)
            let composition = FileComposition(
                sources: sources, destination: file, options: options, loop: loop, connection: connection)
            connection.whenGone = { composition.connection = nil }
            composition.proceed()
        } catch {
            connection.failFile(error.error, target)
        }
    }

    private static func areSame(_ left: String, _ right: String) -> Bool {
        guard let first = FileStatus(following: left), let second = FileStatus(following: right) else { return false }
        return first.isSame(as: second)
    }

    private func proceed() {
        guard let connection else { return destination.discard() }
        if current < 0 {
            guard next < sources.count else { return finish() }
            current = berth_open_read(sources[next])
            guard current >= 0 else { return fail(-current, sources[next]) }
        }
        // A file that is read has no waiting, so nothing means the end.
        if let part = readAvailable(current, limit: Self.partLimit), !part.isEmpty {
            do {
                try destination.write(part[...])
            } catch {
                return fail(error.error, destination.path)
            }
        } else {
            close(current)
            current = -1
            next += 1
        }
        connection.whenGone = { [self] in self.connection = nil }
        _ = loop.schedule(after: 0) { self.options.act { self.proceed() } }
    }

    private func fail(_ error: Int32, _ path: String) {
        destination.discard()
        connection?.whenGone = nil
        connection?.failFile(error, path)
    }

    private func finish() {
        destination.finish()
        for source in sources { unlink(source) }
        let file = WrittenFile(name: PathResolver.name(destination.path), path: destination.path)
        connection?.whenGone = nil
        connection?.respond(json: file.json)
    }
}
