import Foundation

/// Colour where a terminal reads and nobody asked for none.
struct Style: Sendable {
    let isColoured: Bool
    let isTerminal: Bool

    /// How standard error is written.
    static let standardError = Style(descriptor: 2)
    /// How standard output is written.
    static let standardOutput = Style(descriptor: 1)

    private init(descriptor: Int32) {
        let environment = ProcessInfo.processInfo.environment
        isTerminal = isatty(descriptor) == 1 && environment["TERM"] != "dumb"
        isColoured = isTerminal && (environment["NO_COLOR"] ?? "").isEmpty
    }

    func bold(_ text: String) -> String { paint("1", text) }
    func dim(_ text: String) -> String { paint("2", text) }
    func red(_ text: String) -> String { paint("31", text) }
    func green(_ text: String) -> String { paint("32", text) }
    func yellow(_ text: String) -> String { paint("33", text) }

    private func paint(_ code: String, _ text: String) -> String {
        isColoured ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
