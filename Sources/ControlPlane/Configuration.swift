import DeploymentCore
import Foundation
import HostedSandboxes
import Orchestration

/// Where a control plane keeps its state and listens. The environment decides, with defaults for everything.
public struct Configuration: Sendable, Equatable {
    /// The port of the API unless `BERTH_API_PORT` says otherwise.
    public static let defaultAPIPort = 4990
    /// The port of the gateway unless `BERTH_GATEWAY_PORT` says otherwise.
    public static let defaultGatewayPort = 4999
    /// The port of clients of sandboxes unless `BERTH_E2B_PORT` says otherwise.
    public static let defaultE2BPort = 4980
    /// The same with TLS, unless `BERTH_E2B_TLS_PORT` says otherwise.
    public static let defaultE2BTLSPort = 4981
    /// All listen here; another address needs the authentication of a later version.
    public static let host = "127.0.0.1"

    /// The folder of all state: `BERTH_HOME`, or `berth` in the user's data folder.
    public var home: String
    /// The port of the API; 0 takes a free one.
    public var apiPort: Int
    /// The port of the gateway; 0 takes a free one.
    public var gatewayPort: Int
    /// The port of clients of sandboxes; 0 takes a free one, nil the default where that is free.
    public var e2bPort: Int?
    /// The same with TLS, which needs a certificate.
    public var e2bTLSPort: Int?
    /// What clients of sandboxes may do.
    public var hosted: HostedSettings
    /// The isolation that is demanded; nil takes the strongest that works here.
    public var isolation: Isolation?
    /// Whether sandboxes get ids of their own where the host grants some.
    public var grantsIdentities: Bool
    /// The most standbys of all deployments together; 0 keeps none.
    public var standbyLimit: Int
    /// The agent that runs in every sandbox.
    public var agent: String
    /// The folder of the app templates.
    public var templates: String

    /// Reads the configuration.
    ///
    /// - Parameter executable: the path of the running `berth`, beside which the agent lies.
    /// - Throws: `usage` naming the variable that makes no sense.
    public init(environment: [String: String], executable: String) throws {
        let folder = URL(fileURLWithPath: executable).resolvingSymlinksInPath().deletingLastPathComponent()
        home = try Self.home(environment)
        apiPort = try Self.port("BERTH_API_PORT", environment) ?? Self.defaultAPIPort
        gatewayPort = try Self.port("BERTH_GATEWAY_PORT", environment) ?? Self.defaultGatewayPort
        e2bPort = try Self.port("BERTH_E2B_PORT", environment)
        e2bTLSPort = try Self.port("BERTH_E2B_TLS_PORT", environment)
        hosted = HostedSettings(
            maximumSandboxes: try Self.number("BERTH_MAX_SANDBOXES", 0...10_000, environment)
                ?? HostedSettings.defaultMaximumSandboxes,
            creationsPerSecond: try Self.number("BERTH_SANDBOX_RATE", 1...10_000, environment)
                ?? HostedSettings.defaultCreationsPerSecond)
        isolation = try Self.isolation(environment)
        grantsIdentities = try Self.grantsIdentities(environment)
        standbyLimit = try Self.standbyLimit(environment)
        agent = environment["BERTH_AGENT"] ?? folder.appending(path: "berth-agent").path(percentEncoded: false)
        templates = try environment["BERTH_TEMPLATES"] ?? Self.templates(near: folder)
    }

    private static func home(_ environment: [String: String]) throws -> String {
        if let home = environment["BERTH_HOME"], !home.isEmpty {
            guard home.hasPrefix("/") else {
                throw BerthError(.usage, "BERTH_HOME is \(home), but has to be an absolute path")
            }
            return home
        }
        let data = environment["XDG_DATA_HOME"] ?? "\(environment["HOME"] ?? "/root")/.local/share"
        return "\(data)/berth"
    }

    private static func port(_ variable: String, _ environment: [String: String]) throws -> Int? {
        guard let text = environment[variable], !text.isEmpty else { return nil }
        guard let port = Int(text), (0...65_535).contains(port) else {
            throw BerthError(.usage, "\(variable) is \(text), but has to be a port from 0 to 65535")
        }
        return port
    }

    private static func standbyLimit(_ environment: [String: String]) throws -> Int {
        try number("BERTH_STANDBYS", 0...1_000, environment) ?? Workshop.defaultStandbyLimit
    }

    private static func number(
        _ variable: String, _ range: ClosedRange<Int>, _ environment: [String: String]
    ) throws -> Int? {
        guard let text = environment[variable], !text.isEmpty else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw BerthError(
                .usage,
                "\(variable) is \(text), but has to be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private static func isolation(_ environment: [String: String]) throws -> Isolation? {
        guard let text = environment["BERTH_ISOLATION"], !text.isEmpty else { return nil }
        guard let isolation = Isolation(rawValue: text) else {
            let known = Isolation.allCases.map(\.rawValue).joined(separator: ", ")
            throw BerthError(.usage, "BERTH_ISOLATION is \(text), but has to be one of: \(known)")
        }
        return isolation
    }

    private static func grantsIdentities(_ environment: [String: String]) throws -> Bool {
        guard let text = environment["BERTH_IDS"], !text.isEmpty else { return true }
        guard ["on", "off"].contains(text) else {
            throw BerthError(.usage, "BERTH_IDS is \(text), but has to be on or off")
        }
        return text == "on"
    }

    /// Beside an installed `bin/berth` in `share/berth`, or at the root of the checkout it was built in.
    private static func templates(near folder: URL) throws -> String {
        var candidates = [folder.deletingLastPathComponent().appending(path: "share/berth/templates")]
        var parent = folder
        for _ in 0..<5 {
            candidates.append(parent.appending(path: "templates"))
            parent = parent.deletingLastPathComponent()
        }
        let paths = candidates.map { $0.path(percentEncoded: false) }
        guard let path = paths.first(where: { FileManager.default.fileExists(atPath: "\($0)/fastapi") }) else {
            throw BerthError(
                .usage, "the app templates are not found near \(folder.path(percentEncoded: false))",
                suggestion: "set BERTH_TEMPLATES to the `templates` folder of the project")
        }
        return path
    }

    /// The folder or file `name` of the state.
    public func path(_ name: String) -> String { "\(home)/\(name)" }
}
