import DeploymentCore
import E2BProtocol
import Glibc

/// Who may call, once the owner has set a token.
struct AccessRules {
    private static let tokenHeader = "x-access-token"
    private(set) var token: String?
    private var lastInit: Timestamp?

    /// Why a request is refused; nil when it may go on.
    func refusal(_ head: RequestHead) -> String? {
        guard let token else { return nil }
        let isFile = head.path == "/files" && (head.method == "GET" || head.method == "POST")
        switch (head.method, head.path) {
        case ("GET", "/health"), ("POST", "/init"): return nil
        default: break
        }
        if let shown = head[Self.tokenHeader] {
            return ConstantTime.equals(shown, token) ? nil : "the access token is wrong"
        }
        guard isFile else { return "the access token is missing: header X-Access-Token" }
        return signatureRefusal(head, token)
    }

    private func signatureRefusal(_ head: RequestHead, _ token: String) -> String? {
        guard let signature = head.query["signature"] else { return "missing signature query parameter" }
        var expiration: Int64?
        if let text = head.query["signature_expiration"] {
            guard let second = Int64(text) else { return "invalid signature" }
            expiration = second
        }
        let expected = FileSignature.make(
            path: head.query["path"] ?? "", head.method == "GET" ? .read : .write, user: head.query["username"] ?? "",
            token: token, expiration: expiration)
        guard ConstantTime.equals(signature, expected) else { return "invalid signature" }
        if let expiration, expiration < Int64(time(nil)) { return "signature is already expired" }
        return nil
    }

    /// Takes what the owner says of access.
    ///
    /// - Returns: whether the rest of it counts too; what is older than the last does not.
    /// - Throws: `unauthenticated` for another token than the one there is, unless that one is shown.
    mutating func take(_ request: InitRequest, _ head: RequestHead) throws(ConnectError) -> Bool {
        let wanted = request.accessToken.flatMap { $0.isEmpty ? nil : $0 }
        if let token {
            let isOwner = head[Self.tokenHeader].map { ConstantTime.equals($0, token) } ?? false
            guard isOwner || wanted.map({ ConstantTime.equals($0, token) }) ?? false else {
                throw ConnectError(.unauthenticated, "the access token is set already, and is another one")
            }
        }
        if let last = lastInit, let time = request.timestamp,
            (time.seconds, time.nanoseconds) < (last.seconds, last.nanoseconds)
        {
            return false
        }
        lastInit = request.timestamp ?? lastInit
        token = wanted
        return true
    }
}
