import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Waiting

extension SandboxHost {
    /// How long a resumed sandbox's agent may take to answer.
    static let answerLimit = Duration.seconds(10)

    /// Freezes a sandbox with its processes.
    ///
    /// - Throws: 404; 409 when it is paused; 400 for a pause without memory, which the engine cannot do.
    public func pause(_ id: String, keepsMemory: Bool = true) async throws {
        _ = try visible(id)
        guard keepsMemory else { throw ControlFailure.notOffered("memory false, a pause without memory,") }
        try await alone(id) { try await $0.pauseAlone(id) }
    }

    /// Lets a paused sandbox go on for some seconds.
    ///
    /// - Throws: 404; 409 when it runs; 429 when as many run as may.
    public func resume(_ id: String, timeout: Int64, pausesOnTimeout: Bool? = nil) async throws -> SandboxHandle {
        let timeout = try CreationPlan.checked(timeout)
        return try await alone(id) { host in
            guard try host.visible(id).record.state != .running else {
                throw ControlFailure(409, "sandbox \(id) is already running")
            }
            try await host.resumeAlone(id, timeout: timeout)
            if let pausesOnTimeout { try host.write(id) { $0.pausesOnTimeout = pausesOnTimeout } }
            return host.handle(try host.visible(id).record)
        }
    }

    /// Makes sure that a sandbox runs for some seconds more: extends it or resumes it, and never shortens its life.
    ///
    /// - Returns: the sandbox, and whether it was resumed.
    /// - Throws: 404; 429 when as many run as may.
    public func connect(_ id: String, timeout: Int64) async throws -> (handle: SandboxHandle, isResumed: Bool) {
        let timeout = try CreationPlan.checked(timeout)
        return try await alone(id) { host in
            if try host.visible(id).record.state == .running {
                try host.extend(id, timeout: timeout)
                return (host.handle(try host.visible(id).record), false)
            }
            try await host.resumeAlone(id, timeout: timeout)
            return (host.handle(try host.visible(id).record), true)
        }
    }

    func pauseAlone(_ id: String) async throws {
        let record = try visible(id).record
        switch record.state {
        case .running: break
        case .paused: throw ControlFailure(409, "sandbox \(id) is already paused")
        default: throw Self.transitioning(id)
        }
        let sandbox = try await sandbox(id)
        try write(id) { $0.state = .pausing }
        await endRun(id)
        do {
            try await within("pausing sandbox \(id)") { try await sandbox.pause() }
            try write(id, event: .paused, data: execution(record), paused)
        } catch {
            throw await given(up: id, error)
        }
        wheel.set(id, at: nil)
        note(id, "the sandbox was paused")
    }

    func resumeAlone(_ id: String, timeout: Int64) async throws {
        guard try visible(id).record.state == .paused else { throw Self.transitioning(id) }
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

    /// What is written of a sandbox that stands still.
    func paused(_ record: inout HostedSandboxRecord) {
        record.state = .paused
        record.endAt = now
    }

    /// What is written of a sandbox whose next run has begun.
    func resumed(_ record: inout HostedSandboxRecord, timeout: Int64) {
        record.state = .running
        record.execution = Identifiers.event()
        record.timeout = timeout
        record.startedAt = now
        record.endAt = now + timeout * 1_000
    }

    private static func transitioning(_ id: String) -> ControlFailure {
        ControlFailure(409, "sandbox \(id) is still being paused or resumed")
    }

    /// Takes back what failed half-way, now or later; returns what to tell of it.
    private func given(up id: String, _ error: any Error) async -> ControlFailure {
        if let gone = error as? BerthError, gone.code == .notFound {
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
        let failure = ControlFailure(error)
        return ControlFailure(503, failure.message, kind: failure.kind, shouldRetry: false)
    }

    /// Makes a sandbox run that was about to be paused, or paused that was about to run.
    func revert(_ id: String) async throws {
        guard let record = entries[id]?.record else { return }
        do {
            let sandbox = try await sandbox(id)
            if record.state == .pausing {
                try await within("resuming sandbox \(id)") { try await sandbox.resume() }
                try write(id) { $0.state = .running }
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
