import Foundation
import Testing

/// The house rules that a compiler does not check: imports go down the layers, and each library has its owners.
@Suite struct ImportTests {
    /// From the lowest layer to the highest; a target imports only from lower layers.
    static let layers: [[String]] = [
        ["CCurl", "CYAML", "CPlatform"],
        ["DeploymentCore"],
        ["E2BProtocol", "ControlAPI", "CurlClient", "HostDisk", "Waiting"],
        [
            "ManifestParsing", "AppTemplates", "Environments", "DeploymentStore", "Artifacts", "Certificates",
            "Sandboxes",
        ],
        ["SandboxAgent", "LocalSandbox", "RemoteSandbox"],
        ["HealthProbing", "Gateway", "Egress", "SandboxGateway"],
        ["Orchestration", "HostedSandboxes"],
        ["E2BServer"],
        ["ControlPlane"],
        ["Commands"],
        ["berth", "berth-agent", "deploy"],
    ]

    /// Libraries from outside, and the only targets that may know them.
    static let owners: [String: Set<String>] = [
        "GRDB": ["DeploymentStore"],
        "Stencil": ["AppTemplates"],
        "CCurl": ["CurlClient"],
        "CYAML": ["ManifestParsing"],
        "Crypto": ["Artifacts", "Certificates", "Environments", "HostedSandboxes"],
        "Subprocess": ["Environments"],
        "Hummingbird": ["ControlPlane", "E2BServer"],
        "HTTPTypes": ["ControlPlane", "E2BServer"],
        "ServiceLifecycle": ["ControlPlane"],
        "Logging": ["ControlPlane"],
        "ArgumentParser": ["Commands"],
        "NIOCore": ["Gateway", "Egress", "SandboxGateway", "RemoteSandbox", "E2BServer", "ControlPlane"],
        "NIOPosix": ["Gateway", "Egress", "SandboxGateway", "RemoteSandbox"],
        "NIOHTTP1": ["SandboxGateway", "RemoteSandbox"],
        "NIOHPACK": ["SandboxGateway"],
        "NIOHTTP2": ["SandboxGateway"],
        "NIOSSL": ["SandboxGateway"],
        "X509": ["Certificates"],
        "SwiftASN1": ["Certificates"],
        "LocalSandbox": ["ControlPlane"],
        "RemoteSandbox": ["ControlPlane", "Commands"],
        // Everybody else knows the way out as `EgressGate`.
        "Egress": ["ControlPlane"],
    ]

    /// Targets that run where there is no Foundation.
    static let withoutFoundation: Set<String> = ["DeploymentCore", "E2BProtocol", "SandboxAgent", "berth-agent"]

    static let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Sources")

    /// Every import of every source file, as (target, file, module).
    static func imports() throws -> [(target: String, file: String, module: String)] {
        var found: [(String, String, String)] = []
        let files = FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil)
        for case let file as URL in files ?? .init() where file.pathExtension == "swift" {
            let path = file.path(percentEncoded: false).dropFirst(sources.path(percentEncoded: false).count)
            let target = String(path.drop { $0 == "/" }.prefix { $0 != "/" })
            for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
                guard let match = line.firstMatch(of: /^(?:@\w+ |public |internal )*import (?:\w+ (?=\w+\.))?(\w+)/)
                else {
                    continue
                }
                found.append((target, String(path), String(match.1)))
            }
        }
        return found
    }

    @Test func importsGoDownTheLayers() throws {
        var level: [String: Int] = [:]
        for (index, layer) in Self.layers.enumerated() { for target in layer { level[target] = index } }
        let imports = try Self.imports()
        #expect(imports.count > 100)
        for (target, file, module) in imports where target != "BerthTestSupport" {
            let own = try #require(level[target], "\(target) has no layer")
            guard let other = level[module] else { continue }
            #expect(other < own, "\(file) imports \(module), which is not below \(target)")
        }
    }

    @Test func librariesAreKnownToTheirOwnersOnly() throws {
        for (target, file, module) in try Self.imports() where target != "BerthTestSupport" {
            guard let owners = Self.owners[module] else { continue }
            #expect(owners.contains(target), "\(file) imports \(module), which belongs to \(owners.sorted())")
        }
    }

    @Test func theAgentAndTheCoreDoWithoutFoundation() throws {
        for (target, file, module) in try Self.imports() where Self.withoutFoundation.contains(target) {
            #expect(!module.hasPrefix("Foundation"), "\(file) imports \(module)")
        }
    }

    @Test func everyTargetHasALayer() throws {
        let known = Set(Self.layers.joined() + ["BerthTestSupport"])
        let folders = try FileManager.default.contentsOfDirectory(atPath: Self.sources.path(percentEncoded: false))
        #expect(Set(folders).subtracting(known).isEmpty)
    }
}
