import DeploymentCore

/// A value that fits its shape, with its place.
struct Checked {
    let place: Place
    let content: Content

    /// What a shape leaves of a node.
    indirect enum Content {
        /// From `text`, `scalar` and `choice`.
        case text(String)
        case integer(Int)
        case number(Double)
        case duration(Duration)
        case list([Checked])
        /// From `mapping` and `dictionary`, and from a `matcher` that is one.
        case fields(Fields)
        /// From `json`, `jsonObject`, and from a `matcher` that is a plain value.
        case json(JSONValue)
    }

    var text: String? { if case .text(let value) = content { value } else { nil } }
    var integer: Int? { if case .integer(let value) = content { value } else { nil } }
    var number: Double? { if case .number(let value) = content { value } else { nil } }
    var duration: Duration? { if case .duration(let value) = content { value } else { nil } }
    var list: [Checked]? { if case .list(let value) = content { value } else { nil } }
    var fields: Fields? { if case .fields(let value) = content { value } else { nil } }
    var json: JSONValue? { if case .json(let value) = content { value } else { nil } }
}

/// The known keys of a mapping, in the manifest's order.
struct Fields {
    let place: Place
    let entries: [Entry]

    /// One key; its value is nil when it was wrong and has been reported.
    struct Entry {
        let name: String
        let place: Place
        let value: Checked?
    }

    /// No keys.
    static func none(at place: Place) -> Fields { Fields(place: place, entries: []) }

    /// The value of a key; nil when it is missing or wrong.
    subscript(name: String) -> Checked? { entry(name)?.value }

    /// Whether the manifest gives the key, right or wrong.
    func has(_ name: String) -> Bool { entry(name) != nil }

    /// Where the key stands; the mapping's place without it.
    func place(of name: String) -> Place { entry(name)?.place ?? place }

    private func entry(_ name: String) -> Entry? { entries.first { $0.name == name } }
}
