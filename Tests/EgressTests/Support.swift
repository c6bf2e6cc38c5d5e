import BerthTestSupport
import CPlatform
import DeploymentCore
import Foundation
import Glibc
import Sandboxes

@testable import Egress

/// What went wrong on a test's socket.
struct LineError: Error { let what: String }

/// A blocking socket; every wait ends after 20 s.
final class Line: @unchecked Sendable {
    private static let waitLimit = 20
    let socket: Int32
    private var isOpen = true

    init(adopting socket: Int32) {
        self.socket = socket
        _ = berth_fd_blocking(socket)
        var limit = timeval(tv_sec: Self.waitLimit, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close() }

    func close() {
        if isOpen { Glibc.close(socket) }
        isOpen = false
    }

    /// Closes with a TCP reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    func endOutput() { shutdown(socket, Int32(SHUT_WR)) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw LineError(what: "send: \(errno)") }
            rest = rest.dropFirst(count)
        }
    }

    /// Sends until nothing more is taken; how much was.
    func sendUntilFull(limit: Int) -> Int {
        let block = [UInt8](repeating: 7, count: 1 << 18)
        var sent = 0
        var state = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
        while sent < limit, poll(&state, 1, 300) > 0 {
            let count = Glibc.send(socket, block, block.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            if count > 0 { sent += count }
        }
        return sent
    }

    /// What comes next; empty at the end, and after a reset.
    func receive(limit: Int = 64 << 10) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = recv(socket, &buffer, buffer.count, 0)
        if count < 0, errno == EAGAIN { throw LineError(what: "nothing comes") }
        return Array(buffer.prefix(max(0, count)))
    }

    func take(_ count: Int) throws -> String {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let part = try receive(limit: count - bytes.count)
            if part.isEmpty { throw LineError(what: "ended after \(String(decoding: bytes, as: UTF8.self))") }
            bytes += part
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Everything up to the blank line.
    func takeHead() throws -> String {
        var text = ""
        while !text.hasSuffix("\r\n\r\n") { text += try take(1) }
        return text
    }

    func takeAll() throws -> String { String(decoding: try takeBytes(), as: UTF8.self) }

    func takeBytes() throws -> [UInt8] {
        var bytes: [UInt8] = []
        while case let part = try receive(), !part.isEmpty { bytes += part }
        return bytes
    }

    /// A whole answer of the proxy's own, up to the end of the connection.
    func answer() throws -> (status: Int, phrase: String, problem: JSONValue?) {
        let text = try takeAll()
        let parts = text.components(separatedBy: "\r\n\r\n")
        let words = (parts[0].components(separatedBy: "\r\n").first ?? "").split(separator: " ", maxSplits: 2)
        guard words.count == 3, let status = Int(words[1]) else { throw LineError(what: "no answer but '\(text)'") }
        return (status, String(words[2]), parts.count > 1 ? try? JSONValue(parsing: Array(parts[1].utf8)) : nil)
    }
}

/// A listener of a host that is asked for, on an address of the loopback network.
final class Host: @unchecked Sendable {
    let port: Int
    private let socket: Int32

    init(_ address: String = "127.0.0.1", port: Int = 0, backlog: Int32 = 64) throws {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        self.socket = socket
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = in_port_t(port).bigEndian
        inet_pton(AF_INET, address, &name.sin_addr)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(socket, pointer, length) == 0 && listen(socket, backlog) == 0
                    && getsockname(socket, pointer, &length) == 0
            }
        }
        self.port = Int(in_port_t(bigEndian: name.sin_port))
        guard result else { throw LineError(what: "cannot listen on \(address): \(errno)") }
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(socket) }

    func accept() throws -> Line {
        let descriptor = Glibc.accept(socket, nil, nil)
        guard descriptor >= 0 else { throw LineError(what: "nobody connects: \(errno)") }
        return Line(adopting: descriptor)
    }

    /// Whether nobody has connected.
    var isLonely: Bool {
        var state = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        return poll(&state, 1, 0) == 0
    }
}

/// A proxy with one sandbox's way out, and what it told.
struct TestProxy: Sendable {
    static let sandbox = "s1"
    let proxy: EgressProxy
    let folder: String
    let told: AsyncStream<EgressRefusal>

    func way(_ access: NetworkAccess, nonce: String = "nonce") -> EgressWay {
        EgressWay(
            sandbox: Self.sandbox, labels: SandboxLabels(deployment: "demo", nonce: nonce, rollout: "r"),
            folder: folder, access: access)
    }

    func connect() throws -> Line {
        let folder = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { Glibc.close(folder) }
        let descriptor = berth_unix_connect(folder, EgressWay.socketName)
        guard descriptor >= 0 else { throw LineError(what: "cannot connect: \(-descriptor)") }
        return Line(adopting: descriptor)
    }

    /// A tunnel to a port of 127.0.0.1, or of another address.
    func tunnel(_ port: Int, _ address: String = "127.0.0.1") throws -> Line {
        let line = try connect()
        try line.send("CONNECT \(address):\(port) HTTP/1.1\r\nHost: x\r\n\r\n")
        let head = try line.takeHead()
        guard head == "HTTP/1.1 200 Connection established\r\n\r\n" else { throw LineError(what: head) }
        return line
    }
}

extension EgressLimits {
    /// A refused client that comes late, on a busy machine, still gets its answer.
    static var patient: EgressLimits {
        var limits = EgressLimits()
        limits.lingering = .seconds(20)
        return limits
    }
}

func rules(_ texts: String...) throws -> NetworkAccess { .hosts(try texts.map { try HostRule(parsing: $0) }) }

/// Runs `body` with a proxy, which is closed afterwards.
func withProxy(
    _ access: NetworkAccess, limits: EgressLimits = .patient, own: Set<IPAddress> = [],
    resolve: (@Sendable (String) async throws -> [IPAddress])? = nil, _ body: (TestProxy) async throws -> Void
) async throws {
    try await withTemporaryFolder { folder in
        var configuration = EgressProxy.Configuration(limits: limits)
        configuration.own = { own }
        configuration.resolve = { name, _ in
            guard let resolve else { throw NameLookup.Failure(reason: "not scripted") }
            return try await resolve(name)
        }
        let (told, teller) = AsyncStream<EgressRefusal>.makeStream()
        let proxy = EgressProxy(configuration: configuration) { teller.yield($0) }
        let test = TestProxy(proxy: proxy, folder: folder, told: told)
        do {
            try await proxy.open(test.way(access))
            try await body(test)
        } catch {
            await proxy.close()
            throw error
        }
        await proxy.close()
    }
}

/// Runs what blocks on a thread of its own: Swift's few threads are the proxy's too.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Swift.Result { try body() }) }.start()
    }
}
