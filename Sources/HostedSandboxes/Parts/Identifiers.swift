import Foundation

/// Names that nobody can guess, or at least nobody has twice.
enum Identifiers {
    private static let length = 20
    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789")

    /// A sandbox's id: `i` and 20 lower-case letters and digits.
    static func sandbox() -> String { "i\(random())" }

    /// 20 lower-case letters and digits.
    static func random() -> String { String((0..<length).map { _ in alphabet[Int.random(in: alphabet.indices)] }) }

    /// An event's or a run's id.
    static func event() -> String { UUID().uuidString.lowercased() }
}
