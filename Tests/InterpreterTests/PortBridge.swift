import DeploymentCore
import Foundation
import Glibc
import Sandboxes

/// A port of the loopback whose connections lead to a port inside a sandbox.
final class PortBridge: Sendable {
    let port: Int
    private let listener: Int32
    private let accepting: Task<Void, Never>

    init(_ sandbox: any Sandbox, to inner: Int) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 128) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard listener >= 0, bound else { throw BerthError(.internalError, "no port of the loopback: \(errno)") }
        self.listener = listener
        port = Int(UInt16(bigEndian: address.sin_port))
        accepting = Task {
            await withDiscardingTaskGroup { group in
                while case let outer = await blocking({ Glibc.accept(listener, nil, nil) }), outer >= 0 {
                    group.addTask { await Self.serve(outer, sandbox, inner) }
                }
            }
        }
    }

    /// Takes no more connections, and waits for those there are.
    func close() async {
        shutdown(listener, Int32(SHUT_RDWR))
        await accepting.value
        Glibc.close(listener)
    }

    private static func serve(_ outer: Int32, _ sandbox: any Sandbox, _ port: Int) async {
        defer { Glibc.close(outer) }
        guard let inner = try? await sandbox.connect(port: port) else { return }
        defer { Glibc.close(inner) }
        async let forth: Void = blocking { copy(outer, inner) }
        async let back: Void = blocking { copy(inner, outer) }
        _ = await (forth, back)
    }

    /// Passes bytes on until one side has ended, and ends the other.
    private static func copy(_ source: Int32, _ target: Int32) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        reading: while true {
            let count = read(source, &buffer, buffer.count)
            guard count > 0 else { break }
            var sent = 0
            while sent < count {
                let written = buffer[sent..<count].withUnsafeBytes {
                    send(target, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard written > 0 else { break reading }
                sent += written
            }
        }
        // The SDK never ends one direction only: who has ended wants nothing more.
        shutdown(target, Int32(SHUT_RDWR))
        shutdown(source, Int32(SHUT_RDWR))
    }
}

/// Does on a thread of its own what blocks.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { done in
        Thread { done.resume(returning: body()) }.start()
    }
}
