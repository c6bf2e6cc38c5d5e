import DeploymentCore
import E2BProtocol
import Hummingbird

/// The parameters of a request's query; each refusal is a 400 that names the parameter.
struct EventQuery {
    /// The most values that one parameter may have.
    static let maximumValues = 32

    private let parameters: [(name: String, value: String)]

    init(_ request: Request) {
        parameters = request.uri.queryParameters.map { (String($0.key), String($0.value)) }
    }

    private func values(_ name: String) -> [String] { parameters.filter { $0.name == name }.map(\.value) }

    /// A parameter given once; nil when it is absent or empty.
    func text(_ name: String) throws -> String? {
        let values = values(name)
        guard values.count <= 1 else { throw ControlFailure(400, "\(name) is given more than once") }
        return values.first.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Values given by repetition, by commas, or both.
    func list(_ name: String) throws -> [String] {
        let given = values(name) + values("\(name)[]")
        let values = given.flatMap { $0.split(separator: ",").map { String($0) } }
        guard values.count <= Self.maximumValues else {
            throw ControlFailure(400, "\(name) has more than \(Self.maximumValues) values")
        }
        return values
    }

    /// A whole number.
    func number(_ name: String, in range: ClosedRange<Int>, else standard: Int) throws -> Int {
        guard let text = try text(name) else { return standard }
        guard let number = Int(text), range.contains(number) else {
            let bounds =
                range.upperBound == .max
                ? "of \(range.lowerBound) or more" : "between \(range.lowerBound) and \(range.upperBound)"
            throw ControlFailure(400, "\(name) is not a number \(bounds)")
        }
        return number
    }

    /// `true` or `false`.
    func flag(_ name: String) throws -> Bool {
        switch try text(name)?.lowercased() {
        case nil, "false", "0": return false
        case "true", "1": return true
        default: throw ControlFailure(400, "\(name) is neither true nor false")
        }
    }

    /// An instant in milliseconds since 1970, given in RFC 3339.
    func time(_ name: String) throws -> Int64? {
        guard let text = try text(name) else { return nil }
        // A form may have made a space of the plus sign of an offset.
        let repaired = String(text.map { $0 == " " ? "+" : $0 })
        guard let time = Timestamp(text: repaired) else {
            throw ControlFailure(400, "\(name) is not a time as 2026-01-31T08:00:00Z")
        }
        return time.milliseconds
    }
}
