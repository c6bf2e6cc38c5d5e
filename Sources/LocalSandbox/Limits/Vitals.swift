import DeploymentCore
import Sandboxes

/// What is known of a running sandbox by everyone who holds it.
final class Vitals: Sendable {
    private struct State {
        var isPaused: Bool
        var isHeldBack = false
        var holdBacks = 0
        var exceeded: [ExceededLimit] = []
    }

    private let state: Locked<State>
    /// Held while a sandbox is paused or resumed.
    let turn = Locked(())

    init(isPaused: Bool) { state = Locked(State(isPaused: isPaused)) }

    var isPaused: Bool {
        get { state.withLock { $0.isPaused } }
        set { state.withLock { $0.isPaused = newValue } }
    }

    /// Whether it gets next to nothing of the processors for a while, and how often that began.
    var holdBacks: (isOn: Bool, count: Int) { state.withLock { ($0.isHeldBack, $0.holdBacks) } }

    func holdBack(_ isOn: Bool) {
        state.withLock { state in
            state.isHeldBack = isOn
            if isOn { state.holdBacks += 1 }
        }
    }

    /// Limits that the engine itself acted on.
    var exceeded: [ExceededLimit] { state.withLock { $0.exceeded } }

    /// Notes a limit that was exceeded; once for each resource.
    func note(_ limit: ExceededLimit) {
        state.withLock { state in
            guard !state.exceeded.contains(where: { $0.resource == limit.resource }) else { return }
            state.exceeded.append(limit)
        }
    }
}

/// Sizes as people read them.
enum SizeWords {
    /// `200 MiB`, `1.5 GiB`.
    static func text(_ bytes: Int64) -> String {
        let units: [(String, Int64)] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        guard let (name, size) = units.first(where: { bytes >= $0.1 }) else { return "\(bytes) bytes" }
        let tenths = (bytes * 10 + size / 2) / size
        return tenths % 10 == 0 ? "\(tenths / 10) \(name)" : "\(tenths / 10).\(tenths % 10) \(name)"
    }
}
