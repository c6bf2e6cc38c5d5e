import ControlAPI
import DeploymentCore
import DeploymentStore
import Waiting

/// Tells what a rollout does: every event is a row that clients read in order, from wherever they left off.
final class RolloutReporter: Sendable {
    /// Progress is written at most this often; the first and each stage's end always.
    static let progressInterval: Int64 = 200

    private struct State {
        var stages: [StageReport] = []
        var smoke: [SmokeReport] = []
        var notices: [String] = []
        var lastProgress: Int64 = 0
    }

    private let state = Locked(State())
    private let rollout: String
    private let workshop: Workshop

    init(rollout: String, workshop: Workshop) {
        self.rollout = rollout
        self.workshop = workshop
    }

    /// What the stages did so far, for the record's report.
    var report: RolloutReport {
        state.withLock { RolloutReport(stages: $0.stages, smoke: $0.smoke, notices: $0.notices) }
    }

    func enter(_ stage: RolloutStage) throws {
        state.withLock { $0.stages.append(StageReport(stage: stage)) }
        try workshop.store.enter(stage, of: rollout, event: try event(.stageStarted(stage)))
        workshop.changed.notify()
    }

    func leave(_ stage: RolloutStage, after duration: Duration, _ outcome: StageOutcome) throws {
        let report = StageReport(
            stage: stage, milliseconds: duration.milliseconds, detail: outcome.detail, reused: outcome.isReused)
        state.withLock { state in
            state.stages.removeAll { $0.stage == stage }
            state.stages.append(report)
        }
        try tell(.stageFinished(report))
    }

    func progress(_ stage: RolloutStage, _ text: String) {
        let now = workshop.now()
        let isDue = state.withLock { state in
            guard now - state.lastProgress >= Self.progressInterval else { return false }
            state.lastProgress = now
            return true
        }
        // Progress is a courtesy: losing one to a full disk must not fail the stage, which will say so itself.
        if isDue { try? tell(.progress(stage, text)) }
    }

    func notice(_ text: String) throws {
        state.withLock { $0.notices.append(text) }
        try tell(.notice(text))
    }

    func smoke(_ report: SmokeReport) throws {
        state.withLock { $0.smoke.append(report) }
        try tell(.smoke(report))
    }

    func event(_ event: RolloutEvent) throws -> EventRecord {
        EventRecord(
            rollout: rollout, kind: event.kind, data: try JSONText.encode(event), time: workshop.now())
    }

    private func tell(_ told: RolloutEvent) throws {
        try workshop.store.append(try event(told))
        workshop.changed.notify()
    }
}

/// What a rollout did, as kept in its record.
struct RolloutReport: Codable, Sendable {
    var stages: [StageReport] = []
    var smoke: [SmokeReport] = []
    var notices: [String] = []
}

/// What a stage found, for its report.
struct StageOutcome: Sendable {
    var detail = ""
    var isReused = false
}
