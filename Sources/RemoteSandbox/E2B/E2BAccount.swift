import DeploymentCore

/// Where an E2B service is and how to be let in; resolved as its official clients do (protocol note 1.1 and 2.1).
public struct E2BAccount: Sendable, Equatable {
    /// The domain unless `E2B_DOMAIN` says otherwise.
    public static let defaultDomain = "e2b.app"
    /// Domains whose sandboxes are reached at `sandbox.{domain}`, by header.
    static let sharedHostDomains: Set<String> = [
        "e2b.app", "e2b.dev", "e2b.pro", "e2b-staging.dev", "e2b-tango.dev", "e2b-juliett.dev", "foxtrot-2.e2b.dev",
    ]

    /// Shown in `X-API-KEY`. A secret.
    public var key: String
    /// The base domain; may carry a port.
    public var domain: String
    /// The base of the control plane without a trailing slash.
    public var controlURL: String
    /// The base of all sandboxes' traffic; nil takes a host for each.
    public var sandboxURL: String?
    /// A file of certificate authorities (PEM) that are trusted instead of the system's; nil trusts those.
    public var certificates: String?

    /// Reads `E2B_API_KEY`, `E2B_DOMAIN`, `E2B_API_URL`, `E2B_SANDBOX_URL` and `SSL_CERT_FILE`.
    ///
    /// - Throws: `usage` when there is no key.
    public init(environment: [String: String]) throws {
        guard let key = environment["E2B_API_KEY"], !key.isEmpty else {
            throw BerthError(
                .usage, "E2B_API_KEY is not set", suggestion: "set it to the key of your E2B account or server")
        }
        let domain = environment["E2B_DOMAIN"].flatMap { $0.isEmpty ? nil : $0 } ?? Self.defaultDomain
        self.init(
            key: key, domain: domain, controlURL: environment["E2B_API_URL"].flatMap { $0.isEmpty ? nil : $0 },
            sandboxURL: environment["E2B_SANDBOX_URL"].flatMap { $0.isEmpty ? nil : $0 })
        certificates = environment["SSL_CERT_FILE"].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Creates an account; without `controlURL` it is `https://api.{domain}`.
    public init(key: String, domain: String = defaultDomain, controlURL: String? = nil, sandboxURL: String? = nil) {
        self.key = key
        self.domain = domain
        self.controlURL = Self.trimmed(controlURL ?? "https://api.\(domain)")
        self.sandboxURL = sandboxURL.map(Self.trimmed)
    }

    /// The base of one sandbox's port; `domain` is what the sandbox's handle said, if anything.
    public func base(sandbox: String, port: Int, domain: String?) -> String {
        if let sandboxURL { return sandboxURL }
        let domain = domain ?? self.domain
        return Self.sharedHostDomains.contains(domain)
            ? "https://sandbox.\(domain)" : "https://\(port)-\(sandbox).\(domain)"
    }

    private static func trimmed(_ url: String) -> String { url.hasSuffix("/") ? String(url.dropLast()) : url }
}
