import E2BProtocol
import NIOHTTP1

/// Where a request goes (protocol note 2.4 and 2.5).
enum Destination: Equatable {
    /// A port of a sandbox.
    case port(PortName)
    /// The agent of whichever sandbox signed it.
    case signedFile(SignedFileRequest)
    /// The API.
    case controlPlane

    /// The field that names a sandbox where the host does not.
    static let sandboxField = "E2b-Sandbox-Id"
    /// The field that names a port where the host does not.
    static let portField = "E2b-Sandbox-Port"

    /// Decides by the host first, so that nothing in a request to a sandbox's own name can aim it at another one.
    ///
    /// - Parameters:
    ///   - head: one that `RequestCheck` has passed.
    ///   - domain: what the names of sandboxes are below, without a port.
    init(_ head: HTTPRequestHead, authority: Authority, domain: String) throws(GateRefusal) {
        if let name = PortName(host: authority.host) {
            self = .port(name)
            return
        }
        let isShared =
            authority.host == "localhost" || authority.isAddress || authority.host.hasPrefix("sandbox.")
        if isShared, let name = try Self.named(head.headers) {
            self = .port(name)
            return
        }
        if !isShared, authority.host.hasSuffix(".\(domain)"), authority.host != "api.\(domain)" {
            throw .badRequest("\(authority.host) is not of the form PORT-SANDBOX.\(domain)")
        }
        let target = RequestTarget(head.uri)
        if target.path == "/files", let request = try SignedFileRequest(head, target) {
            self = .signedFile(request)
            return
        }
        self = .controlPlane
    }

    /// The port that the routing fields name; nil when there are none.
    private static func named(_ headers: HTTPHeaders) throws(GateRefusal) -> PortName? {
        let ids = headers[sandboxField]
        let ports = headers[portField]
        guard ids.count <= 1 else { throw .badRequest("\(sandboxField) came more than once") }
        guard ports.count <= 1 else { throw .badRequest("\(portField) came more than once") }
        switch (ids.first, ports.first) {
        case (nil, nil): return nil
        case (nil, .some): throw .badRequest("the header \(sandboxField) is missing")
        case (.some, nil): throw .badRequest("the header \(portField) is missing")
        case (.some(let id), .some(let text)):
            guard PortName.isValid(id) else { throw .badRequest("\(sandboxField) is not the id of a sandbox") }
            guard let port = Authority.port(text) else { throw .badRequest("\(portField) is not a port") }
            return PortName(port: port, sandbox: id)
        }
    }
}
