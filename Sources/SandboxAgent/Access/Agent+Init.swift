import DeploymentCore
import E2BProtocol

extension Agent {
    /// Variables that the owner may set, and the most bytes of them.
    private static let environmentLimit = 1024
    private static let environmentLength = 1 << 20

    /// Answers `POST /init`.
    func initialise(_ head: RequestHead, on connection: Connection) -> any BodySink {
        CollectedBody { [self, unowned connection] body in
            do throws(ConnectError) {
                let bytes = try body.get()
                let request = try InitRequest(json: bytes.isEmpty ? [:] : Self.parse(unary: bytes))
                try apply(request, head)
                connection.respond(status: 204)
            } catch {
                connection.fail(status: error.code.httpStatus, message: error.message)
            }
        }
    }

    private func apply(_ request: InitRequest, _ head: RequestHead) throws(ConnectError) {
        guard !request.hasVolumes else { throw ConnectError(.invalidArgument, "volumes cannot be mounted here") }
        var changed = options
        if let environment = request.environment {
            let length = environment.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
            guard environment.count <= Self.environmentLimit, length <= Self.environmentLength else {
                throw ConnectError(
                    .invalidArgument, "the variables exceed the limit of \(Self.environmentLength) bytes")
            }
            for (name, value) in environment {
                guard !name.isEmpty, !name.contains("="), !(name + value).utf8.contains(0) else {
                    throw ConnectError(.invalidArgument, "the variable '\(name)' has no possible name or value")
                }
            }
            changed.sharedEnvironment = environment
        }
        if let user = request.defaultUser, !user.isEmpty, user != options.user {
            throw ConnectError(.invalidArgument, "user '\(user)' does not exist here")
        }
        if let folder = request.defaultWorkdir, !folder.isEmpty {
            changed.workingDirectory = try PathResolver(options: options).resolve(folder)
        }
        if try access.take(request, head) {
            adopt(changed)
            openInside()
        }
    }
}
