import DeploymentCore

/// One node of a YAML document: what it holds and where it starts.
struct Node: Sendable {
    var content: Content
    var place: Place

    /// What a node holds.
    enum Content: Sendable {
        case scalar(Scalar)
        case sequence([Node])
        case mapping([Entry])
        /// Reported already (an alias, an unknown tag); whoever meets it stays silent.
        case invalid
    }

    /// One key of a mapping with its value.
    struct Entry: Sendable {
        var key: String
        var keyPlace: Place
        var value: Node
    }

    /// A scalar as written, and what YAML's core schema makes of it.
    struct Scalar: Sendable {
        /// The text without quotes and escapes; for plain scalars exactly what the file says.
        var text: String
        /// `null`, a boolean, a number or a string.
        var value: JSONValue
    }

    /// What a reader calls this kind of node, with its article.
    var kind: String {
        switch content {
        case .sequence: "a list"
        case .mapping: "a mapping"
        case .invalid: "nothing"
        case .scalar(let scalar):
            switch scalar.value {
            case .null: "nothing"
            case .bool: "a boolean"
            case .integer, .double: "a number"
            default: "text"
            }
        }
    }
}
