import DeploymentCore
import Foundation

/// A real server on blocking sockets, one thread for each connection, that does exactly what a test tells it.
///
/// It listens on 127.0.0.1 with a port of the kernel's choice, or on a unix socket.
public final class ScriptedHTTPServer: Sendable {
    /// The port; 0 for a unix socket.
    public let port: Int
    /// `http://127.0.0.1:<port>`
    public var url: String { "http://127.0.0.1:\(port)" }

    private let listener: Int32
    private let state = Locked(State())
    private let script: @Sendable (ScriptedConnection) -> Void
    private let threads = DispatchGroup()

    private struct State {
        var connections: [ObjectIdentifier: ScriptedConnection] = [:]
        var accepted = 0
        var isClosed = false
    }

    /// Listens and runs `script` on a thread of its own for each connection, which is closed afterwards.
    public init(unixPath: String? = nil, script: @escaping @Sendable (ScriptedConnection) -> Void) throws {
        self.script = script
        listener = socket(unixPath == nil ? AF_INET : AF_UNIX, streamType, 0)
        port = try bindAndListen(listener, unixPath)
        run { [self] in acceptAll() }
    }

    /// Answers every request of every connection with what `answer` says.
    public convenience init(
        unixPath: String? = nil, answer: @escaping @Sendable (ScriptedRequest) -> ScriptedAnswer
    ) throws {
        try self.init(unixPath: unixPath, script: { $0.answerAll(answer) })
    }

    /// How many connections were accepted.
    public var accepted: Int { state.withLock { $0.accepted } }

    /// Stops listening, cuts all connections and waits until all scripts have returned.
    public func close() {
        let (wasClosed, open) = state.withLock { state in
            defer { state.isClosed = true }
            return (state.isClosed, Array(state.connections.values))
        }
        guard !wasClosed else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        for connection in open { connection.cut() }
        threads.wait()
    }

    private func run(_ body: @escaping @Sendable () -> Void) {
        threads.enter()
        let thread = Thread { [threads] in
            body()
            threads.leave()
        }
        thread.start()
    }

    /// Connects to the server; the caller closes the socket.
    public func connect() throws -> Int32 {
        let socket = Glibc.socket(AF_INET, streamType, 0)
        try check(withLoopback(port: UInt16(port)) { Glibc.connect(socket, $0, $1) }, "connect")
        return socket
    }

    private func acceptAll() {
        while true {
            let socket = accept(listener, nil, nil)
            guard socket >= 0 else { break }
            _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
            let connection = ScriptedConnection(socket)
            let isClosed = state.withLock { state in
                state.accepted += 1
                if !state.isClosed { state.connections[ObjectIdentifier(connection)] = connection }
                return state.isClosed
            }
            guard !isClosed else {
                connection.close()
                break
            }
            run { [self] in
                script(connection)
                state.withLock { $0.connections[ObjectIdentifier(connection)] = nil }
                connection.close()
            }
        }
        Glibc.close(listener)
    }
}

private var streamType: Int32 { Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) }

private func bindAndListen(_ listener: Int32, _ unixPath: String?) throws -> Int {
    var address = sockaddr_in()
    if let unixPath {
        try check(withUnixAddress(unixPath) { bind(listener, $0, $1) }, "bind")
    } else {
        try check(withLoopback(port: 0) { bind(listener, $0, $1) }, "bind")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try check(getsockname(listener, $0, &length), "getsockname")
            }
        }
    }
    try check(listen(listener, 128), "listen")
    return Int(UInt16(bigEndian: address.sin_port))
}

private func check(_ result: Int32, _ call: String) throws {
    guard result == 0 else { throw BerthError(.internalError, "\(call): \(String(cString: strerror(errno)))") }
}

private func withLoopback(port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}

private func withUnixAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
