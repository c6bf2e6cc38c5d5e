import ControlAPI
import DeploymentCore
import DeploymentStore
import Foundation

/// A revision with its parts decoded: everything needed to start a replica, today or after a restart.
struct Snapshot: Sendable {
    var record: RevisionRecord
    let manifest: Manifest
    var bundle: [BundleFile]

    init(_ record: RevisionRecord) throws {
        self.record = record
        let decoder = JSONDecoder()
        manifest = try decoder.decode(Manifest.self, from: Data(record.manifest.utf8))
        bundle = record.bundle.isEmpty ? [] : try decoder.decode([BundleFile].self, from: Data(record.bundle.utf8))
    }

    /// The name of the route and in messages; a test's record has a name of its own.
    var name: String { manifest.name }
}

enum JSONText {
    /// Compact JSON with sorted keys.
    static func encode(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func decode<Value: Decodable>(_ type: Value.Type, _ text: String) -> Value? {
        try? JSONDecoder().decode(type, from: Data(text.utf8))
    }
}
