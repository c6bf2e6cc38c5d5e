import BerthTestSupport
import DeploymentCore
import Foundation
import GRDB
import Testing

@testable import DeploymentStore

@Suite struct DeploymentStoreTests {
    private func with(_ body: (DeploymentStore, String) throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            try body(try DeploymentStore(path: "\(folder)/berth.sqlite"), "\(folder)/berth.sqlite")
        }
    }

    private func begin(
        _ store: DeploymentStore, _ id: String, _ kind: RolloutRecord.Kind = .deploy
    ) throws
        -> (RolloutRecord, RevisionRecord)
    {
        let rollout = RolloutRecord(id: id, deployment: "iris", revision: 0, kind: kind, startedAt: 1)
        return try store.beginRollout(rollout) { number in
            RevisionRecord(
                deployment: "iris", number: number, nonce: "iris.\(number).\(id)", manifest: "{}", lock: "",
                createdAt: 1)
        }
    }

    private func event(_ rollout: String) -> EventRecord {
        EventRecord(rollout: rollout, kind: "progress", data: "{}", time: 1)
    }

    private func promote(_ store: DeploymentStore, _ rollout: RolloutRecord) throws {
        var promoted = rollout
        promoted.status = .promoted
        let replica = ReplicaRecord(
            sandbox: "s\(rollout.revision)", deployment: "iris", revision: rollout.revision, isolation: .namespaces)
        try store.promote(promoted, replica: replica, event: event(rollout.id))
    }

    @Test func revisionsAreNumberedFromOneAndNeverReused() async throws {
        try await with { store, _ in
            var (rollout, revision) = try begin(store, "a")
            #expect(revision.number == 1)
            rollout.status = .failed
            try store.finish(rollout, event: event("a"))
            #expect(try begin(store, "b").1.number == 2)
            #expect(try store.revision(1, of: "iris")?.status == .failed)
        }
    }

    @Test func secondRolloutIsAConflictThatNamesTheFirst() async throws {
        try await with { store, _ in
            _ = try begin(store, "first")
            let error = #expect(throws: BerthError.self) { try begin(store, "second") }
            #expect(error?.code == .conflict)
            #expect(error?.message.contains("first") == true)
            #expect(try store.revisions(of: "iris").count == 1)
        }
    }

    @Test func promotionMovesEverythingOrNothing() async throws {
        try await with { store, _ in
            let first = try begin(store, "a").0
            try promote(store, first)
            let second = try begin(store, "b").0
            try promote(store, second)
            #expect(try store.deployment("iris")?.activeRevision == 2)
            #expect(try store.revisions(of: "iris").map(\.status) == [.active, .superseded])
            #expect(try store.replica(of: "iris")?.sandbox == "s2")
            let unknown = RolloutRecord(
                id: "none", deployment: "iris", revision: 9, kind: .deploy, status: .promoted, startedAt: 1)
            #expect(throws: BerthError.self) { try promote(store, unknown) }
            #expect(try store.deployment("iris")?.activeRevision == 2)
            #expect(try store.replica(of: "iris")?.sandbox == "s2")
        }
    }

    @Test func stateSurvivesReopening() async throws {
        try await with { store, path in
            try promote(store, try begin(store, "a").0)
            let line = try store.intend(.sandbox, of: "a", key: "box")
            let again = try DeploymentStore(path: path)
            #expect(try again.deployment("iris")?.activeRevision == 1)
            #expect(try again.journal(of: "a").map(\.state) == [.intended])
            try again.settle(line, as: .undone)
            #expect(try store.journal(of: "a").map(\.state) == [.undone])
        }
    }

    @Test func eventsAreReadInOrderFromAnyPoint() async throws {
        try await with { store, _ in
            _ = try begin(store, "a")
            for _ in 0..<5 { try store.append(event("a")) }
            let ids = try store.events(of: "a", after: 0).compactMap(\.id)
            #expect(ids == ids.sorted() && ids.count == 5)
            #expect(try store.events(of: "a", after: ids[2]).compactMap(\.id) == Array(ids[3...]))
        }
    }

    @Test func destroyedDeploymentLeavesNoRows() async throws {
        try await with { store, _ in
            try promote(store, try begin(store, "a").0)
            try store.removeDeployment("iris")
            #expect(try store.deployment("iris") == nil)
            #expect(try store.rollout("a") == nil)
            #expect(try store.replica(of: "iris") == nil)
            #expect(try store.events(of: "a", after: 0).isEmpty)
        }
    }

    @Test func testsAreNotListedAndForgottenAfterAWhile() async throws {
        try await with { store, _ in
            var rollout = try begin(store, "a", .test).0
            #expect(try store.deployments().isEmpty)
            try store.forgetTests(keeping: 0)
            #expect(try store.rollout("a") != nil, "a running test is kept")
            rollout.status = .promoted
            try store.finish(rollout, event: event("a"))
            try store.forgetTests(keeping: 0)
            #expect(try store.rollout("a") == nil)
        }
    }

    @Test func oldRevisionsAreForgottenButNeverTheOneThatServes() async throws {
        try await with { store, _ in
            for name in ["a", "b", "c", "d"] { try promote(store, try begin(store, name).0) }
            #expect(try store.pruneRevisions(keeping: 1).map(\.number) == [3, 4])
            #expect(try store.pruneRevisions(keeping: 0).map(\.number) == [4])
            #expect(try store.revision(4, of: "iris")?.status == .active)
        }
    }

    @Test func sleepTakesTheReplicaAndNothingElseDoes() async throws {
        try await with { store, path in
            let (rollout, _) = try begin(store, "rol_1")
            try promote(store, rollout)
            let replica = try #require(try store.replica(of: "iris"))
            let event = LifecycleRecord(deployment: "iris", kind: .asleep, time: 7)
            var stranger = replica
            stranger.sandbox = "other"
            #expect(throws: BerthError.self) { try store.fallAsleep(stranger, event: event) }
            stranger = replica
            stranger.revision = 2
            #expect(throws: BerthError.self) { try store.fallAsleep(stranger, event: event) }
            #expect(try store.replica(of: "iris") == replica)
            #expect(try store.deployment("iris")?.asleepSince == nil)

            try store.fallAsleep(replica, event: event)
            let reopened = try DeploymentStore(path: path)
            #expect(try reopened.replica(of: "iris") == nil)
            #expect(try reopened.deployment("iris")?.asleepSince == 7)
            #expect(throws: BerthError.self) { try store.fallAsleep(replica, event: event) }
            try store.replaceReplica(
                with: replica, event: LifecycleRecord(deployment: "iris", kind: .woken, time: 8))
            #expect(try store.deployment("iris")?.asleepSince == nil)
            #expect(try store.lifecycle(of: nil, limit: 10).map(\.kind) == [.asleep, .woken])
        }
    }

    @Test func nothingStartsOnADeploymentThatEnds() async throws {
        try await with { store, _ in
            let (rollout, _) = try begin(store, "rol_1")
            try promote(store, rollout)
            let replica = try #require(try store.replica(of: "iris"))
            let (second, _) = try begin(store, "rol_2")
            let event = LifecycleRecord(deployment: "iris", kind: .expired, time: 9)
            try store.beginEnding(of: "iris", event: event)
            try store.beginEnding(of: "iris", event: nil)
            #expect(throws: BerthError.self) { try promote(store, second) }
            #expect(throws: BerthError.self) { try store.replaceReplica(with: replica) }
            #expect(throws: BerthError.self) { try store.fallAsleep(replica, event: event) }
            #expect(throws: BerthError.self) { try store.setExpiry(of: "iris", at: 1, event: event) }
            #expect(try store.deployment("iris")?.activeRevision == 1)
            let end = LifecycleRecord(deployment: "iris", kind: .destroyed, time: 10)
            try store.removeDeployment("iris", event: end)
            // What is gone already does not end again.
            try store.removeDeployment("iris", event: end)
            #expect(try store.lifecycle(of: "iris", limit: 10).map(\.kind) == [.expired, .destroyed])
            #expect(try store.lifecycle(of: "iris", limit: 1).map(\.kind) == [.destroyed])
        }
    }

    @Test func storeOfANewerVersionIsRefused() async throws {
        try await with { store, path in
            try store.database.write { database in
                try database.execute(sql: "INSERT INTO grdb_migrations VALUES ('9999-01 the future')")
            }
            let error = #expect(throws: BerthError.self) { try DeploymentStore(path: path) }
            #expect(error?.message.contains("newer") == true)
        }
    }
}
