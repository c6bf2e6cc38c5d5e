import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Waiting

extension SandboxHost {
    /// Sets when a running sandbox ends, in seconds from now; 0 ends it at once. At most a day after its start.
    ///
    /// - Throws: 400 for less than nothing; 404 when there is none that runs.
    public func setTimeout(_ id: String, _ seconds: Int64) async throws {
        guard seconds >= 0 else { throw ControlFailure(400, "Timeout must not be less than 0") }
        try await alone(id) { host in
            let record = try host.running(id)
            guard seconds > 0 else {
                try host.move(id, to: host.now)
                if record.pausesOnTimeout { return try await host.pauseAlone(id, record.pauseAtEnd) }
                return try await host.killAlone(id, because: "the sandbox's time was set to 0")
            }
            try host.move(id, to: host.end(record, seconds), timeout: seconds)
        }
    }

    /// Extends a running sandbox by some seconds from now, at least 15; never shortens its life.
    ///
    /// - Throws: 400 for more than an hour; 404 when there is none that runs.
    public func refresh(_ id: String, _ seconds: Int64) async throws {
        guard (0...HostedSettings.longestRefresh).contains(seconds) else {
            throw ControlFailure(400, "duration has to be from 0 to \(HostedSettings.longestRefresh) seconds")
        }
        try await alone(id) { host in
            _ = try host.running(id)
            try host.extend(id, timeout: max(seconds, HostedSettings.shortestRefresh))
        }
    }

    /// Moves the end to later, or not at all.
    func extend(_ id: String, timeout: Int64) throws {
        let record = try visible(id).record
        let end = end(record, timeout)
        if end > record.endAt { try move(id, to: end, timeout: timeout) }
    }

    private func running(_ id: String) throws(ControlFailure) -> HostedSandboxRecord {
        let record = try visible(id).record
        guard record.state == .running else {
            var failure = ControlFailure.noSandbox(id)
            failure.message += ": it is paused"
            throw failure
        }
        return record
    }

    private func end(_ record: HostedSandboxRecord, _ seconds: Int64) -> Int64 {
        min(
            now + min(seconds, HostedSettings.maximumTimeout) * 1_000,
            record.startedAt + HostedSettings.maximumTimeout * 1_000)
    }

    private func move(_ id: String, to end: Int64, timeout: Int64? = nil) throws {
        try write(id, event: .updated, data: SandboxEventData(endAt: end)) { record in
            record.endAt = end
            if let timeout { record.timeout = min(timeout, HostedSettings.maximumTimeout) }
        }
        wheel.set(id, at: end)
    }

    /// Replaces what a running sandbox may reach; what is not said is cleared.
    ///
    /// - Throws: 400 for what makes no sense or cannot be had; 404; 409 when it is paused.
    public func setNetwork(_ id: String, _ settings: SandboxNetworkSettings) async throws {
        _ = try visible(id)
        if settings.allowsPublicTraffic != nil {
            throw ControlFailure(400, "allowPublicTraffic cannot be changed after the sandbox was made")
        }
        if settings.maskedHost != nil {
            throw ControlFailure(400, "maskRequestHost cannot be changed after the sandbox was made")
        }
        let enforcement = try await surroundings.provider.capabilities().network
        let wish = try NetworkWish(
            allowsInternet: settings.allowsInternet, settings: settings, enforcement: enforcement)
        try await alone(id) { host in
            let before = try host.visible(id).record
            guard before.state == .running else {
                throw ControlFailure(409, "sandbox \(id) is paused: its network can be changed while it runs")
            }
            let sandbox = try await host.sandbox(id)
            var merged = settings
            let earlier = before.networkSettings
            merged.allowsPublicTraffic = earlier?.allowsPublicTraffic
            merged.maskedHost = earlier?.maskedHost
            merged.allowsInternet = nil
            // Written first: after a crash the sandbox gets what was asked for last.
            try host.write(id, event: .updated, data: SandboxEventData(network: settings)) { record in
                record.network = String(decoding: merged.json.encoded(), as: UTF8.self)
                record.allowsInternet = settings.allowsInternet
            }
            guard let access = wish.access else { return }
            do {
                try await host.within("changing the network of sandbox \(id)") { try await sandbox.permit(access) }
            } catch {
                try host.write(id) { record in
                    record.network = before.network
                    record.allowsInternet = before.allowsInternet
                }
                throw ControlFailure(error)
            }
            host.note(id, "the sandbox may reach: \(access)")
        }
    }
}

extension HostedSandboxRecord {
    /// The network settings; nil where none were given.
    var networkSettings: SandboxNetworkSettings? {
        guard let network, let json = try? JSONValue(parsing: Array(network.utf8)) else { return nil }
        return try? SandboxNetworkSettings(json: json)
    }

    /// The mounted volumes.
    public var volumeMounts: [SandboxCreation.VolumeMount] {
        guard let volumes, let json = try? JSONValue(parsing: Array(volumes.utf8)) else { return [] }
        return (json.array ?? []).compactMap { try? SandboxCreation.VolumeMount(json: $0) }
    }
}
