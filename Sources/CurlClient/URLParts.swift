import CCurl

/// The parts of a URL that origins are compared by, as libcurl itself reads them.
struct URLParts: Equatable {
    /// In lower case.
    var scheme: String
    /// In lower case.
    var host: String
    var port: String
    var path: String

    /// Reads an absolute URL; nil when libcurl would refuse it.
    init?(_ url: String) {
        guard let parts = Self.withURL(url, nil, { Self(handle: $0) }) ?? nil else { return nil }
        self = parts
    }

    private init?(handle: OpaquePointer) {
        guard let scheme = Self.part(CURLUPART_SCHEME, of: handle), let host = Self.part(CURLUPART_HOST, of: handle),
            let port = Self.part(CURLUPART_PORT, of: handle, CURLU_DEFAULT_PORT),
            let path = Self.part(CURLUPART_PATH, of: handle)
        else { return nil }
        self.scheme = scheme.lowercased()
        self.host = host.lowercased()
        self.port = port
        self.path = path
    }

    /// Whether both are the same scheme, host and port.
    func sharesOrigin(with other: URLParts) -> Bool {
        scheme == other.scheme && host == other.host && port == other.port
    }

    /// The absolute URL that `location` means, seen from `url`.
    static func resolve(_ location: String, from url: String) -> String? {
        withURL(url, location) { part(CURLUPART_URL, of: $0) } ?? nil
    }

    private static func withURL<Result>(
        _ url: String, _ relative: String?, _ body: (OpaquePointer) -> Result
    ) -> Result? {
        guard let handle = curl_url() else { return nil }
        defer { curl_url_cleanup(handle) }
        guard curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK else { return nil }
        if let relative, curl_url_set(handle, CURLUPART_URL, relative, 0) != CURLUE_OK { return nil }
        return body(handle)
    }

    private static func part(_ part: CURLUPart, of handle: OpaquePointer, _ flags: Int32 = 0) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard curl_url_get(handle, part, &text, UInt32(flags)) == CURLUE_OK, let text else { return nil }
        defer { curl_free(text) }
        return String(cString: text)
    }
}
