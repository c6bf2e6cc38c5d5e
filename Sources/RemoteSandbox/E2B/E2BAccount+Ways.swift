import CurlClient
import DeploymentCore
import E2BProtocol
import Sandboxes

extension E2BAccount {
    /// What requests to both planes name as their sender.
    static let sender = "berth"
    /// Three of the intervals in which an agent is asked to say that it is alive.
    static let silence = Duration.seconds(150)

    /// The way to a URL of this account: this machine's own addresses are never looked for anywhere else, and no proxy
    /// of the environment stands before them.
    func transport(to url: String) -> Transport { .network(Self.isOwnMachine(url) ? .loopback : .any) }

    /// Whether the host of a URL is this machine, by its name alone.
    static func isOwnMachine(_ url: String) -> Bool {
        guard let scheme = url.firstIndex(of: ":"), url[scheme...].hasPrefix("://") else { return false }
        var host = url[scheme...].dropFirst(3).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if host.hasPrefix("[") { return host.hasPrefix("[::1]") }
        if let colon = host.lastIndex(of: ":") { host = host[..<colon] }
        return host == "localhost" || host.hasSuffix(".localhost") || host.hasPrefix("127.")
    }

    /// What a request to a port of a sandbox carries so that it gets there (protocol note 2.2).
    ///
    /// - Parameter trafficToken: what the port asks for; nil for the agent's, which asks for its own.
    static func routing(sandbox: String, port: Int, trafficToken: String?) -> [(name: String, value: String)] {
        var headers = [(name: "E2b-Sandbox-Id", value: sandbox), (name: "E2b-Sandbox-Port", value: "\(port)")]
        if let trafficToken { headers.append((name: "E2b-Traffic-Access-Token", value: trafficToken)) }
        return headers
    }

    /// The agent of a sandbox.
    ///
    /// - Parameter user: whom processes belong to; nil is the sandbox's own user.
    public func agent(of handle: SandboxHandle, client: CurlClient, user: String? = nil) -> EnvdClient {
        let base = base(sandbox: handle.sandbox, port: E2BProtocol.HostName.agentPort, domain: handle.domain)
        var headers = Self.routing(sandbox: handle.sandbox, port: E2BProtocol.HostName.agentPort, trafficToken: nil)
        headers.append((name: "User-Agent", value: Self.sender))
        if let token = handle.agentToken { headers.append((name: "X-Access-Token", value: token)) }
        if let user = user ?? (Self.knowsDefaultUser(handle.agentVersion) ? nil : "user") {
            let pair = String(decoding: Base64.encode(Array("\(user):".utf8)), as: UTF8.self)
            headers.append((name: "Authorization", value: "Basic \(pair)"))
        }
        return EnvdClient(
            client: client, baseURL: base, transport: transport(to: base), headers: headers,
            certificates: certificates, silence: Self.silence)
    }

    /// Whether an agent of this version decides itself whom a process belongs to: from 0.4.0 on.
    static func knowsDefaultUser(_ version: String) -> Bool {
        let parts = version.split(separator: ".").prefix(2).map { Int($0.prefix { $0.isNumber }) ?? 0 }
        guard parts.count == 2 else { return true }
        return parts[0] > 0 || parts[1] >= 4
    }
}
