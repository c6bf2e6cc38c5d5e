import DeploymentCore

/// What an app asks to be connected with.
struct EgressTarget: Sendable, Equatable, CustomStringConvertible {
    enum Host: Sendable, Equatable {
        case name(String)
        case address(IPAddress)
    }

    var host: Host
    var port: Int

    /// The host alone.
    var hostText: String {
        switch host {
        case .name(let name): name
        case .address(let address): "\(address)"
        }
    }

    /// Host and port.
    var description: String {
        if case .address(let address) = host, !address.isV4 { return "[\(address)]:\(port)" }
        return "\(hostText):\(port)"
    }
}

/// What one sandbox may reach.
///
/// A name gives a right to public addresses only; what is not public has to be named by its address.
struct EgressPolicy: Sendable, Equatable {
    var access: NetworkAccess

    /// Why a target is refused before anything is looked up; nil when its addresses decide.
    ///
    /// A name that is not listed is not looked up: the question alone could carry data out.
    func refusal(of target: EgressTarget) -> EgressProblem? {
        switch (access, target.host) {
        case (.nothing, _):
            return .refused("\(target)", rule: "none", "\(target) is out of reach, the network of this app is none")
        case (.egress, _), (.egressExcept, .name): return nil
        case (.egressExcept, .address(let address)): return denial(of: address.unmapped, for: target)
        case (.hosts(let rules), .name(let name)):
            return rules.contains { $0.admits(name, port: target.port) } ? nil : notListed(target)
        case (.hosts, .address(let address)):
            return isNamed(address.unmapped, port: target.port) ? nil : notListed(target)
        }
    }

    /// Why a connection to an address of the target is refused; nil when it may be made.
    ///
    /// - Parameter own: The addresses of this machine.
    func refusal(of address: IPAddress, for target: EgressTarget, own: Set<IPAddress>) -> EgressProblem? {
        let address = address.unmapped
        let use = address.specialUse
        let what = target.host == .address(address) ? "\(target)" : "\(target) is \(address), which"
        if let use, !use.isDestination {
            return .refused("\(target)", rule: use.name, "\(what) is \(use.name), and so no host")
        }
        if isNamed(address, port: target.port) { return nil }
        if let denial = denial(of: address, for: target) { return denial }
        let way = "only an address in the manifest's network list opens it"
        if let use { return .refused("\(target)", rule: use.name, "\(what) is \(use.name); \(way)") }
        guard own.contains(address) else { return nil }
        return .refused("\(target)", rule: "this machine", "\(what) is an address of this machine; \(way)")
    }

    private func notListed(_ target: EgressTarget) -> EgressProblem {
        .refused("\(target)", rule: "not listed", "\(target) is not in the manifest's network list")
    }

    /// Why an address is refused because it was left out of the internet; nil when it was not, or its name was named.
    private func denial(of address: IPAddress, for target: EgressTarget) -> EgressProblem? {
        guard case .egressExcept(let denied, let rules) = access, denied.contains(where: { $0.contains(address) }),
            !isNamed(address, port: target.port)
        else { return nil }
        if case .name(let name) = target.host, rules.contains(where: { $0.admits(name, port: target.port) }) {
            return nil
        }
        return .refused("\(target)", rule: "denied", "\(target) is out of reach, its address was denied")
    }

    private func isNamed(_ address: IPAddress, port: Int) -> Bool {
        let rules: [HostRule]
        switch access {
        case .nothing, .egress: return false
        case .hosts(let named), .egressExcept(_, let named): rules = named
        }
        return rules.contains { $0.admits(address, port: port) }
    }
}

extension HostRule {
    /// Whether the rule names a host, which is in lower case and has no dot at its end.
    func admits(_ name: String, port: Int) -> Bool {
        guard self.port == nil || self.port == port else { return false }
        switch target {
        case .name(let listed): return name == listed
        case .below(let suffix): return name.hasSuffix(".\(suffix)")
        case .network: return false
        }
    }

    /// Whether the rule names an address.
    func admits(_ address: IPAddress, port: Int) -> Bool {
        guard self.port == nil || self.port == port, case .network(let network) = target else { return false }
        return network.contains(address)
    }
}
