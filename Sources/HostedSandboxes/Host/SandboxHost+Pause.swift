import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Waiting

extension SandboxHost {
    /// How long a resumed sandbox's agent may take to answer.
    static let answerLimit = Duration.seconds(10)

    /// Freezes a sandbox with its processes; without memory it ends its processes and keeps its files.
    ///
    /// - Throws: 404; 409 when it is paused; 503 when the pause failed, and the sandbox runs on.
    public func pause(_ id: String, keepsMemory: Bool = true) async throws {
        try await alone(id) { try await $0.pauseAlone(id, keepsMemory ? .full : .filesystem) }
    }

    /// Lets a paused sandbox go on for some seconds.
    ///
    /// - Parameter keepsMemory: whether its processes go on, where they were kept; otherwise it starts anew.
    /// - Throws: 404; 409 when it runs; 429 when as many run as may.
    public func resume(
        _ id: String, timeout: Int64, pausesOnTimeout: Bool? = nil, keepsMemory: Bool = true
    ) async throws -> SandboxHandle {
        let timeout = try CreationPlan.checked(timeout)
        return try await alone(id) { host in
            guard try host.visible(id).record.state != .running else {
                throw ControlFailure(409, "sandbox \(id) is already running")
            }
            try await host.resumeAlone(id, timeout: timeout, keepsMemory: keepsMemory)
            if let pausesOnTimeout { try host.write(id) { $0.pausesOnTimeout = pausesOnTimeout } }
            return host.handle(try host.visible(id).record)
        }
    }

    /// Makes sure that a sandbox runs for some seconds more: extends it or resumes it, and never shortens its life.
    ///
    /// - Parameter keepsMemory: whether the processes of a paused one go on, where they were kept; otherwise it starts anew.
    /// - Returns: the sandbox, and whether it was resumed.
    /// - Throws: 404; 429 when as many run as may.
    public func connect(
        _ id: String, timeout: Int64, keepsMemory: Bool = true
    ) async throws -> (handle: SandboxHandle, isResumed: Bool) {
        let timeout = try CreationPlan.checked(timeout)
        return try await alone(id) { host in
            if try host.visible(id).record.state == .running {
                try host.extend(id, timeout: timeout)
                return (host.handle(try host.visible(id).record), false)
            }
            try await host.resumeAlone(id, timeout: timeout, keepsMemory: keepsMemory)
            return (host.handle(try host.visible(id).record), true)
        }
    }

    func pauseAlone(_ id: String, _ mode: HostedSandboxRecord.PauseMode) async throws {
        let record = try visible(id).record
        switch record.state {
        case .running: break
        case .paused: throw ControlFailure(409, "sandbox \(id) is already paused")
        default: throw Self.transitioning(id)
        }
        let sandbox = try await sandbox(id)
        try write(id) {
            $0.state = .pausing
            $0.pauseMode = mode
        }
        await endRun(id)
        do {
            switch mode {
            case .full:
                try await within("pausing sandbox \(id)") { try await sandbox.pause() }
                try write(id, event: .paused, data: execution(record), paused)
            case .filesystem: try await keepFiles(of: id, sandbox)
            }
        } catch {
            throw await given(up: id, error)
        }
        wheel.set(id, at: nil)
        guard mode == .filesystem else { return note(id, "the sandbox was paused") }
        note(id, "the sandbox was paused, its files alone were kept")
        await removeRemainsOrLater(id)
    }

    func resumeAlone(_ id: String, timeout: Int64, keepsMemory: Bool = true) async throws {
        let record = try visible(id).record
        guard record.state == .paused else { throw Self.transitioning(id) }
        if let files = record.keptFiles { return try await resumeAlone(id, timeout: timeout, from: files) }
        guard keepsMemory else { return try await rebootAlone(id, timeout: timeout) }
        try requireRoom()
        try write(id) { $0.state = .resuming }
        do {
            let sandbox = try await sandbox(id)
            try await within("resuming sandbox \(id)") {
                try await sandbox.resume()
                try await sandbox.agent?.checkHealth(timeout: Self.answerLimit)
            }
            let record = try write(id, event: .resumed) { resumed(&$0, timeout: timeout) }
            wheel.set(id, at: record.endAt)
        } catch {
            throw await given(up: id, error)
        }
        note(id, "the sandbox was resumed")
    }

    /// What is written of a sandbox that is paused.
    func paused(_ record: inout HostedSandboxRecord) {
        record.state = .paused
        record.endAt = now
    }

    /// What is written of a sandbox whose next run has begun.
    func resumed(_ record: inout HostedSandboxRecord, timeout: Int64) {
        record.state = .running
        record.pauseMode = nil
        record.archive = nil
        record.content = nil
        record.execution = Identifiers.event()
        record.timeout = timeout
        record.startedAt = now
        record.endAt = now + timeout * 1_000
    }

    private static func transitioning(_ id: String) -> ControlFailure {
        ControlFailure(409, "sandbox \(id) is still being paused or resumed")
    }

    /// Takes back what failed half-way, now or later; returns what to tell of it.
    func given(up id: String, _ error: any Error) async -> ControlFailure {
        // Where files are read and written it need not be the sandbox that was not found.
        let isAboutFiles = entries[id]?.record.pauseMode == .filesystem
        if let gone = error as? BerthError, gone.code == .notFound, !isAboutFiles {
            await lose(id)
            return .noSandbox(id)
        }
        note(id, "a change failed: \(ControlFailure(error).message)", .error)
        do {
            try await revert(id)
        } catch {
            surroundings.announce("sandbox \(id) is between running and paused: \(error)")
            wheel.set(id, at: now)
        }
        guard entries[id]?.record.isVisible ?? false else { return .noSandbox(id) }
        let failure = ControlFailure(error)
        return ControlFailure(503, failure.message, kind: failure.kind, shouldRetry: false)
    }

    /// Makes a sandbox run that was about to be paused, or paused that was about to run.
    func revert(_ id: String) async throws {
        guard let record = entries[id]?.record else { return }
        guard record.keptFiles == nil else { return try await revertToFiles(id) }
        do {
            let sandbox = try await sandbox(id)
            if record.state == .pausing {
                try await within("resuming sandbox \(id)") { try await sandbox.resume() }
                if record.pauseMode == .filesystem { try await releaseProcesses(of: id, sandbox) }
                try write(id) {
                    $0.state = .running
                    $0.pauseMode = nil
                }
                if wheel.time(of: id) != record.endAt { wheel.set(id, at: record.endAt) }
            } else {
                try await within("pausing sandbox \(id)") { try await sandbox.pause() }
                try write(id) { $0.state = .paused }
                wheel.set(id, at: nil)
            }
        } catch let error as BerthError where error.code == .notFound {
            await lose(id)
        }
    }

    /// Ends a sandbox that ended by itself.
    func lose(_ id: String) async {
        do {
            try await killAlone(id, because: "the sandbox has ended by itself")
        } catch {
            surroundings.announce("sandbox \(id) has ended, which cannot be written down: \(error)")
            wheel.set(id, at: now)
        }
    }
}
