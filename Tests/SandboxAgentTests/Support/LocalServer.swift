import Foundation
import Glibc

/// A listening TCP socket of the tests, on 127.0.0.1 or ::1, at a port of the system's choice.
final class LocalServer {
    let descriptor: Int32
    let port: Int

    init(ipv6: Bool = false) throws {
        let descriptor = socket(ipv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw RunningAgent.Failure("no socket: errno \(errno)") }
        self.descriptor = descriptor
        var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        var bound = false
        if ipv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_addr = in6addr_loopback
            withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bound = bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
                }
            }
            port = Int(address.sin6_port.bigEndian)
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
            size = socklen_t(MemoryLayout<sockaddr_in>.size)
            withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bound = bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
                }
            }
            port = Int(address.sin_port.bigEndian)
        }
        guard bound, listen(descriptor, 16) == 0 else { throw RunningAgent.Failure("cannot listen: errno \(errno)") }
    }

    deinit { close(descriptor) }

    /// Takes one connection and sends back the first `count` bytes.
    func echo(_ count: Int) throws {
        let peer = TestConnection(descriptor: accept(descriptor, nil, nil))
        try peer.send(try peer.take(count))
    }
}
