import BerthTestSupport
import ControlAPI
import DeploymentCore
import DeploymentStore
import Foundation
import Sandboxes
import Testing

@testable import Orchestration

@Suite struct NetworkDemandTests {
    @Test(arguments: ["none", "[a.example]"]) func demandThatCannotBeMetFailsBeforeAnythingIsMade(
        network: String
    ) async throws {
        try await World.with { world in
            // A provider that says nothing of a network keeps nobody from anything.
            let rollout = try await world.verdict(try await world.submit("\(World.manifest)\nnetwork: \(network)").id)
            #expect(rollout.status == "failed")
            #expect(rollout.failure?.code == .sandbox)
            #expect(rollout.failure?.title.contains("cannot be enforced here") == true)
            #expect(world.provider.created == 0)
        }
    }

    @Test func demandThatCannotBeGivenIsRefused() throws {
        for access in [NetworkAccess.egress, .hosts([try HostRule(parsing: "a.example")])] {
            let error = #expect(throws: BerthError.self) { try NetworkEnforcement.closed.require(access) }
            #expect(error?.message.contains("cannot be given here") == true)
            #expect(throws: Never.self) { try NetworkEnforcement.filtered.require(access) }
        }
        for enforcement in NetworkEnforcement.allCases {
            #expect(throws: Never.self) { try enforcement.require(nil) }
        }
    }

    @Test func standbyFitsTheSameNetworkOnly() throws {
        let labels = SandboxLabels(deployment: "sum", nonce: "", rollout: "standby")
        let environment = BuiltEnvironment(
            digest: "d", folder: "/usr", interpreterFolder: nil, packages: 0, isReused: true)
        let recipes = [nil, .nothing, .egress, .hosts([try HostRule(parsing: "a.example")])].map {
            (access: NetworkAccess?) in
            StandbyRecipe(
                specification: SandboxSpecification(id: "", labels: labels, network: access),
                manifest: Manifest(name: "sum", network: access), environment: environment)
        }
        for (index, recipe) in recipes.enumerated() {
            #expect(recipes.filter { $0 == recipe }.count == 1, "\(index)")
            #expect(recipe == recipe)
        }
    }

    @Test func refusalsGoIntoTheLogOfTheirRevision() async throws {
        try await World.with { world in
            _ = try await world.verdict(try await world.submit().id)
            _ = try await world.verdict(try await world.submit().id)
            let journal = RefusalJournal(store: world.workshop.store, logs: world.workshop.logs)
            let first = try #require(try world.workshop.store.revision(1, of: "sum"))
            func log(_ revision: Int) throws -> String {
                try String(contentsOfFile: world.workshop.logs.file("sum", revision), encoding: .utf8)
            }
            journal.note(
                "a.example:443 is not listed", of: SandboxLabels(deployment: "sum", nonce: first.nonce, rollout: "r"))
            #expect(try log(1).contains(" berth egress refused: a.example:443 is not listed\n"))
            // A standby is for whatever serves.
            journal.note(
                "b.example:443 is not listed", of: SandboxLabels(deployment: "sum", nonce: "", rollout: "standby"))
            #expect(try log(2).contains(" berth egress refused: b.example:443 is not listed\n"))
            journal.note("c.example:443", of: SandboxLabels(deployment: "gone", nonce: "", rollout: ""))
            #expect(!FileManager.default.fileExists(atPath: world.workshop.logs.file("gone", 1)))
        }
    }
}
