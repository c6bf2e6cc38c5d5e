import ControlAPI
import DeploymentCore
import Foundation

/// What a rollout does, on standard error: a live line on a terminal, plain lines elsewhere, nothing when quiet.
final class Progress: Sendable {
    private struct State {
        var line = ""
        var start = ContinuousClock.now
        var frame = 0
    }

    private let style = Style.standardError
    private let isQuiet: Bool
    private let state = Locked(State())

    init(isQuiet: Bool) { self.isQuiet = isQuiet }

    /// A line that stays.
    func say(_ text: String) {
        guard !isQuiet else { return }
        write((style.isTerminal ? "\r\u{1B}[K" : "") + text + "\n")
    }

    /// A finished step with its duration and what it found.
    func done(_ step: String, _ milliseconds: Double?, _ detail: String, reused: Bool = false) {
        let time = milliseconds.map(Output.duration(milliseconds:)) ?? ""
        let note = reused ? style.dim("reused") + (detail.isEmpty ? "" : ", ") : ""
        say("  \(style.green("✓")) \(pad(step, 12)) \(pad(time, 9)) \(note)\(detail)")
        state.withLock { $0.line = "" }
    }

    /// A step that did not finish.
    func failed(_ step: String, _ detail: String) {
        say("  \(style.red("✗")) \(pad(step, 12)) \(pad("", 9)) \(detail)")
        state.withLock { $0.line = "" }
    }

    /// A step that runs; replaced by the next one on a terminal, left out elsewhere.
    func doing(_ step: String, _ detail: String = "") {
        state.withLock { state in
            if !state.line.hasPrefix(step) { state.start = .now }
            state.line = "\(step)\u{0}\(detail)"
        }
        tick()
    }

    /// Takes the running step away.
    func clear() {
        state.withLock { $0.line = "" }
        if style.isTerminal, !isQuiet { write("\r\u{1B}[K") }
    }

    /// Draws the running step once more, with its time.
    func tick() {
        guard style.isTerminal, !isQuiet else { return }
        let (line, elapsed, frame) = state.withLock { state -> (String, Duration, Int) in
            state.frame += 1
            return (state.line, ContinuousClock.now - state.start, state.frame)
        }
        guard !line.isEmpty else { return }
        let parts = line.split(separator: "\u{0}", maxSplits: 1, omittingEmptySubsequences: false)
        let frames = Array("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
        let seconds = "\(elapsed.components.seconds) s"
        write("\r\u{1B}[K  \(frames[frame % frames.count]) \(pad(String(parts[0]), 12)) \(pad(seconds, 9)) \(parts[1])")
    }

    /// Shows one event of a rollout.
    func show(_ event: RolloutEvent) {
        switch event {
        case .stageStarted(let stage): doing(stage.rawValue)
        case .progress(let stage, let text): doing(stage.rawValue, text)
        case .stageFinished(let report):
            done(report.stage.rawValue, report.milliseconds, report.detail, reused: report.reused)
        case .notice(let text): say("  \(style.yellow("!")) \(text)")
        case .smoke(let report): show(report)
        case .finished(let rollout):
            if rollout.status != "promoted" { failed(rollout.stage.rawValue, rollout.failure?.title ?? rollout.status) }
        }
    }

    private func show(_ report: SmokeReport) {
        let mark = report.passed ? style.green("✓") : style.red("✗")
        let status = report.status.map { "\($0)" } ?? "no answer"
        say("    \(mark) \(report.name): \(status) in \(Output.duration(milliseconds: report.milliseconds))")
        for failure in report.failures { say("      \(failure)") }
        if !report.passed, let response = report.response { say(style.dim("      answer: \(response)")) }
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
