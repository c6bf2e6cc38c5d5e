import CurlClient
import DeploymentCore
import Glibc
import Sandboxes

/// Asks an app in a sandbox how it is, and believes evidence only.
public struct Prober: Sendable {
    /// The most bytes of a health answer that are read.
    public static let maximumBody = 64 << 10
    /// The header in which a rendered app names its revision's nonce.
    public static let revisionHeader = "X-Berth-Revision"
    /// The most characters of a body that an outcome keeps.
    static let maximumShown = 2 << 10

    let client: CurlClient
    let clock: any Clock<Duration>

    /// Creates a prober. The clock paces and ends the waits; the budget of one probe is the client's, in real time.
    public init(client: CurlClient, clock: any Clock<Duration> = ContinuousClock()) {
        self.client = client
        self.clock = clock
    }

    /// Makes one probe over a connected socket of the sandbox.
    ///
    /// With a nonce, the answer must carry it. Without one, and with a tag, the sandbox must vouch that the listener on
    /// the port belongs to the process of that tag. Without a health path, HTTP is not spoken.
    public func probe(
        _ sandbox: any Sandbox, health: Manifest.Health, nonce: String?, tag: String? = nil
    ) async -> ProbeOutcome {
        let socket: Int32
        do {
            socket = try await sandbox.connect(port: sandbox.port)
        } catch is PortRefused {
            return .refused
        } catch {
            return .proberError("\(error)")
        }
        let outcome: ProbeOutcome
        if let path = health.path {
            outcome = await ask(path, over: socket, port: sandbox.port, health: health, nonce: nonce)
        } else {
            close(socket)
            outcome = .healthy
        }
        // An app without a health path gives no answer that could carry the nonce.
        guard outcome == .healthy, nonce == nil || health.path == nil, let tag else { return outcome }
        return await checkListener(of: sandbox, tag: tag)
    }

    private func ask(
        _ path: String, over socket: Int32, port: Int, health: Manifest.Health, nonce: String?
    ) async -> ProbeOutcome {
        var headers = health.headers.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        headers.append((name: "Connection", value: "close"))
        let request = HTTPRequest(
            url: "http://127.0.0.1:\(port)\(path)", headers: headers, timeout: health.timeout,
            connectTimeout: health.timeout, transport: .connected(socket))
        do {
            return try await client.withResponse(request) { response in
                let (body, isWhole) = try await Self.read(response.body)
                return Self.judge(response, body, isWhole: isWhole, health: health, nonce: nonce)
            }
        } catch {
            return Self.outcome(of: error)
        }
    }

    private static func read(_ body: HTTPBody) async throws -> (bytes: [UInt8], isWhole: Bool) {
        var bytes: [UInt8] = []
        for try await chunk in body {
            bytes += chunk
            if bytes.count > maximumBody { return (Array(bytes.prefix(maximumBody)), false) }
        }
        return (bytes, true)
    }

    private static func judge(
        _ response: HTTPResponse, _ body: [UInt8], isWhole: Bool, health: Manifest.Health, nonce: String?
    ) -> ProbeOutcome {
        let text = String(decoding: body.prefix(maximumShown), as: UTF8.self)
        guard (200..<300).contains(response.status) else { return .status(response.status, body: text) }
        if let nonce {
            let revision = response.headers[revisionHeader]
            guard revision == nonce else { return .wrongRevision(revision.map { String($0.prefix(64)) }) }
        }
        guard let expected = health.expect else { return .healthy }
        guard isWhole else { return .wrongBody("the body is longer than \(maximumBody) bytes", body: text) }
        guard let value = try? JSONValue(parsing: body) else { return .wrongBody("the body is not JSON", body: text) }
        guard let mismatch = JSONComparison.mismatch(of: value, expected: expected) else { return .healthy }
        return .wrongBody(mismatch, body: text)
    }

    private static func outcome(of error: any Error) -> ProbeOutcome {
        guard let error = error as? BerthError else { return .proberError("\(error)") }
        if error.code == .tooLarge { return .wrongBody(error.message, body: "") }
        guard let cause = error.cause as? CurlError else { return .proberError("\(error)") }
        if cause.isTimeout { return .silent }
        if cause.isReset { return .reset }
        if cause.isRefused { return .refused }
        if cause.isNotHTTP { return .wrongBody("the answer is not HTTP", body: "") }
        return .proberError("\(error)")
    }

    private func checkListener(of sandbox: any Sandbox, tag: String) async -> ProbeOutcome {
        do {
            let listeners = try await sandbox.listeners().filter { $0.port == sandbox.port }
            if listeners.isEmpty { return .wrongListener("nobody is known to listen on port \(sandbox.port)") }
            guard let stranger = listeners.first(where: { $0.tag != tag }) else { return .healthy }
            let holder = stranger.pid.map { "process \($0)" } ?? "a process that cannot be told"
            return .wrongListener("port \(sandbox.port) is held by \(holder), which is not the app's")
        } catch {
            return .proberError("\(error)")
        }
    }
}
