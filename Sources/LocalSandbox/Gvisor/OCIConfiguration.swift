import DeploymentCore
import Foundation

/// The part of an OCI runtime configuration that a sandbox needs (runtime-spec 1.0, config.md).
struct OCIConfiguration: Codable, Sendable, Equatable {
    var ociVersion = "1.0.0"
    var process: Process
    var root: Root
    var hostname: String
    var mounts: [Mount]
    var linux = Linux()

    /// What is started.
    struct Process: Codable, Sendable, Equatable {
        var user = User()
        var args: [String]
        var env: [String]
        var cwd: String
        var capabilities = Capabilities()
        var rlimits: [ResourceLimit] = []
        var noNewPrivileges = true
    }

    /// The one identity that the user namespace around gVisor has.
    struct User: Codable, Sendable, Equatable {
        var uid = 0
        var gid = 0
    }

    /// Empty sets: root inside is a name without powers.
    struct Capabilities: Codable, Sendable, Equatable {
        var bounding: [String] = []
        var effective: [String] = []
        var inheritable: [String] = []
        var permitted: [String] = []
        var ambient: [String] = []
    }

    /// A limit of each process, kept by gVisor's own kernel.
    struct ResourceLimit: Codable, Sendable, Equatable {
        var type: String
        var hard: Int64
        var soft: Int64

        init(_ type: String, _ value: Int64) {
            self.type = type
            hard = value
            soft = value
        }
    }

    struct Root: Codable, Sendable, Equatable {
        var path: String
        var readonly = true
    }

    struct Mount: Codable, Sendable, Equatable {
        var destination: String
        var type: String
        var source: String
        var options: [String] = []
    }

    struct Linux: Codable, Sendable, Equatable {
        var namespaces = ["pid", "ipc", "uts", "mount", "network"].map { Namespace(type: $0) }
    }

    struct Namespace: Codable, Sendable, Equatable {
        var type: String
    }

    /// The file's bytes.
    func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self))
    }
}
