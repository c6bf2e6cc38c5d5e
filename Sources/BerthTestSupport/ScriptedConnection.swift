import DeploymentCore
import Foundation

/// A request that a scripted server received.
public struct ScriptedRequest: Sendable {
    /// The method.
    public let method: String
    /// Path and query, as sent.
    public let path: String
    /// Fields by their lower-case name.
    public let headers: [String: String]
    /// The body.
    public let body: [UInt8]
}

/// What a scripted server answers.
public struct ScriptedAnswer: Sendable {
    /// The status.
    public var status: Int
    /// Fields beyond the length.
    public var headers: [(String, String)]
    /// The body.
    public var body: [UInt8]

    /// An answer with a text body.
    public init(_ status: Int = 200, headers: [(String, String)] = [], _ body: String = "") {
        self.init(status, headers: headers, bytes: Array(body.utf8))
    }

    /// An answer with any body.
    public init(_ status: Int, headers: [(String, String)], bytes: [UInt8]) {
        self.status = status
        self.headers = headers
        body = bytes
    }
}

/// One connection of a scripted server, used by one thread.
public final class ScriptedConnection: Sendable {
    private let socket: Locked<Int32>
    private let received = Locked<[UInt8]>([])

    init(_ socket: Int32) { self.socket = Locked(socket) }

    private var descriptor: Int32 { socket.withLock { $0 } }

    /// Reads one request; nil once the peer is gone.
    public func readRequest() -> ScriptedRequest? {
        guard let head = read(through: Array("\r\n\r\n".utf8)) else { return nil }
        var lines = String(decoding: head, as: UTF8.self).components(separatedBy: "\r\n").filter { !$0.isEmpty }
        guard !lines.isEmpty else { return nil }
        let words = lines.removeFirst().split(separator: " ")
        guard words.count == 3 else { return nil }
        var headers: [String: String] = [:]
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            headers[line[..<colon].lowercased()] = value
        }
        guard let body = read(count: headers["content-length"].flatMap { Int($0) } ?? 0) else { return nil }
        return ScriptedRequest(method: String(words[0]), path: String(words[1]), headers: headers, body: body)
    }

    /// Reads a body in chunks to its end, behind the head of its request; nil once the peer is gone.
    public func readChunks() -> [UInt8]? {
        var body: [UInt8] = []
        while let line = read(through: Array("\r\n".utf8)) {
            let digits = String(decoding: line, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            guard let size = Int(digits, radix: 16), let chunk = read(count: size + 2) else { return nil }
            if size == 0 { return body }
            body += chunk.dropLast(2)
        }
        return nil
    }

    /// Sends bytes; false once the peer is gone.
    @discardableResult
    public func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// Sends text; false once the peer is gone.
    @discardableResult
    public func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Sends a whole answer; false once the peer is gone.
    @discardableResult
    public func send(_ answer: ScriptedAnswer, to request: ScriptedRequest? = nil) -> Bool {
        var head = "HTTP/1.1 \(answer.status) Scripted\r\nContent-Length: \(answer.body.count)\r\n"
        for (name, value) in answer.headers { head += "\(name): \(value)\r\n" }
        return send(Array((head + "\r\n").utf8) + (request?.method == "HEAD" ? [] : answer.body))
    }

    /// Answers requests until the peer is gone.
    public func answerAll(_ answer: (ScriptedRequest) -> ScriptedAnswer) {
        while let request = readRequest(), send(answer(request), to: request) {}
    }

    /// Blocks until the peer closes or the server does.
    public func awaitClose() {
        while read(count: 1) != nil {}
    }

    /// Closes with a TCP reset.
    public func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    /// Closes.
    public func close() {
        socket.withLock { socket in
            if socket >= 0 { Glibc.close(socket) }
            socket = -1
        }
    }

    func cut() {
        socket.withLock { socket in _ = shutdown(socket, Int32(SHUT_RDWR)) }
    }

    private func read(through end: [UInt8]) -> [UInt8]? {
        while true {
            let found = received.withLock { bytes -> [UInt8]? in
                guard bytes.count >= end.count else { return nil }
                for start in 0...(bytes.count - end.count) where bytes[start..<start + end.count].elementsEqual(end) {
                    let head = Array(bytes[..<(start + end.count)])
                    bytes.removeFirst(start + end.count)
                    return head
                }
                return nil
            }
            if let found { return found }
            guard receive() else { return nil }
        }
    }

    /// Reads so many bytes; nil once the peer is gone.
    public func readBytes(_ count: Int) -> [UInt8]? { read(count: count) }

    private func read(count: Int) -> [UInt8]? {
        while received.withLock({ $0.count }) < count {
            guard receive() else { return nil }
        }
        return received.withLock { bytes in
            defer { bytes.removeFirst(count) }
            return Array(bytes.prefix(count))
        }
    }

    private func receive() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return false }
        received.withLock { $0 += buffer[..<count] }
        return true
    }
}
