import CCurl
import DeploymentCore

/// What has to stay alive as long as the easy handle: header lists and the text buffer for errors.
struct TransferOptions {
    private var lists: [UnsafeMutablePointer<curl_slist>] = []
    private var errorText: UnsafeMutablePointer<CChar>?

    /// What libcurl wrote about the failure; empty when nothing.
    var detail: String { errorText.map { String(cString: $0) } ?? "" }

    /// Frees everything; the easy handle must be gone.
    mutating func free() {
        for list in lists { curl_slist_free_all(list) }
        lists = []
        errorText?.deallocate()
        errorText = nil
    }

    /// Sets up an easy handle for the transfer.
    ///
    /// - Throws: `CurlError` when libcurl refuses an option.
    mutating func apply(_ transfer: Transfer, to handle: UnsafeMutableRawPointer) throws {
        let request = transfer.request
        let context = Unmanaged.passUnretained(transfer).toOpaque()
        try check(ccurl_set_pointer(handle, CURLOPT_PRIVATE, context))
        let text = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
        text.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        errorText = text
        try check(ccurl_set_pointer(handle, CURLOPT_ERRORBUFFER, text))
        try check(ccurl_set_string(handle, CURLOPT_PROTOCOLS_STR, "http,https"))
        try check(ccurl_set_string(handle, CURLOPT_URL, request.url))
        try check(ccurl_set_string(handle, CURLOPT_USERAGENT, "berth"))
        for (option, value) in [
            (CURLOPT_NOSIGNAL, 1), (CURLOPT_FOLLOWLOCATION, 0), (CURLOPT_QUICK_EXIT, 1),
            (CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)),
            (CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeout.milliseconds),
            (CURLOPT_TIMEOUT_MS, request.timeout?.milliseconds ?? 0),
        ] {
            try check(ccurl_set_long(handle, option, value))
        }
        if let silence = request.silence {
            try check(ccurl_set_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1))
            try check(ccurl_set_long(handle, CURLOPT_LOW_SPEED_TIME, max(1, Int(silence.components.seconds))))
        }
        if let file = request.certificates { try check(ccurl_set_string(handle, CURLOPT_CAINFO, file)) }
        try check(ccurl_set_write(handle, CURLOPT_WRITEFUNCTION, onBody))
        try check(ccurl_set_pointer(handle, CURLOPT_WRITEDATA, context))
        try check(ccurl_set_write(handle, CURLOPT_HEADERFUNCTION, onHeader))
        try check(ccurl_set_pointer(handle, CURLOPT_HEADERDATA, context))
        try applyMethod(request, context, to: handle)
        try applyHeaders(request, to: handle)
        try applyTransport(request.transport, context, to: handle)
    }

    private func check(_ code: CURLcode) throws {
        guard code == CURLE_OK else { throw CurlError(code) }
    }

    private func applyMethod(
        _ request: HTTPRequest, _ context: UnsafeMutableRawPointer, to handle: UnsafeMutableRawPointer
    ) throws {
        var bytes: [UInt8]?
        switch request.body {
        case .none: bytes = ["POST", "PUT", "PATCH"].contains(request.method) ? [] : nil
        case .bytes(let body): bytes = body
        case .stream:
            try applyUpload(-1, context, to: handle)
            // On a kept connection that turns out to be dead the body would have to begin again, which it cannot.
            try check(ccurl_set_long(handle, CURLOPT_FRESH_CONNECT, 1))
        case .file(_, let length):
            try applyUpload(curl_off_t(length), context, to: handle)
            try check(ccurl_set_seek(handle, onSeek))
            try check(ccurl_set_pointer(handle, CURLOPT_SEEKDATA, context))
        }
        if var bytes {
            let count = bytes.count
            if bytes.isEmpty { bytes = [0] }
            try check(ccurl_set_offset(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(count)))
            try bytes.withUnsafeMutableBytes {
                try check(ccurl_set_pointer(handle, CURLOPT_COPYPOSTFIELDS, $0.baseAddress))
            }
        }
        if request.method == "HEAD" {
            try check(ccurl_set_long(handle, CURLOPT_NOBODY, 1))
        } else {
            try check(ccurl_set_string(handle, CURLOPT_CUSTOMREQUEST, request.method))
        }
    }

    /// - Parameter length: -1 when nobody knows; the body goes in chunks then.
    private func applyUpload(
        _ length: curl_off_t, _ context: UnsafeMutableRawPointer, to handle: UnsafeMutableRawPointer
    ) throws {
        try check(ccurl_set_long(handle, CURLOPT_UPLOAD, 1))
        try check(ccurl_set_offset(handle, CURLOPT_INFILESIZE_LARGE, length))
        try check(ccurl_set_read(handle, onUpload))
        try check(ccurl_set_pointer(handle, CURLOPT_READDATA, context))
    }

    private mutating func applyHeaders(_ request: HTTPRequest, to handle: UnsafeMutableRawPointer) throws {
        let given = request.headers.filter { !HTTPRequest.ownFields.contains($0.name.lowercased()) }
        var lines = given.map { $0.value.trimmed.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
        lines.append("Expect:")
        if !given.contains(where: { $0.name.lowercased() == "content-type" }) { lines.append("Content-Type:") }
        try check(ccurl_set_list(handle, CURLOPT_HTTPHEADER, try list(lines)))
    }

    private mutating func applyTransport(
        _ transport: Transport, _ context: UnsafeMutableRawPointer, to handle: UnsafeMutableRawPointer
    ) throws {
        if case .network(.any) = transport {} else { try check(ccurl_set_string(handle, CURLOPT_PROXY, "")) }
        if case .network(.any) = transport { return }
        try check(ccurl_set_open_socket(handle, onOpenSocket))
        try check(ccurl_set_pointer(handle, CURLOPT_OPENSOCKETDATA, context))
        // A kept connection opens no socket, so its address is checked once more before each request.
        try check(ccurl_set_before_request(handle, onBeforeRequest))
        try check(ccurl_set_pointer(handle, CURLOPT_PREREQDATA, context))
        switch transport {
        case .network: break
        case .unixSocket(let path):
            try check(ccurl_set_string(handle, CURLOPT_UNIX_SOCKET_PATH, path))
            // The same text may name another folder tomorrow.
            if path.hasPrefix("/proc/") { try forbidReuse(handle) }
        case .connected:
            // One numeric address: no name lookup, and exactly one socket is asked for.
            try check(ccurl_set_list(handle, CURLOPT_CONNECT_TO, try list(["::127.0.0.1:1"])))
            // The socket is swapped after a TLS handshake would have begun.
            try check(ccurl_set_string(handle, CURLOPT_PROTOCOLS_STR, "http"))
            try forbidReuse(handle)
        }
    }

    private func forbidReuse(_ handle: UnsafeMutableRawPointer) throws {
        try check(ccurl_set_long(handle, CURLOPT_FRESH_CONNECT, 1))
        try check(ccurl_set_long(handle, CURLOPT_FORBID_REUSE, 1))
    }

    private mutating func list(_ lines: [String]) throws -> UnsafeMutablePointer<curl_slist>? {
        var head: UnsafeMutablePointer<curl_slist>?
        defer { if let head { lists.append(head) } }
        for line in lines {
            guard let next = curl_slist_append(head, line) else { throw CurlError(CURLE_OUT_OF_MEMORY) }
            head = next
        }
        return head
    }
}

extension Duration {
    /// Whole milliseconds, rounded up and at least 1, since 0 means "no limit" to libcurl.
    var milliseconds: Int {
        let (seconds, attoseconds) = components
        let limited = min(max(seconds, 0), 1 << 31)
        return max(1, Int(limited * 1000 + (max(attoseconds, 0) + 999_999_999_999_999) / 1_000_000_000_000_000))
    }
}
