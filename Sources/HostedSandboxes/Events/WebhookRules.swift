import DeploymentStore
import E2BProtocol
import Foundation

/// What a webhook has to be like; each refusal names the field.
enum WebhookRules {
    /// The longest name, in bytes.
    static let maximumName = 128
    /// The longest URL, in bytes.
    static let maximumURL = 2_048
    /// The shortest secret, in bytes: a plain hash of a shorter one is soon guessed.
    static let minimumSecret = 8
    /// The longest secret, in bytes.
    static let maximumSecret = 512

    static func name(_ text: String) throws -> String {
        guard !text.isEmpty else { throw refusal("name is missing") }
        guard text.utf8.count <= maximumName else { throw refusal("name is longer than \(maximumName) bytes") }
        guard text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
            throw refusal("name holds a control character")
        }
        return text
    }

    static func url(_ text: String) throws -> String {
        guard !text.isEmpty else { throw refusal("url is missing") }
        guard text.utf8.count <= maximumURL else { throw refusal("url is longer than \(maximumURL) bytes") }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), let parts = URLComponents(string: text) else {
            throw refusal("url is not a URL")
        }
        guard let scheme = parts.scheme?.lowercased(), scheme == "http" || scheme == "https" else {
            throw refusal("url is not an http or https URL")
        }
        guard let host = parts.host, !host.isEmpty else { throw refusal("url has no host") }
        guard parts.user == nil, parts.password == nil else {
            throw refusal("url holds a user or a password, which everybody who lists webhooks would see")
        }
        guard parts.fragment == nil else { throw refusal("url has a fragment") }
        guard parts.port.map({ (1...65_535).contains($0) }) ?? true else { throw refusal("url has no valid port") }
        return text
    }

    static func kinds(_ types: [String], field: String = "events") throws -> [SandboxEventRecord.Kind] {
        guard !types.isEmpty else { throw refusal("\(field) is empty") }
        var kinds: [SandboxEventRecord.Kind] = []
        for type in types {
            guard let kind = SandboxEventRecord.Kind(type: type) else {
                let known = SandboxEventRecord.Kind.allCases.map(\.type).joined(separator: ", ")
                throw refusal("\(field) has the unknown type \"\(type.prefix(64))\"; known are \(known)")
            }
            if !kinds.contains(kind) { kinds.append(kind) }
        }
        return kinds
    }

    static func secret(_ text: String) throws -> String {
        guard !text.isEmpty else { throw refusal("signatureSecret is missing") }
        guard (minimumSecret...maximumSecret).contains(text.utf8.count) else {
            throw refusal("signatureSecret has not between \(minimumSecret) and \(maximumSecret) bytes")
        }
        return text
    }

    static func refusal(_ message: String) -> ControlFailure { ControlFailure(400, message) }
}
