import DeploymentCore
import Foundation

/// A blocking TCP socket of 127.0.0.1, used by one thread, which another one may cut.
final class NetworkSocket: Sendable {
    private let descriptor: Locked<Int32>
    private let received = Locked<[UInt8]>([])

    init(_ descriptor: Int32) { self.descriptor = Locked(descriptor) }

    deinit { close() }

    private static func made() throws -> Int32 {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw BerthError(.internalError, "socket: \(String(cString: strerror(errno)))") }
        var on: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        return socket
    }

    private static func address(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    /// A socket that holds a port without listening; 0 takes a free one.
    static func bound(to port: Int) throws -> (NetworkSocket, port: Int) {
        let socket = try made()
        var address = address(port)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(socket, address, length) == 0 ? getsockname(socket, address, &length) : -1
            }
        }
        guard result == 0 else {
            Glibc.close(socket)
            throw BerthError(.internalError, "port \(port): \(String(cString: strerror(errno)))")
        }
        return (NetworkSocket(socket), Int(UInt16(bigEndian: address.sin_port)))
    }

    /// Nil when nobody takes the connection.
    static func connected(to port: Int) -> NetworkSocket? {
        guard let socket = try? made() else { return nil }
        var address = address(port)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            Glibc.close(socket)
            return nil
        }
        return NetworkSocket(socket)
    }

    private var number: Int32 { descriptor.withLock { $0 } }

    // MARK: passing bytes

    /// False when the other side is gone.
    func send(_ bytes: ArraySlice<UInt8>) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private func receive() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(number, &buffer, buffer.count, 0)
        return count >= 0 ? Array(buffer[..<count]) : nil
    }

    /// The next bytes, none at the end; nil when `peer`, which has nothing to say now, ends first, or this side breaks.
    func read(orEndOf peer: NetworkSocket) -> [UInt8]? {
        var sockets = [number, peer.number].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard poll(&sockets, 2, -1) > 0, sockets[0].revents != 0 else { return nil }
        return receive()
    }

    /// Blocks until the other side has ended the connection.
    func awaitEnd() { while let part = receive(), !part.isEmpty {} }

    /// One request as a whole; nil when the connection ends before.
    func readRequest() -> NetworkRequest? {
        while true {
            let (request, count) = received.withLock { (NetworkRequest($0), $0.count) }
            if let request {
                received.withLock { $0.removeFirst(request.bytes.count) }
                return request
            }
            guard count < NetworkRequest.limit, let part = receive(), !part.isEmpty else { return nil }
            received.withLock { $0 += part }
        }
    }

    // MARK: ending

    /// Wakes whoever is blocked on it; that one closes it.
    func cut() { descriptor.withLock { socket in if socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) } } }

    /// Closes with a TCP reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(number, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    func close() {
        descriptor.withLock { socket in
            if socket >= 0 { Glibc.close(socket) }
            socket = -1
        }
    }

    fileprivate func listen() -> Bool { Glibc.listen(number, 128) == 0 }

    fileprivate func accept() -> NetworkSocket? {
        let socket = Glibc.accept(number, nil, nil)
        guard socket >= 0 else { return nil }
        _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
        var on: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        return NetworkSocket(socket)
    }
}

/// Takes connections of one port until it is closed; then they are refused.
final class LoopbackListener: Sendable {
    private let socket: NetworkSocket

    init(_ port: Int) throws {
        (socket, _) = try NetworkSocket.bound(to: port)
        guard socket.listen() else {
            throw BerthError(.internalError, "listen on \(port): \(String(cString: strerror(errno)))")
        }
    }

    /// Blocks until a connection comes; nil when it is closed.
    func accept() -> NetworkSocket? {
        if let connection = socket.accept() { return connection }
        socket.close()
        return nil
    }

    /// Nobody is taken from here on.
    func close() { socket.cut() }
}
