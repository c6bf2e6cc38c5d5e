import E2BProtocol

/// A port of a sandbox, by the name that the protocol gives it; the core has a `HostName` of its own.
typealias PortName = E2BProtocol.HostName
