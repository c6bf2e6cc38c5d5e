import CPlatform
import CurlClient
import DeploymentCore
import E2BProtocol
import Glibc
import Sandboxes
import Waiting

extension E2BSandbox {
    /// How long a port may take to show that somebody listens on it.
    static let portTimeout = Duration.seconds(5)

    /// Opens a connection to a port inside: a socket whose other end passes each request on to the service's proxy.
    ///
    /// Whether somebody listens is asked once, with a request of ours, and again after a failure.
    ///
    /// - Throws: `PortRefused`; `unreachable` when the sandbox is paused, gone, or out of reach.
    public func connect(port: Int) async throws -> Int32 {
        guard (1...65_535).contains(port) else { throw BerthError(.sandbox, "\(port) is not a port") }
        if isPaused { throw BerthError(.unreachable, "the sandbox \(id) is paused", suggestion: "resume it first") }
        if state.withLock(\.isGone) { throw ProxyRefusal.noSandbox.error(id) }
        if !state.withLock({ $0.openPorts.contains(port) }) {
            try await look(at: port)
            state.withLock { _ = $0.openPorts.insert(port) }
        }
        return try relay(to: port)
    }

    /// - Throws: as `connect(port:)`.
    private func look(at port: Int) async throws {
        let target = target(port)
        var request = HTTPRequest(
            method: "OPTIONS", url: "\(target.base)/",
            headers: target.headers + [(name: "User-Agent", value: E2BAccount.sender)], timeout: Self.portTimeout,
            connectTimeout: Self.portTimeout, transport: target.transport)
        request.certificates = target.certificates
        do {
            let refusal = try await client.curl.withResponse(request) { response in
                try await ProxyRefusal.read(response).refusal
            }
            switch refusal {
            case nil: return
            case .portClosed: throw PortRefused(port: port)
            case let refusal?: throw refusal.error(id)
            }
        } catch let error as BerthError where (error.cause as? CurlError)?.isTimeout == true {
            // Somebody took the connection and says nothing; the next request finds out the same, with its own deadline.
            return
        } catch let error as BerthError where error.cause is CurlError {
            state.withLock { $0.lostRequests += 1 }
            throw error
        }
    }

    private func target(_ port: Int) -> PortRelay.Target {
        let handle = handle
        let account = client.account
        let base = account.base(sandbox: handle.sandbox, port: port, domain: handle.domain)
        return PortRelay.Target(
            base: base, transport: account.transport(to: base),
            headers: E2BAccount.routing(sandbox: handle.sandbox, port: port, trafficToken: handle.trafficToken),
            certificates: account.certificates)
    }

    private func relay(to port: Int) throws -> Int32 {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw BerthError(.unreachable, "no connection to port \(port): \(String(cString: strerror(errno)))")
        }
        let ours = ends[1]
        let relay = PortRelay(target: target(port), curl: client.curl) { [weak self] refusal in
            self?.state.withLock { state in
                state.openPorts.remove(port)
                if refusal == nil { state.lostRequests += 1 }
                if refusal == .noSandbox { state.isGone = true }
            }
        }
        guard relays.start({ await relay.run(on: ours) }) != nil else {
            for end in ends { Glibc.close(end) }
            throw ProxyRefusal.noSandbox.error(id)
        }
        return ends[0]
    }
}
