/// An answer that the gateway gives without the app.
struct OwnAnswer {
    var status: Int
    var mediaType = "application/json"
    var body: [UInt8]
    /// In seconds; nil says nothing of it.
    var retryAfter: Int?

    /// The whole answer in bytes.
    ///
    /// - Parameters:
    ///   - isHead: whether the body is to be left out.
    ///   - connection: what the `Connection` field says; nil leaves it out.
    ///   - revisionLine: the `X-Berth-Revision` line, empty when no revision is known.
    func response(isHead: Bool, connection: String?, revisionLine: [UInt8]) -> [UInt8] {
        var head = "HTTP/1.1 \(status) \(Self.reason(status))\r\nContent-Type: \(mediaType)\r\n"
        head += "Content-Length: \(body.count)\r\n"
        if let retryAfter { head += "Retry-After: \(retryAfter)\r\n" }
        if let connection { head += "Connection: \(connection)\r\n" }
        return Array(head.utf8) + revisionLine + [13, 10] + (isHead ? [] : body)
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 417: "Expectation Failed"
        case 431: "Request Header Fields Too Large"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }
}
