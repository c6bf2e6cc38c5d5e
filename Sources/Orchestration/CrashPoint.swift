import DeploymentCore
import Glibc

/// The places where tests end the control plane as `kill -9` would: before and after each journalled effect.
///
/// Only debug builds look at `BERTH_CRASH_AT`.
public enum CrashPoint: Sendable, Equatable, CaseIterable, CustomStringConvertible {
    /// The stage is journalled, its effect has not begun.
    case before(RolloutStage)
    /// The effect happened, its outcome is not journalled yet.
    case after(RolloutStage)
    /// The promotion is committed, the gateway does not know it yet.
    case committed
    /// Traffic has moved, the old sandbox still exists.
    case published
    /// Requests wait already, the sandbox that is given up still has the traffic in the store.
    case resting
    /// The deployment sleeps, its sandbox still exists.
    case asleep
    /// The replica of a waking is ready, the store does not know it yet.
    case waking
    /// The deployment is awake in the store, the gateway does not know it yet.
    case awake
    /// The end of a deployment has begun, nothing of it is removed yet.
    case ending

    /// The points outside of rollouts.
    public static let lifecycle: [CrashPoint] = [.resting, .asleep, .waking, .awake, .ending]

    /// Every point of a rollout, in its order.
    public static var allCases: [CrashPoint] {
        RolloutStage.allCases.flatMap { [.before($0), .after($0)] } + [.committed, .published]
    }

    /// `before-sandbox`, `after-sandbox`, `committed`.
    public var description: String {
        switch self {
        case .before(let stage): "before-\(stage.rawValue)"
        case .after(let stage): "after-\(stage.rawValue)"
        case .committed: "committed"
        case .published: "published"
        case .resting: "resting"
        case .asleep: "asleep"
        case .waking: "waking"
        case .awake: "awake"
        case .ending: "ending"
        }
    }

    #if DEBUG
        private static let wanted = getenv("BERTH_CRASH_AT").map { String(cString: $0) }
    #endif

    /// Ends the process here when a test asked for it, and the place is one of `if`.
    func pass(if isPlace: Bool = true) {
        #if DEBUG
            if isPlace, Self.wanted == description { kill(getpid(), SIGKILL) }
        #endif
    }
}
