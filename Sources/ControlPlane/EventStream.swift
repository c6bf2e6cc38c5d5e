import ControlAPI
import DeploymentCore
import DeploymentStore
import Foundation
import Orchestration
import Waiting

/// The events of one rollout as server-sent events, from any point, ending with `finished`.
struct EventStream: Sendable {
    /// Texts that may wait for a slow reader; a stream that lags more loses its oldest and ends by `finished` anyway.
    static let maximumBuffered = 1_024

    let service: DeploymentService
    let rollout: String

    func run(after first: Int64, _ deliver: @Sendable (String) async throws -> Void) async throws {
        var last = first
        while !Task.isCancelled {
            let version = service.changed.version
            // Ask before reading: what ends in between leaves its rows behind for this very read.
            let isRunning = await service.isRunning(rollout)
            let events = try service.events(of: rollout, after: last)
            for event in events {
                last = event.id ?? last
                try await deliver("id: \(last)\nevent: \(event.kind)\ndata: \(event.data)\n\n")
            }
            guard events.isEmpty else { continue }
            if !isRunning {
                let event = RolloutEvent.finished(try await service.rollout(rollout))
                let data = String(decoding: try JSONEncoder().encode(event), as: UTF8.self)
                try await deliver("event: \(event.kind)\ndata: \(data)\n\n")
                return
            }
            await service.changed.wait(after: version)
        }
    }
}
