import Foundation
import Glibc

/// What went wrong on a test's socket.
public struct WireError: Error, Equatable {
    /// The words.
    public let what: String

    /// Creates the error.
    public init(what: String) { self.what = what }
}

/// A message as it came over the wire.
public struct Message: Sendable {
    /// The first line and the fields, with the empty line after them.
    public var head: String
    /// The body as it was sent: chunks stay as they are.
    public var body: [UInt8]
    /// The status of a response; 0 for a request.
    public var status: Int { Int(head.dropFirst(9).prefix(3)) ?? 0 }
    /// The body as UTF-8.
    public var text: String { String(decoding: body, as: UTF8.self) }

    /// The value of the first field `name`.
    public func field(_ name: String) -> String? {
        for line in head.components(separatedBy: "\r\n").dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == name.lowercased() {
                return parts[1].trimmingCharacters(in: .whitespaces)
            }
        }
        return nil
    }
}

/// A blocking socket with a buffer, for scripts of clients and apps. Every wait ends after 20 s.
public final class Wire: @unchecked Sendable {
    /// How long any wait takes at most, in seconds.
    public static let waitLimit = 20
    /// The descriptor.
    public let socket: Int32
    private var buffer: [UInt8] = []
    private var isOpen = true

    /// Takes over `socket`, which is closed with it.
    public init(adopting socket: Int32) {
        self.socket = socket
        var limit = timeval(tv_sec: Self.waitLimit, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Connects to loopback `port`; throws `WireError`.
    public convenience init(port: Int, receiveBuffer: Int32? = nil) throws {
        self.init(adopting: try Self.connect(port: port, receiveBuffer: receiveBuffer))
    }

    deinit { close() }

    /// Says that nothing more is sent; reading goes on.
    public func finishSending() { shutdown(socket, Int32(SHUT_WR)) }

    /// Closes the socket, once.
    public func close() {
        if isOpen { Glibc.close(socket) }
        isOpen = false
    }

    /// A socket connected to loopback `port`, with a receive buffer of that many bytes; throws `WireError`.
    public static func connect(port: Int, receiveBuffer: Int32? = nil) throws -> Int32 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer {
            setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        let result = withAddress(port: port) { Glibc.connect(socket, $0, $1) }
        guard result == 0 else {
            Glibc.close(socket)
            throw WireError(what: "connect: \(errno)")
        }
        return socket
    }

    /// A socket connected to the unix socket at `path`; throws `WireError`.
    public static func connect(path: String) throws -> Int32 {
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            Glibc.close(socket)
            throw WireError(what: "connect: \(errno)")
        }
        return socket
    }

    /// Two connected sockets: one for a test, one to be given out as a port.
    public static func pair() throws -> (near: Wire, far: Int32) {
        var sockets: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &sockets) == 0 else {
            throw WireError(what: "socketpair: \(errno)")
        }
        return (Wire(adopting: sockets[0]), sockets[1])
    }

    /// Calls `body` with loopback `port` as an address.
    public static func withAddress<Result>(
        port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    /// Sends all of `text`; throws `WireError`.
    public func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Sends all `bytes`; throws `WireError`.
    public func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw WireError(what: "send: \(errno)") }
            sent += count
        }
    }

    /// Sends `bytes` over and over until the other side has taken nothing for 1 s, or `limit` is reached; how many.
    public func sendUntilStuck(_ bytes: [UInt8], limit: Int) throws -> Int {
        var sent = 0
        while sent < limit {
            var waiting = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
            guard poll(&waiting, 1, 1000) > 0 else { return sent }
            let count = Glibc.send(
                socket, bytes, min(bytes.count, limit - sent), Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            guard count > 0 else {
                if errno == EAGAIN { continue }
                throw WireError(what: "send: \(errno)")
            }
            sent += count
        }
        return sent
    }

    /// Reads and drops `count` bytes.
    public func skip(_ count: Int) throws {
        var left = count
        while left > 0 {
            if buffer.isEmpty, try !fill() { throw WireError(what: "ended \(left) bytes early") }
            let taken = min(left, buffer.count)
            buffer.removeFirst(taken)
            left -= taken
        }
    }

    /// Reads more; false at the end.
    private func fill() throws -> Bool {
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        let count = recv(socket, &chunk, chunk.count, 0)
        guard count >= 0 else { throw WireError(what: "recv: \(errno)") }
        buffer += chunk[..<count]
        return count > 0
    }

    /// The bytes up to and with `end`; nil when the connection ends before the first of them.
    public func read(through end: String) throws -> String? {
        let pattern = Array(end.utf8)
        while true {
            if let range = buffer.firstRange(of: pattern) {
                let text = String(decoding: buffer[..<range.upperBound], as: UTF8.self)
                buffer.removeSubrange(..<range.upperBound)
                return text
            }
            guard try fill() else {
                if buffer.isEmpty { return nil }
                throw WireError(what: "ended inside: \(String(decoding: buffer.prefix(200), as: UTF8.self))")
            }
        }
    }

    /// The next `count` bytes; throws `WireError` when the connection ends before.
    public func read(exactly count: Int) throws -> [UInt8] {
        while buffer.count < count {
            guard try fill() else { throw WireError(what: "ended after \(buffer.count) of \(count) bytes") }
        }
        defer { buffer.removeSubrange(..<count) }
        return Array(buffer[..<count])
    }

    /// Everything up to the end of the connection.
    public func readToEnd() throws -> [UInt8] {
        while try fill() {}
        defer { buffer = [] }
        return buffer
    }

    /// Whether the other side has ended or reset the connection, having sent nothing more.
    public func isAtEnd() -> Bool {
        guard buffer.isEmpty else { return false }
        return (try? fill()) != true
    }

    /// A message with its body by length or chunks (which stay as they are); nil when the connection ends before it.
    public func readMessage(hasBody: Bool = true, isRequest: Bool = false) throws -> Message? {
        guard let head = try read(through: "\r\n\r\n") else { return nil }
        var message = Message(head: head, body: [])
        let cannotHaveBody = !isRequest && (message.status < 200 || message.status == 204 || message.status == 304)
        guard hasBody, !cannotHaveBody else { return message }
        if let length = message.field("content-length").flatMap({ Int($0) }) {
            message.body = try read(exactly: length)
        } else if message.field("transfer-encoding") == "chunked" {
            while let line = try read(through: "\r\n"),
                let size = Int(line.trimmingCharacters(in: .newlines), radix: 16)
            {
                message.body += Array(line.utf8) + (try read(exactly: size + 2))
                if size == 0 { break }
            }
        } else if !isRequest {
            message.body = try readToEnd()
        }
        return message
    }

    /// Sends a request and reads its answer.
    public func exchange(_ request: String, hasBody: Bool = true) throws -> Message {
        try send(request)
        guard let answer = try readMessage(hasBody: hasBody) else { throw WireError(what: "no answer") }
        return answer
    }
}

/// Runs blocking `body` on a thread of its own: the pool of tasks is small, and the gateway needs it.
public func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Swift.Result { try body() }) }.start()
    }
}

/// Something that happens once; threads wait for it.
public final class Latch: @unchecked Sendable {
    private let condition = NSCondition()
    private var isSet = false

    /// Creates one that has not happened yet.
    public init() {}

    /// Lets it happen.
    public func set() {
        condition.withLock {
            isSet = true
            condition.broadcast()
        }
    }

    /// False when it has not happened within 20 s.
    @discardableResult
    public func wait() -> Bool {
        condition.withLock {
            let limit = Date().addingTimeInterval(Double(Wire.waitLimit))
            while !isSet { if !condition.wait(until: limit) { return isSet } }
            return true
        }
    }
}
