import DeploymentCore
import Foundation
import Sandboxes

/// A text on the terminal that is drawn anew in its place until Ctrl-C.
struct LiveView {
    /// The time between two drawings.
    static let interval = Duration.seconds(2)

    /// Draws what `text` gives, at once and then in intervals.
    ///
    /// - Throws: what `text` throws; Ctrl-C ends it without an error.
    static func run(_ text: @escaping @Sendable () async throws -> String) async throws {
        do {
            try await Signals.cancelling {
                var height = 0
                while true {
                    let lines = cut(try await text())
                    let back = height > 0 ? "\u{1B}[\(height)A\r\u{1B}[J" : ""
                    try await OutputWriter(descriptor: 1).write(
                        Array((back + lines.map { "\($0)\n" }.joined()).utf8))
                    height = lines.count
                    try await Task.sleep(for: interval)
                }
            }
        } catch is CancellationError {
            return
        }
    }

    /// Lines that fit: one that wraps, or scrolls away, could not be drawn over.
    private static func cut(_ text: String) -> [String] {
        let size = RawTerminal.size
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.prefix(max(1, (size?.rows ?? 24) - 1)).map { String($0.prefix(max(1, size?.columns ?? 80))) }
    }
}
