import DeploymentCore

/// Reads the fields of one proto3 JSON message: lowerCamelCase or snake_case names, `null` and absence as the default.
struct MessageReader {
    private let name: String
    private let members: [String: JSONValue]

    init(_ json: JSONValue, _ name: String) throws(ConnectError) {
        guard let members = json.object else {
            throw ConnectError(.invalidArgument, "\(name) is not an object but a \(json.kind)")
        }
        self.name = name
        self.members = members
    }

    /// The field `field` (lowerCamelCase), nil when absent or null.
    func value(_ field: String) -> JSONValue? {
        let value = members[field] ?? members[Self.snakeCase(field)]
        return value == .null ? nil : value
    }

    func optionalString(_ field: String) throws(ConnectError) -> String? {
        guard let value = value(field) else { return nil }
        guard let text = value.string else { throw wrong(field, "a string", value) }
        return text
    }

    func string(_ field: String) throws(ConnectError) -> String { try optionalString(field) ?? "" }

    func optionalBool(_ field: String) throws(ConnectError) -> Bool? {
        guard let value = value(field) else { return nil }
        guard let flag = value.bool else { throw wrong(field, "a boolean", value) }
        return flag
    }

    func bool(_ field: String) throws(ConnectError) -> Bool { try optionalBool(field) ?? false }

    /// An integer as a number or as decimal text.
    func optionalInteger(_ field: String, in range: ClosedRange<Int64>) throws(ConnectError) -> Int64? {
        guard let value = value(field) else { return nil }
        guard let number = value.integer ?? value.string.flatMap({ Int64($0) }) else {
            throw wrong(field, "an integer", value)
        }
        guard range.contains(number) else {
            throw ConnectError(.invalidArgument, "\(name).\(field) is out of range: \(number)")
        }
        return number
    }

    func unsigned(_ field: String) throws(ConnectError) -> Int {
        Int(try optionalInteger(field, in: 0...Int64(UInt32.max)) ?? 0)
    }

    func optionalBytes(_ field: String) throws(ConnectError) -> [UInt8]? {
        guard let text = try optionalString(field) else { return nil }
        guard let bytes = Base64.decode(text.utf8) else {
            throw ConnectError(.invalidArgument, "\(name).\(field) is not base64")
        }
        return bytes
    }

    func strings(_ field: String) throws(ConnectError) -> [String] {
        guard let value = value(field) else { return [] }
        guard let elements = value.array else { throw wrong(field, "an array", value) }
        var strings: [String] = []
        for element in elements {
            guard let text = element.string else { throw wrong(field, "an array of strings", element) }
            strings.append(text)
        }
        return strings
    }

    func stringMap(_ field: String) throws(ConnectError) -> [String: String] {
        guard let value = value(field) else { return [:] }
        guard let members = value.object else { throw wrong(field, "an object", value) }
        var map: [String: String] = [:]
        for (key, member) in members {
            guard let text = member.string else { throw wrong(field, "an object of strings", member) }
            map[key] = text
        }
        return map
    }

    /// A message field that has to be there.
    func required(_ field: String) throws(ConnectError) -> JSONValue {
        guard let value = value(field) else { throw ConnectError(.invalidArgument, "\(name).\(field) is missing") }
        return value
    }

    func messages(_ field: String) throws(ConnectError) -> [JSONValue] {
        guard let value = value(field) else { return [] }
        guard let elements = value.array else { throw wrong(field, "an array", value) }
        return elements
    }

    /// An enum by name or number; `unspecified` when absent.
    func enumeration<Value: WireEnumeration>(_ field: String) throws(ConnectError) -> Value {
        guard let value = value(field) else { return .unspecified }
        let found =
            value.string.flatMap { text in Value.allCases.first { $0.name == text } }
            ?? value.integer.flatMap { Int(exactly: $0) }.flatMap { Value(rawValue: $0) }
        guard let found else { throw ConnectError(.invalidArgument, "\(name).\(field) has no value \(value)") }
        return found
    }

    private func wrong(_ field: String, _ expected: String, _ value: JSONValue) -> ConnectError {
        ConnectError(.invalidArgument, "\(name).\(field) is not \(expected) but a \(value.kind)")
    }

    private static func snakeCase(_ field: String) -> String {
        field.reduce(into: "") { result, character in
            result += character.isUppercase ? "_" + character.lowercased() : String(character)
        }
    }
}

/// An enum with proto3 JSON names.
protocol WireEnumeration: RawRepresentable<Int>, CaseIterable {
    static var unspecified: Self { get }
    var name: String { get }
}
