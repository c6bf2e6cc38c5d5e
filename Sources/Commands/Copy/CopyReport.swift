import DeploymentCore
import Foundation

/// What a copy did so far; shown while it goes on.
final class CopyReport: Sendable {
    /// What a copy did.
    struct Totals: Codable, Equatable {
        var files = 0
        var folders = 0
        var links = 0
        var bytes: Int64 = 0
        /// What was left out, and why.
        var skipped: [String] = []

        var text: String {
            let parts = [(files, "file"), (folders, "folder"), (links, "link")].filter { $0.0 > 0 || $0.1 == "file" }
            return parts.map { "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")" }.joined(separator: ", ")
                + ", \(Output.bytes(bytes))"
        }
    }

    /// How often a growing file is drawn anew at most.
    static let drawInterval = Duration.milliseconds(100)

    private struct State {
        var totals = Totals()
        var path = ""
        var drawn = ContinuousClock.now
    }

    private let state = Locked(State())
    private let progress: Progress

    init(_ progress: Progress) { self.progress = progress }

    var totals: Totals { state.withLock(\.totals) }

    func begin(_ path: String) {
        state.withLock { $0.path = VisibleText.of(path) }
        draw()
    }

    func count(_ change: (inout Totals) -> Void) { state.withLock { change(&$0.totals) } }

    func took(_ bytes: Int) {
        let isDue = state.withLock { state in
            state.totals.bytes += Int64(bytes)
            return ContinuousClock.now - state.drawn > Self.drawInterval
        }
        if isDue { draw() }
    }

    func skip(_ path: String, _ reason: String) {
        let text = "\(VisibleText.of(path)): \(reason)"
        state.withLock { $0.totals.skipped.append(text) }
        progress.say("left out: \(text)")
    }

    private func draw() {
        let (path, totals) = state.withLock { state in
            state.drawn = .now
            return (state.path, state.totals)
        }
        progress.doing("copy", "\(totals.text)  \(path)")
    }

    /// Ends the line that shows what goes on.
    func end() { progress.clear() }
}
