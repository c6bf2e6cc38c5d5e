import DeploymentCore
import Foundation
import Glibc

/// An HTTP server on loopback that gives one scripted answer per connection, as raw bytes, then closes.
final class ScriptedServer: Sendable {
    let port: Int
    private let listener: Int32
    private let seen = Locked<[String]>([])
    private let ended = DispatchSemaphore(value: 0)

    /// The heads of the requests, in their order.
    var requests: [String] { seen.withLock { $0 } }
    func url(_ path: String) -> String { "http://127.0.0.1:\(port)\(path)" }

    /// With a gate, the second half of the first answer waits until it is open.
    init(_ answers: [[UInt8]], holdingBack gate: Gate? = nil) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic -> Int? in
                guard bind(listener, generic, length) == 0, listen(listener, 8) == 0,
                    getsockname(listener, generic, &length) == 0
                else { return nil }
                return Int(UInt16(bigEndian: pointer.pointee.sin_port))
            }
        }
        guard let port else { throw Missing() }
        self.listener = listener
        self.port = port
        Thread { [seen, ended] in
            for (index, answer) in answers.enumerated() {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { break }
                var head: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 4_096)
                while !String(decoding: head, as: UTF8.self).contains("\r\n\r\n") {
                    let count = read(connection, &buffer, buffer.count)
                    guard count > 0 else { break }
                    head += buffer[..<count]
                }
                seen.withLock { $0.append(String(decoding: head, as: UTF8.self)) }
                var rest = answer[...]
                var isHeldBack = gate != nil && index == 0
                while !rest.isEmpty {
                    if isHeldBack && rest.count <= answer.count / 2 {
                        gate?.wait()
                        isHeldBack = false
                    }
                    let part = isHeldBack ? rest.prefix(rest.count - answer.count / 2) : rest
                    let count = part.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                    guard count > 0 else { break }
                    rest = rest.dropFirst(count)
                }
                shutdown(connection, Int32(SHUT_WR))
                while read(connection, &buffer, buffer.count) > 0 {}
                Glibc.close(connection)
            }
            ended.signal()
        }.start()
    }

    /// Stops listening and waits for the thread.
    func close() {
        shutdown(listener, Int32(SHUT_RDWR))
        ended.wait()
        Glibc.close(listener)
    }

    static func answer(_ status: String, _ headers: [String], _ body: [UInt8] = []) -> [UInt8] {
        Array(
            ("HTTP/1.1 \(status)\r\n" + (headers + ["Connection: close"]).joined(separator: "\r\n") + "\r\n\r\n").utf8)
            + body
    }
}

/// Opens once.
final class Gate: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func open() { semaphore.signal() }
    func wait() { semaphore.wait() }
}
