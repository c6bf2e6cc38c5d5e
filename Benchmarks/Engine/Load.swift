import Dispatch
import Glibc

/// A failed measurement; the message says why.
struct BenchError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Seconds on the clock that nobody sets.
func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Keep-alive HTTP/1.1 over one connected socket: as little client as possible, the same for both sides.
final class Connection {
    private let socket: Int32
    private let request: [UInt8]
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    init(_ socket: Int32, request: [UInt8]) {
        self.socket = socket
        self.request = request
        var on: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(socket) }

    /// One request and its whole answer; anything but a 200 with a length is an error.
    func exchange() throws {
        guard send(socket, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            throw BenchError("the request cannot be sent: \(String(cString: strerror(errno)))")
        }
        var filled = 0
        var end: Int?
        while end == nil || filled < end ?? 0 {
            let count = buffer.withUnsafeMutableBytes {
                recv(socket, UnsafeMutableRawBufferPointer(rebasing: $0[filled...]).baseAddress, $0.count - filled, 0)
            }
            guard count > 0 else { throw BenchError("the answer ended early: \(String(cString: strerror(errno)))") }
            filled += count
            if end == nil { end = try answerLength(filled) }
        }
    }

    /// The seconds of each of some requests, one after the other.
    func exchanges(_ count: Int) throws -> [Double] {
        try (0..<count).map { _ in
            let began = now()
            try exchange()
            return now() - began
        }
    }

    /// Where the answer ends; nil while its head is not complete.
    private func answerLength(_ filled: Int) throws -> Int? {
        let text = String(decoding: buffer[..<filled], as: UTF8.self).lowercased()
        guard let head = text.firstRange(of: "\r\n\r\n") else { return nil }
        let lines = text[..<head.lowerBound].split(separator: "\r\n")
        guard lines.first?.hasPrefix("http/1.1 200") == true else {
            throw BenchError("not a 200: \(lines.first ?? "")")
        }
        let length = lines.first { $0.hasPrefix("content-length:") }.flatMap { line in
            Int(line.dropFirst("content-length:".count).filter { $0 != " " })
        }
        guard let length else { throw BenchError("an answer without content-length") }
        return text.utf8.distance(from: text.startIndex, to: head.upperBound) + length
    }
}

/// A connection to a port of this machine's loopback.
func connectLoopback(_ port: Int) throws -> Int32 {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    let result = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard result == 0 else {
        let reason = String(cString: strerror(errno))
        close(socket)
        throw BenchError("port \(port): \(reason)")
    }
    return socket
}

/// Requests per second over several connections, each with a thread of its own.
func throughput(_ connections: [Connection], requestsEach: Int) throws -> Double {
    nonisolated(unsafe) let connections = connections
    nonisolated(unsafe) var failures = [(any Error)?](repeating: nil, count: connections.count)
    let began = now()
    failures.withUnsafeMutableBufferPointer { failures in
        nonisolated(unsafe) let failures = failures
        let group = DispatchGroup()
        for index in connections.indices {
            let queue = DispatchQueue(label: "connection-\(index)")
            queue.async(group: group) {
                do {
                    for _ in 0..<requestsEach { try connections[index].exchange() }
                } catch {
                    failures[index] = error
                }
            }
        }
        group.wait()
    }
    if let failure = failures.compactMap({ $0 }).first { throw failure }
    return Double(connections.count * requestsEach) / (now() - began)
}
