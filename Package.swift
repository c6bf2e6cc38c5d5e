// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// A library target of ours: one folder in `Sources/`, the house settings, the named dependencies.
func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

/// The tests of one library target: one folder in `Tests/`.
func tests(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: [.byName(name: name), "BerthTestSupport"] + dependencies,
        exclude: exclude, swiftSettings: strict)
}

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
]

let http1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")

let package = Package(
    name: "berth-server",
    products: [
        .executable(name: "berth", targets: ["berth"]),
        .executable(name: "berth-agent", targets: ["berth-agent"]),
        .executable(name: "deploy", targets: ["deploy"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", exact: "1.7.4"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-certificates", exact: "1.21.1"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", exact: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/stencilproject/Stencil", exact: "0.15.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2", traits: []),
    ],
    targets: [
        // C
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .target(name: "CPlatform"),

        // Core
        library("DeploymentCore"),

        // Edge
        library("ManifestParsing", ["CYAML", "DeploymentCore"]),
        library("AppTemplates", ["DeploymentCore", .product(name: "Stencil", package: "Stencil")]),
        library("CurlClient", ["CCurl", "DeploymentCore"]),
        library("HostDisk", ["DeploymentCore"]),
        library("Artifacts", ["CurlClient", "DeploymentCore", "HostDisk", "CPlatform", crypto]),
        library(
            "Environments",
            [
                "DeploymentCore", "HostDisk", "CPlatform", crypto,
                .product(name: "Subprocess", package: "swift-subprocess"),
            ]),
        library(
            "Certificates",
            [
                "DeploymentCore", "HostDisk", crypto, .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "X509", package: "swift-certificates"),
            ]),
        library("DeploymentStore", ["DeploymentCore", grdb]),
        library("Waiting", ["DeploymentCore"]),
        library("E2BProtocol", ["DeploymentCore"]),
        library("ControlAPI", ["DeploymentCore"]),
        library("Sandboxes", ["CPlatform", "CurlClient", "DeploymentCore", "E2BProtocol", "Waiting"]),

        // Provider
        library("SandboxAgent", ["CPlatform", "DeploymentCore", "E2BProtocol"]),
        library("LocalSandbox", ["CPlatform", "DeploymentCore", "Sandboxes"]),
        library(
            "RemoteSandbox",
            ["CPlatform", "CurlClient", "DeploymentCore", "E2BProtocol", "Sandboxes", "Waiting", http1] + nio),

        // Runtime
        library("HealthProbing", ["CurlClient", "DeploymentCore", "Sandboxes"]),
        library("Gateway", ["DeploymentCore", "Waiting"] + nio),
        library("Egress", ["CPlatform", "DeploymentCore", "Sandboxes"] + nio),
        library(
            "SandboxGateway",
            [
                "DeploymentCore", "E2BProtocol", "Sandboxes", "Waiting", http1,
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ] + nio),
        library(
            "Orchestration",
            [
                "AppTemplates", "Artifacts", "ControlAPI", "CurlClient", "DeploymentStore", "Gateway", "HealthProbing",
                "ManifestParsing", "Sandboxes", "Waiting",
            ]),
        library(
            "HostedSandboxes",
            [
                "CurlClient", "DeploymentCore", "DeploymentStore", "E2BProtocol", "Environments", "Sandboxes",
                "Waiting",
                crypto,
            ]),

        // API
        library(
            "E2BServer",
            [
                "DeploymentCore", "E2BProtocol", "HostedSandboxes",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        library(
            "ControlPlane",
            [
                "AppTemplates", "Artifacts", "Certificates", "ControlAPI", "CurlClient", "DeploymentStore",
                "E2BProtocol", "E2BServer",
                "Egress", "Environments", "Gateway", "HealthProbing", "HostDisk", "HostedSandboxes", "LocalSandbox",
                "Orchestration", "RemoteSandbox", "SandboxGateway", "Sandboxes", "Waiting",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),

        // App
        library(
            "Commands",
            [
                "AppTemplates", "Artifacts", "CPlatform", "Certificates", "ControlAPI", "ControlPlane", "CurlClient",
                "E2BProtocol", "Environments", "ManifestParsing", "RemoteSandbox", "Sandboxes",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .executableTarget(name: "berth", dependencies: ["Commands"], swiftSettings: strict),
        .executableTarget(name: "deploy", dependencies: ["Commands"], swiftSettings: strict),
        .executableTarget(
            name: "berth-agent", dependencies: ["SandboxAgent"], swiftSettings: strict,
            // The agent runs inside any root filesystem, so it brings its own runtime and C library.
            linkerSettings: [.unsafeFlags(["-static-executable"])]),

        // Measurement
        .executableTarget(
            name: "engine-bench",
            dependencies: ["BerthTestSupport", "CurlClient", "DeploymentCore", "LocalSandbox", "Sandboxes"],
            path: "Benchmarks/Engine", swiftSettings: strict),

        // Test
        .target(name: "BerthTestSupport", dependencies: ["DeploymentCore", "CPlatform"], swiftSettings: strict),
        .testTarget(name: "HouseTests", swiftSettings: strict),
        tests("DeploymentCore"),
        tests("ManifestParsing"),
        tests("AppTemplates", exclude: ["Goldens", "python"]),
        tests("CurlClient"),
        tests("HostDisk"),
        tests("Artifacts"),
        tests("Environments", ["HostDisk"]),
        tests("DeploymentStore", [grdb]),
        tests("E2BProtocol"),
        tests("Waiting"),
        tests("SandboxAgent", ["CurlClient", "E2BProtocol", "Sandboxes"]),
        tests("LocalSandbox", ["CurlClient", "Egress", "Sandboxes"]),
        tests("RemoteSandbox", ["CurlClient", "E2BProtocol", "Sandboxes", "Waiting"]),
        tests(
            "HostedSandboxes",
            [
                "CurlClient", "DeploymentStore", "E2BProtocol", "E2BServer", "Egress", "LocalSandbox", "Sandboxes",
                "Waiting",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        tests("HealthProbing"),
        tests("Gateway", ["Waiting"] + nio),
        tests("Certificates"),
        tests("SandboxGateway", ["Certificates", "E2BProtocol", "Sandboxes", "Waiting"], exclude: ["python"]),
        tests("Egress", ["CPlatform", "Sandboxes"]),
        tests(
            "Orchestration",
            [
                "AppTemplates", "Artifacts", "ControlAPI", "CurlClient", "DeploymentStore", "Gateway", "HealthProbing",
                "Sandboxes", "Waiting",
            ]),
        tests(
            "E2BServer",
            [
                "CurlClient", "DeploymentStore", "E2BProtocol", "HostedSandboxes", "Sandboxes", "Waiting",
                .product(name: "Hummingbird", package: "hummingbird"),
            ]),
        .testTarget(
            name: "InterpreterTests",
            dependencies: [
                "BerthTestSupport", "CurlClient", "DeploymentCore", "Environments", "HostedSandboxes", "LocalSandbox",
                "Sandboxes",
            ], exclude: ["python"], swiftSettings: strict),
        tests(
            "Commands", ["ControlAPI", "ControlPlane", "CurlClient", "E2BProtocol", "Orchestration"],
            exclude: ["E2B/python", "E2B/interpreter"]),
    ]
)
