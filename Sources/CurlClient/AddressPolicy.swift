import DeploymentCore
import Glibc

/// Which addresses may be connected to; checked on the address itself, after the name was looked up.
public enum AddressPolicy: Sendable, Equatable {
    /// Only addresses of the public internet (IANA special-purpose registries), against server-side request forgery.
    ///
    /// Proxies of the environment are not used, since they would look names up out of our sight.
    case publicOnly
    /// Only 127.0.0.0/8 and ::1.
    case loopback
    /// What `publicOnly` and what `loopback` allows, for receivers on this machine or on the internet.
    case publicOrLoopback
    /// Any address; proxies of the environment are used.
    case any

    /// Whether the policy lets a numeric address through, as `127.0.0.1` or `fe80::1%eth0`; false for anything else.
    public func allows(_ address: String) -> Bool {
        let text = address.prefix { $0 != "%" }
        var v4 = in_addr()
        if inet_pton(AF_INET, String(text), &v4) == 1 { return allows(v4) }
        var v6 = in6_addr()
        if inet_pton(AF_INET6, String(text), &v6) == 1 { return allows(v6) }
        return false
    }

    /// Whether the policy lets a socket address through; only IPv4 and IPv6 ones.
    func allows(_ address: UnsafePointer<sockaddr>) -> Bool {
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET: return allows(raw.loadUnaligned(as: sockaddr_in.self).sin_addr)
        case AF_INET6: return allows(raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr)
        default: return false
        }
    }

    private func allows(_ address: in_addr) -> Bool {
        allows(withUnsafeBytes(of: address) { IPAddress(bytes: Array($0)) })
    }

    private func allows(_ address: in6_addr) -> Bool {
        allows(withUnsafeBytes(of: address) { IPAddress(bytes: Array($0)) })
    }

    private func allows(_ address: IPAddress?) -> Bool {
        guard let address else { return false }
        switch self {
        case .any: return true
        case .loopback: return address.isLoopback
        case .publicOrLoopback: return address.isLoopback || address.specialUse == nil
        case .publicOnly: return address.specialUse == nil
        }
    }
}
