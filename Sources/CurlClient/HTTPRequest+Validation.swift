import DeploymentCore

extension HTTPRequest {
    /// Fields that frame the message; two opinions on them would be request smuggling.
    static let ownFields: Set<String> = ["content-length", "transfer-encoding", "expect"]
    /// What a redirect to another origin may still carry.
    static let harmlessFields: Set<String> = [
        "accept", "accept-encoding", "accept-language", "if-none-match", "if-range", "range", "user-agent",
    ]

    /// Refuses what would change the shape of the message.
    ///
    /// - Throws: `usage`; the value of a header is not named, since it may be a secret.
    func validate() throws {
        guard Self.isToken(method) else { throw BerthError(.usage, "the HTTP method is not a token") }
        for (name, value) in headers {
            guard Self.isToken(name) else { throw BerthError(.usage, "the header name \"\(name)\" is not a token") }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
                throw BerthError(.usage, "the value of header \(name) holds a control character")
            }
        }
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw BerthError(.usage, "the URL holds a space or a control character")
        }
    }

    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    /// The request that follows a redirect; nil when it must not be followed.
    func redirected(by response: HTTPResponse) -> HTTPRequest? {
        guard redirects > 0, [301, 302, 303, 307, 308].contains(response.status), method == "GET" || method == "HEAD",
            let location = response.headers["Location"], let next = URLParts.resolve(location, from: url),
            let from = URLParts(url), let to = URLParts(next)
        else { return nil }
        switch transport {
        case .network(.loopback): break
        case .network, .unixSocket: guard to.scheme == "https" else { return nil }
        case .connected: return nil
        }
        var request = self
        request.url = next
        request.redirects -= 1
        if !from.sharesOrigin(with: to) {
            request.headers = headers.filter { Self.harmlessFields.contains($0.name.lowercased()) }
        }
        return request
    }
}
