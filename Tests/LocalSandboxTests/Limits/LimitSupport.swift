import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import LocalSandbox

extension Machine {
    /// The strongest rung that works here.
    static let strongest = rungs.last ?? .process
    static let enforcement = LimitEnforcement.cached(strongest)

    /// Whether a control group holds the limit, for the whole sandbox.
    static func hasGroup(_ resource: SandboxResource) -> Bool {
        [.cgroup1, .cgroup2].contains(enforcement.enforced[resource])
    }
    /// What each kind of host gives: control groups of either version, and none.
    static let hosts: [Host] = Host.allCases.filter { $0 == .none || !$0.groups.bases.isEmpty }
}

/// A kind of host.
enum Host: String, CaseIterable, CustomTestStringConvertible {
    case both
    case version1
    case version2
    case none

    private static let version1Groups = ControlGroups(versions: [1])
    private static let version2Groups = ControlGroups(versions: [2])

    var groups: ControlGroups {
        switch self {
        case .both: .cached()
        case .version1: Self.version1Groups
        case .version2: Self.version2Groups
        case .none: ControlGroups(reasons: ["this host has none"])
        }
    }

    var enforcement: @Sendable (Isolation) -> LimitEnforcement {
        let groups = groups
        return { _ in LimitEnforcement(groups: groups, countsProcesses: false, reclaim: .none) }
    }

    var testDescription: String { "control groups: \(rawValue)" }
}

/// Skips what a control group has to hold, with what was found.
func needsGroup(_ resource: SandboxResource) -> ConditionTrait {
    .enabled(
        if: Machine.hasAgent && Machine.hasGroup(resource),
        "no control group limits \(resource.rawValue): \(Machine.enforcement.enforced.notes.joined(separator: "; "))")
}

extension Engine {
    func sandbox(_ limits: SandboxLimits) async throws -> any Sandbox {
        var specification = specification()
        specification.limits = limits
        return try await provider.create(specification)
    }
}

extension Sandbox {
    /// Runs a Python program to its end.
    func python(_ program: String) async throws -> Output {
        try await output(
            of: start(ProcessSpecification(tag: "python", command: ["/usr/bin/python3", "-c", program])))
    }

    /// The words about one exceeded limit; nil when it was not.
    func reason(_ resource: SandboxResource) async -> String? {
        await exceededLimits().first { $0.resource == resource }?.description
    }
}
