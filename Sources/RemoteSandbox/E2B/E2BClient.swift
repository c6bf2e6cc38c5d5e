import CurlClient
import DeploymentCore
import E2BProtocol
import Waiting

/// A client of E2B's control plane, the hosted one or any that speaks its protocol.
///
/// Refused calls are repeated as the official clients do it (`E2BRetry`). One whose request was sent and whose answer was
/// lost is repeated only where twice is as good as once: to look, to kill, to put in place.
public struct E2BClient: Sendable {
    /// The budget of one call, repetitions and waits included.
    public static let timeout = Duration.seconds(60)
    /// The budget of one connection attempt.
    static let connectTimeout = Duration.seconds(10)
    /// The longest answer, in bytes.
    static let replyLimit = 16 << 20

    /// Whose sandboxes these are.
    public let account: E2BAccount
    let curl: CurlClient
    let clock: any Clock<Duration>
    private let jitter: @Sendable () -> Double

    /// Creates a client; nothing is asked yet.
    ///
    /// - Parameters:
    ///   - clock: paces the waits before repetitions.
    ///   - jitter: the part of a wait that is waited, 0.5 to 1.
    public init(
        account: E2BAccount, curl: CurlClient, clock: any Clock<Duration> = ContinuousClock(),
        jitter: @escaping @Sendable () -> Double = { .random(in: 0.5...1) }
    ) {
        self.account = account
        self.curl = curl
        self.clock = clock
        self.jitter = jitter
    }

    /// One call.
    struct Call: Sendable {
        var method: String
        /// With its parameters percent-encoded.
        var path: String
        /// Names and values, not encoded yet.
        var query: [(name: String, value: String)] = []
        var body: JSONValue?
        var headers: [(name: String, value: String)] = []
        /// What was asked for, for errors: `create a sandbox`.
        var wish: String
        /// Whether twice would be one too many.
        var isSentOnce = false

        /// Methods that may be sent again without knowing what became of the first time (RFC 9110, 9.2.2).
        var isIdempotent: Bool { ["GET", "DELETE", "PUT"].contains(method) }
    }

    /// Makes a call; the answer is a success.
    ///
    /// - Throws: as `E2BRefusal.error`; `unreachable` or `timeout` when there is no answer.
    func send(_ call: Call) async throws -> HTTPReply {
        var spent = Duration.zero
        var attempt = 0
        while true {
            let start = ContinuousClock.now
            let failure: BerthError
            var delay: Duration?
            do {
                let reply = try await curl.send(request(call, timeout: Self.timeout - spent), limit: Self.replyLimit)
                guard reply.status >= 300 else { return reply }
                failure = E2BRefusal(reply, hiding: account.key).error(call.wish)
                delay = E2BRetry.delay(
                    status: reply.status, shouldRetry: reply.headers["Should-Retry"],
                    retryAfter: reply.headers["Retry-After"], attempt: attempt, jitter: jitter())
            } catch let error as BerthError {
                failure = unreachable(error, call.wish)
                let mayRepeat = error.isUnsent || (error.code == .unreachable && call.isIdempotent)
                if mayRepeat, attempt < E2BRetry.limit { delay = E2BRetry.backOff(attempt, jitter()) }
            }
            spent += ContinuousClock.now - start
            // A wait that ends behind the budget would only tell the failure later.
            guard let delay, spent + delay < Self.timeout else { throw failure }
            try await clock.pause(for: delay)
            spent += delay
            attempt += 1
        }
    }

    /// Makes a call whose answer is JSON.
    func ask<Answer: WireMessage>(_ call: Call) async throws -> Answer {
        let reply = try await send(call)
        do {
            return try Answer(json: try JSONValue(parsing: reply.body))
        } catch {
            throw Self.misunderstood(call.wish, error)
        }
    }

    static func misunderstood(_ wish: String, _ error: any Error) -> BerthError {
        BerthError(.sandbox, "E2B's answer to the wish to \(wish) is not understood", cause: error)
    }

    private func request(_ call: Call, timeout: Duration) -> HTTPRequest {
        let query = call.query.map { "\(URLText.escaped($0.name))=\(URLText.escaped($0.value))" }
        let url = account.controlURL + call.path + (query.isEmpty ? "" : "?\(query.joined(separator: "&"))")
        var headers = [
            (name: "X-API-KEY", value: account.key), (name: "User-Agent", value: E2BAccount.sender),
            (name: "Accept", value: "application/json"),
        ]
        var body = HTTPRequest.Body.none
        if let json = call.body {
            headers.append((name: "Content-Type", value: "application/json"))
            body = .bytes(json.encoded())
        }
        var request = HTTPRequest(
            method: call.method, url: url, headers: headers + call.headers, body: body, timeout: timeout,
            connectTimeout: Self.connectTimeout, transport: account.transport(to: url))
        request.certificates = account.certificates
        request.isSentOnce = call.isSentOnce
        return request
    }

    private func unreachable(_ error: BerthError, _ wish: String) -> BerthError {
        guard [.unreachable, .timeout].contains(error.code) else { return error }
        return BerthError(
            error.code, "E2B at \(account.controlURL) does not answer the wish to \(wish)",
            suggestion: "check the network, E2B_DOMAIN and E2B_API_URL", cause: error)
    }
}
