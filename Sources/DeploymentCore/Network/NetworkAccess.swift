/// What an app may reach beyond its sandbox.
public enum NetworkAccess: Sendable, Equatable {
    /// Nothing. Written `none`.
    case nothing
    /// The public internet: no private addresses, nor the machine itself.
    case egress
    /// What the rules name.
    case hosts([HostRule])
    /// The public internet without some addresses, and what the rules name besides. Naming beats leaving out.
    ///
    /// Clients of hosted sandboxes say this; a manifest cannot.
    case egressExcept([IPNetwork], allowing: [HostRule])

    /// The most rules of a list.
    public static let maximumRules = 256

    /// Whether nothing at all may be reached.
    public var isNothing: Bool { self == .nothing }

    /// In a few words: `none`, `egress`, `2 hosts`.
    public var summary: String {
        switch self {
        case .nothing: "none"
        case .egress: "egress"
        case .hosts(let rules): rules.count == 1 ? "1 host" : "\(rules.count) hosts"
        case .egressExcept(let networks, _): "egress except \(networks.count)"
        }
    }
}

extension NetworkAccess: CustomStringConvertible {
    /// As it is written in a manifest.
    public var description: String {
        switch self {
        case .nothing, .egress: return summary
        case .hosts(let rules): return "[\(rules.map(\.description).joined(separator: ", "))]"
        case .egressExcept(let networks, let rules):
            let allowed = rules.isEmpty ? "" : ", but [\(rules.map(\.description).joined(separator: ", "))]"
            return "egress except [\(networks.map(\.description).joined(separator: ", "))]\(allowed)"
        }
    }
}

extension NetworkAccess: Codable {
    private enum ExceptKeys: String, CodingKey {
        case except, allowing
    }

    /// Reads `"none"`, `"egress"`, a list of rules, or an object with `except` and `allowing`.
    public init(from decoder: any Decoder) throws {
        if let keyed = try? decoder.container(keyedBy: ExceptKeys.self) {
            self = .egressExcept(
                try keyed.decode([IPNetwork].self, forKey: .except),
                allowing: try keyed.decode([HostRule].self, forKey: .allowing))
            return
        }
        let container = try decoder.singleValueContainer()
        if let word = try? container.decode(String.self) {
            switch word {
            case "none": self = .nothing
            case "egress": self = .egress
            default:
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "unknown network \(word)")
            }
            return
        }
        self = .hosts(try container.decode([HostRule].self))
    }

    /// Writes what `init(from:)` reads.
    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .nothing, .egress:
            var container = encoder.singleValueContainer()
            try container.encode(summary)
        case .hosts(let rules):
            var container = encoder.singleValueContainer()
            try container.encode(rules)
        case .egressExcept(let networks, let rules):
            var container = encoder.container(keyedBy: ExceptKeys.self)
            try container.encode(networks, forKey: .except)
            try container.encode(rules, forKey: .allowing)
        }
    }
}

extension HostRule: Codable {
    /// Reads a rule as it is written in a manifest.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        do {
            try self.init(parsing: text)
        } catch {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(text) \(error.message)")
        }
    }

    /// Writes it as in a manifest.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension IPNetwork: Codable {
    /// Reads `10.0.0.0/8`, or one address.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let network = IPNetwork(parsing: text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(text) is no network")
        }
        self = network
    }

    /// Writes `10.0.0.0/8`, or one address.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
