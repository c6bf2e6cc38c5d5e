/// What an app may reach beyond its sandbox.
public enum NetworkAccess: Sendable, Equatable {
    /// Nothing. Written `none`.
    case nothing
    /// The public internet: no private addresses, nor the machine itself.
    case egress
    /// What the rules name.
    case hosts([HostRule])

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
        }
    }
}

extension NetworkAccess: CustomStringConvertible {
    /// As it is written in a manifest.
    public var description: String {
        guard case .hosts(let rules) = self else { return summary }
        return "[\(rules.map(\.description).joined(separator: ", "))]"
    }
}

extension NetworkAccess: Codable {
    /// Reads `"none"`, `"egress"` or a list of rules.
    public init(from decoder: any Decoder) throws {
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
        var rules: [HostRule] = []
        for text in try container.decode([String].self) {
            do {
                rules.append(try HostRule(parsing: text))
            } catch {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(text) \(error.message)")
            }
        }
        self = .hosts(rules)
    }

    /// Writes what `init(from:)` reads.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .nothing, .egress: try container.encode(summary)
        case .hosts(let rules): try container.encode(rules.map(\.description))
        }
    }
}
