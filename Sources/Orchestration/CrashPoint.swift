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

    /// Every point, in the order of a rollout.
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
        }
    }

    #if DEBUG
        private static let wanted = getenv("BERTH_CRASH_AT").map { String(cString: $0) }
    #endif

    /// Ends the process here when a test asked for it.
    func pass() {
        #if DEBUG
            if Self.wanted == description { kill(getpid(), SIGKILL) }
        #endif
    }
}
