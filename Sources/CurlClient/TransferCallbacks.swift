import CCurl
import DeploymentCore
import Glibc

// What libcurl calls on the loop's thread. The context is the transfer, which the loop keeps alive.

private func transfer(_ context: UnsafeMutableRawPointer?) -> Transfer? {
    context.map { Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue() }
}

func onHeader(
    _ line: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let transfer = transfer(context), let line else { return 0 }
    let bytes = UnsafeRawBufferPointer(start: line, count: size * count)
    switch transfer.head.take(bytes) {
    case .unfinished: break
    case .complete: transfer.deliver(status: transfer.head.status, headers: HTTPHeaders(transfer.head.headers))
    case .tooLong:
        transfer.failure = BerthError(
            .tooLarge, "the headers of \(transfer.target) are longer than \(ResponseHead.maximumBytes) bytes")
        return 0
    }
    return bytes.count
}

func onBody(
    _ data: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    let total = size * count
    guard let transfer = transfer(context), let data else { return 0 }
    let accepted = data.withMemoryRebound(to: UInt8.self, capacity: total) {
        transfer.deliver(UnsafeBufferPointer(start: $0, count: total))
    }
    return accepted ? total : Int(CURL_WRITEFUNC_PAUSE)
}

func onUpload(
    _ data: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let transfer = transfer(context), let data else { return Int(CURL_READFUNC_ABORT) }
    if let writer = transfer.writer {
        switch writer.fill(UnsafeMutableRawBufferPointer(start: data, count: size * count)) {
        case .bytes(let count): return count
        case .later: return Int(CURL_READFUNC_PAUSE)
        case .end: return 0
        case .failure(let error):
            transfer.failure =
                error as? BerthError
                ?? BerthError(.unreachable, "the body of the request to \(transfer.target) broke off", cause: error)
            return Int(CURL_READFUNC_ABORT)
        }
    }
    guard let upload = transfer.upload else { return Int(CURL_READFUNC_ABORT) }
    let wanted = min(size * count, Int(upload.length - upload.offset))
    guard wanted > 0 else { return 0 }
    let read = pread(upload.file, data, wanted, off_t(upload.offset))
    guard read > 0 else {
        let reason = read == 0 ? "it ended after \(upload.offset) bytes" : String(cString: strerror(errno))
        transfer.failure = BerthError(.unreachable, "cannot send the file to \(transfer.target): \(reason)")
        return Int(CURL_READFUNC_ABORT)
    }
    transfer.upload?.offset += Int64(read)
    return read
}

func onSeek(_ context: UnsafeMutableRawPointer?, _ offset: curl_off_t, _ origin: Int32) -> Int32 {
    guard let transfer = transfer(context), origin == SEEK_SET else { return CURL_SEEKFUNC_FAIL }
    transfer.upload?.offset = Int64(offset)
    return CURL_SEEKFUNC_OK
}

func onOpenSocket(
    _ context: UnsafeMutableRawPointer?, _ purpose: curlsocktype, _ address: UnsafeMutablePointer<curl_sockaddr>?
) -> curl_socket_t {
    guard let transfer = transfer(context), let address else { return CURL_SOCKET_BAD }
    switch transfer.request.transport {
    case .connected:
        guard transfer.placeholder == nil else { return CURL_SOCKET_BAD }
        let placeholder = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        transfer.placeholder = placeholder
        return placeholder
    case .network(let policy):
        guard let target = ccurl_address(address), policy.allows(target) else {
            transfer.deniedAddress = ccurl_address(address).flatMap { numeric($0, address.pointee.addrlen) } ?? "?"
            return CURL_SOCKET_BAD
        }
    case .unixSocket: break
    }
    let type = address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue)
    return socket(address.pointee.family, type, address.pointee.protocol)
}

func onBeforeRequest(
    _ context: UnsafeMutableRawPointer?, _ remote: UnsafeMutablePointer<CChar>?, _: UnsafeMutablePointer<CChar>?,
    _: Int32, _: Int32
) -> Int32 {
    guard let transfer = transfer(context), let remote else { return CURL_PREREQFUNC_ABORT }
    switch transfer.request.transport {
    case .network(let policy):
        let address = String(cString: remote)
        guard !policy.allows(address) else { return CURL_PREREQFUNC_OK }
        transfer.deniedAddress = address
        return CURL_PREREQFUNC_ABORT
    case .unixSocket: return CURL_PREREQFUNC_OK
    case .connected: return swapSockets(transfer) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
    }
}

/// Puts the connected socket in the place of the one that libcurl "connected".
///
/// libcurl 7.88 calls `connect` even when told `CURL_SOCKOPT_ALREADY_CONNECTED`, and fails with `EISCONN`. So it is given
/// a datagram socket, whose `connect` sends nothing and succeeds at once; before the first byte is written its descriptor
/// becomes ours, which libcurl closes in the end.
private func swapSockets(_ transfer: Transfer) -> Bool {
    guard let connected = transfer.connectedSocket, let placeholder = transfer.placeholder else { return false }
    var on: Int32 = 1
    // Fails harmlessly for a unix socket.
    setsockopt(connected, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    let flags = fcntl(connected, F_GETFL)
    guard flags >= 0, fcntl(connected, F_SETFL, flags | O_NONBLOCK) == 0, dup2(connected, placeholder) >= 0 else {
        return false
    }
    _ = fcntl(placeholder, F_SETFD, FD_CLOEXEC)
    close(connected)
    transfer.connectedSocket = nil
    return true
}

private func numeric(_ address: UnsafePointer<sockaddr>, _ length: UInt32) -> String? {
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    guard getnameinfo(address, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 else { return nil }
    return text.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } }
}
