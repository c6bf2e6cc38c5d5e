import DeploymentCore
import Sandboxes

extension EmbeddedSandbox {
    /// Whether it is paused, by this control plane or an earlier one.
    public var isPaused: Bool { vitals.isPaused }

    /// Freezes every process and gives the memory back where there is swap.
    ///
    /// - Throws: `not_found` when it has ended; `sandbox` when it does not stand still within 5 s.
    public func pause() async throws {
        try await Blocking.run { [folder, vitals, id] in
            try vitals.turn.withLock { _ in
                guard let state = try folder.state() else { throw BerthError(.notFound, "there is no sandbox \(id)") }
                guard state.paused == nil else {
                    vitals.isPaused = true
                    return
                }
                let processes = SandboxProcesses(folder: folder, state: state)
                guard processes.first != nil else { throw BerthError(.notFound, "the sandbox \(id) has ended") }
                let freezing = Freezing(mechanism: Freezing.mechanism(for: state.group), processes: processes)
                // Written first: who finds it frozen after a crash knows what to undo.
                try folder.change { $0.paused = freezing.mechanism }
                vitals.isPaused = true
                do {
                    try freezing.freeze()
                } catch {
                    vitals.isPaused = false
                    try folder.change { $0.paused = nil }
                    throw error
                }
                if freezing.mechanism == .stopSignal {
                    let stopped = freezing.stoppable().map(\.identity)
                    try folder.change { $0.stopped = stopped }
                }
                Reclaiming.run(LimitEnforcement.cached(state.isolation).enforced.reclaim, processes)
            }
        }
    }

    /// Lets it go on.
    ///
    /// - Throws: `not_found` when it is gone.
    public func resume() async throws {
        try await Blocking.run { [folder, vitals, id] in
            try vitals.turn.withLock { _ in
                guard let state = try folder.state() else { throw BerthError(.notFound, "there is no sandbox \(id)") }
                if let mechanism = state.paused {
                    try Freezing(
                        mechanism: mechanism, processes: SandboxProcesses(folder: folder, state: state)
                    ).thaw()
                    vitals.isPaused = false
                    try folder.change {
                        $0.paused = nil
                        $0.stopped = nil
                    }
                }
                vitals.isPaused = false
            }
        }
    }
}
