import DeploymentCore
import E2BProtocol
import Sandboxes

/// What a client wants of the network, in the words of the engine; what cannot be had is refused by its name.
struct NetworkWish: Sendable, Equatable {
    /// The longest masked host in bytes.
    static let maximumMask = 255

    /// What may be reached, where that can be enforced; nil leaves it to the machine.
    var access: NetworkAccess?

    /// - Throws: 400 for what makes no sense, and for what cannot be enforced here.
    init(
        allowsInternet: Bool?, settings: SandboxNetworkSettings?, enforcement: NetworkEnforcement
    ) throws(ControlFailure) {
        if let extra = settings?.extras.sorted().first { throw .notOffered("network.\(extra)") }
        if let mask = settings?.maskedHost { try Self.check(mask: mask) }
        let wish = try Self.wish(allowsInternet, settings)
        switch (enforcement, wish) {
        case (.filtered, _): access = wish
        // What is unfiltered reaches at least that, and what is closed has nothing to open.
        case (.open, .egress), (.closed, .egress), (.closed, .nothing): access = nil
        case (.closed, .hosts(let rules)) where rules.isEmpty: access = nil
        case (.open, _), (.closed, _):
            throw ControlFailure(
                400,
                "network.allowOut, network.denyOut and allow_internet_access cannot be enforced by this server: its "
                    + "machine keeps namespaces from working (`berth doctor` says why)")
        }
    }

    private static func wish(
        _ allowsInternet: Bool?, _ settings: SandboxNetworkSettings?
    ) throws(ControlFailure) -> NetworkAccess {
        let allowed = settings?.allowed ?? []
        let denied = settings?.denied ?? []
        guard allowed.count <= NetworkAccess.maximumRules, denied.count <= NetworkAccess.maximumRules else {
            throw ControlFailure(
                400, "network.allowOut and network.denyOut have at most \(NetworkAccess.maximumRules) entries each")
        }
        var networks: [IPNetwork] = []
        for text in denied {
            guard let network = IPNetwork(parsing: text) else {
                throw ControlFailure(
                    400, "network.denyOut: '\(VisibleText.of(text))' is neither an address nor a range of them")
            }
            networks.append(network)
        }
        let deniesAll = allowsInternet == false || networks.contains { $0.bits == 0 && $0.first.isV4 }
        var rules: [HostRule] = []
        var allowsAll = false
        for text in allowed {
            if let network = IPNetwork(parsing: text), network.bits == 0 {
                allowsAll = true
                continue
            }
            let rule = try rule(text)
            if case .network = rule.target {
            } else if !deniesAll {
                throw ControlFailure(
                    400,
                    "network.allowOut: '\(rule)' is a domain; when domains are allowed, network.denyOut has to contain "
                        + "0.0.0.0/0 to block all other traffic")
            }
            rules.append(rule)
        }
        if deniesAll, !allowsAll { return .hosts(rules) }
        // A list of rules alone opens what egress keeps closed: private addresses, named one by one.
        if allowsAll || networks.isEmpty { return rules.isEmpty ? .egress : .egressExcept([], allowing: rules) }
        return .egressExcept(networks, allowing: rules)
    }

    private static func rule(_ text: String) throws(ControlFailure) -> HostRule {
        // Ranges come with bits beyond their number too.
        let text = IPNetwork(parsing: text)?.description ?? text
        do {
            return try HostRule(parsing: text)
        } catch {
            throw ControlFailure(400, "network.allowOut: '\(VisibleText.of(text))' \(error.message)")
        }
    }

    private static func check(mask: String) throws(ControlFailure) {
        let isHost =
            (1...maximumMask).contains(mask.utf8.count) && mask.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
            && !mask.utf8.contains(UInt8(ascii: "/"))
        guard isHost else { throw ControlFailure(400, "network.maskRequestHost is no host") }
    }
}

extension ControlFailure {
    /// That a field asks for what this server does not have.
    static func notOffered(_ field: String) -> ControlFailure {
        ControlFailure(400, "\(field) is not offered by this server: leave it out")
    }
}
