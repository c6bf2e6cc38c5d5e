import NIOHTTP1

extension SignedFileRequest {
    /// Reads what a request for `/files` is signed for; nil when it carries no signature.
    init?(_ head: HTTPRequestHead, _ target: RequestTarget) throws(GateRefusal) {
        let names: Set = ["path", "username", "signature", "signature_expiration"]
        let values = try target.parameters(names)
        guard let signature = values["signature"] else { return nil }
        let method =
            head.method == .OPTIONS
            // A browser asks before it writes; what it asks for is what is signed.
            ? HTTPMethod(rawValue: head.headers.first(name: "access-control-request-method") ?? "GET") : head.method
        self.init(
            isRead: method == .GET || method == .HEAD, path: values["path"] ?? "", user: values["username"] ?? "",
            signature: signature, expiration: values["signature_expiration"])
    }
}
