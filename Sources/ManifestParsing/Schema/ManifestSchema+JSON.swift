import DeploymentCore

extension ManifestSchema {
    /// The JSON Schema (draft 2020-12) of the manifest for editors, indented, with a last newline.
    ///
    /// It says what a schema can say; impossible combinations and the finer rules of a text are the parser's.
    public static func json() -> String {
        var schema = mapping(root)
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        schema["title"] = "Berth deployment manifest"
        schema["description"] = "One ML model behind one URL."
        return JSONValue.object(schema).indented() + "\n"
    }

    private static func mapping(_ keys: [Key]) -> [String: JSONValue] {
        var properties: [String: JSONValue] = [:]
        for key in keys {
            var property = schema(of: key.shape)
            property["description"] = .string(key.doc + ".")
            property["default"] = key.defaultValue
            properties[key.name] = .object(property)
        }
        var schema: [String: JSONValue] = [
            "type": "object", "additionalProperties": false, "properties": .object(properties),
        ]
        let required = keys.filter(\.isRequired).map { JSONValue.string($0.name) }
        if !required.isEmpty { schema["required"] = .array(required) }
        return schema
    }

    private static func schema(of shape: Shape) -> [String: JSONValue] {
        switch shape {
        case .text(let rule): return text(rule, types: "string")
        case .scalar(let rule): return text(rule, types: ["string", "number", "boolean", "null"])
        case .integer(let range):
            return [
                "type": "integer", "minimum": .integer(Int64(range.lowerBound)),
                "maximum": .integer(Int64(range.upperBound)),
            ]
        case .number(let range): return range.lowerBound == 0 ? ["type": "number", "minimum": 0] : ["type": "number"]
        case .duration(let range):
            let (low, high) = (DurationText.write(range.lowerBound), DurationText.write(range.upperBound))
            return [
                "type": "string", "pattern": .string(DurationText.pattern),
                "$comment": .string("from \(low) to \(high)"),
            ]
        case .choice(["true"]): return ["const": true]
        case .choice(let values): return ["enum": .array(values.map(JSONValue.string))]
        case .list(let element, let limit):
            return ["type": "array", "items": .object(schema(of: element)), "maxItems": .integer(Int64(limit))]
        case .mapping(let keys): return mapping(keys)
        case .dictionary(let value, let keys, let limit):
            return [
                "type": "object", "additionalProperties": .object(schema(of: value)),
                "propertyNames": .object(text(keys, types: "string")), "maxProperties": .integer(Int64(limit)),
            ]
        case .json: return [:]
        case .jsonObject: return ["type": "object"]
        case .matcher(let keys): return ["anyOf": [.object(mapping(keys)), [:]]]
        case .oneOf(let shapes): return ["oneOf": .array(shapes.map { .object(schema(of: $0)) })]
        }
    }

    private static func text(_ rule: TextRule, types: JSONValue) -> [String: JSONValue] {
        var schema: [String: JSONValue] = ["type": types]
        if let pattern = rule.pattern { schema["pattern"] = .string(pattern) }
        return schema
    }
}

extension JSONValue {
    /// JSON with two blanks per level and sorted keys; empty collections and short lists of scalars in one line.
    fileprivate func indented(_ indent: String = "") -> String {
        let inner = indent + "  "
        switch self {
        case .array(let elements) where !elements.allSatisfy({ $0.array == nil && $0.object == nil }):
            return "[\n" + elements.map { inner + $0.indented(inner) }.joined(separator: ",\n") + "\n\(indent)]"
        case .array(let elements): return "[" + elements.map(\.description).joined(separator: ", ") + "]"
        case .object(let members) where !members.isEmpty:
            let lines = members.sorted { $0.key < $1.key }
                .map { "\(inner)\(JSONValue.string($0.key)): \($0.value.indented(inner))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        default: return description
        }
    }
}
