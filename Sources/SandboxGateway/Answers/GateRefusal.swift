import DeploymentCore
import E2BProtocol

/// What the gateway answers by itself, in the words that clients know (protocol note 2.4).
struct GateRefusal: Error, Equatable {
    var status: Int
    var message: String
    /// The sandbox that was meant; nil where none was.
    var sandbox: String?
    /// The port that was meant, where it matters.
    var port: Int?

    init(_ status: Int, _ message: String, sandbox: String? = nil, port: Int? = nil) {
        self.status = status
        self.message = message
        self.sandbox = sandbox
        self.port = port
    }

    static func badRequest(_ message: String) -> GateRefusal { GateRefusal(400, message) }
    static func methodNotAllowed(_ message: String) -> GateRefusal { GateRefusal(405, message) }

    static let headTooLarge = GateRefusal(431, "the head of the request is too large")
    static let headTooSlow = GateRefusal(408, "the head of the request did not come in time")
    static let malformed = GateRefusal(400, "the request is malformed")
    static let tooManyConnections = GateRefusal(503, "too many connections")
    static let tooManyExchanges = GateRefusal(503, "too many requests at a time")
    static let stopping = GateRefusal(503, "the server is stopping")
    static let noControlPlane = GateRefusal(503, "the control plane does not answer")
    static let badSignature = GateRefusal(401, "invalid signature")

    static func noSandbox(_ id: String) -> GateRefusal {
        GateRefusal(502, "The sandbox was not found", sandbox: id)
    }

    static func portClosed(_ name: PortName) -> GateRefusal {
        GateRefusal(502, "The sandbox is running but port is not open", sandbox: name.sandbox, port: name.port)
    }

    static func unreachable(_ name: PortName) -> GateRefusal {
        GateRefusal(502, "The port of the sandbox cannot be reached", sandbox: name.sandbox, port: name.port)
    }

    static func badToken(_ id: String) -> GateRefusal {
        GateRefusal(
            403, "The header \(Rewriting.trafficField) is missing or does not fit the sandbox", sandbox: id)
    }

    static func internalPath(_ id: String) -> GateRefusal { GateRefusal(404, "Not found", sandbox: id) }

    static func tooManyOfSandbox(_ id: String) -> GateRefusal {
        GateRefusal(429, "The sandbox has too many open connections", sandbox: id)
    }

    static func tooLate(_ name: PortName?) -> GateRefusal {
        GateRefusal(504, "The port did not answer in time", sandbox: name?.sandbox, port: name?.port)
    }

    static func brokeOff(_ name: PortName?) -> GateRefusal {
        GateRefusal(502, "The port ended without an answer", sandbox: name?.sandbox, port: name?.port)
    }

    static func badAnswer(_ name: PortName?) -> GateRefusal {
        GateRefusal(502, "The port answered something that is not HTTP", sandbox: name?.sandbox, port: name?.port)
    }

    /// What is told when there is no way to a sandbox.
    init(_ refusal: DoorRefusal, sandbox: String) {
        switch refusal {
        case .notFound: self = .noSandbox(sandbox)
        case .transitioning:
            self.init(409, "The sandbox is still transitioning between states", sandbox: sandbox)
        case .notPermitted: self.init(403, "The sandbox is paused and traffic may not resume it", sandbox: sandbox)
        case .limited(let text): self.init(429, text, sandbox: sandbox)
        case .failed(let text): self.init(503, text, sandbox: sandbox)
        }
    }

    /// The body for programs.
    var json: [UInt8] {
        var members: [String: JSONValue] = ["code": .integer(Int64(status)), "message": .string(message)]
        if let sandbox { members["sandboxId"] = .string(sandbox) }
        if let port { members["port"] = .integer(Int64(port)) }
        return JSONValue.object(members).encoded()
    }
}
