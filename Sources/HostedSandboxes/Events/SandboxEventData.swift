import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation

/// What an event tells beyond what happened (`event_data` of the protocol note's 5.3).
public struct SandboxEventData: Sendable, Equatable {
    /// The client's own notes on the sandbox.
    public var metadata: [String: String]
    /// The stretch of running that a pause or an end has ended.
    public var execution: Execution?
    /// The end that an update set, in milliseconds since 1970.
    public var endAt: Int64?
    /// The network that an update set.
    public var network: SandboxNetworkSettings?

    /// A stretch of running.
    public struct Execution: Sendable, Equatable {
        /// When it began, in milliseconds since 1970.
        public var startedAt: Int64
        /// Processors.
        public var processors: Int
        /// Memory in MiB.
        public var memoryMiB: Int
        /// How long it was, in milliseconds.
        public var duration: Int64

        /// Creates a description.
        public init(startedAt: Int64, processors: Int, memoryMiB: Int, duration: Int64) {
            self.startedAt = startedAt
            self.processors = processors
            self.memoryMiB = memoryMiB
            self.duration = duration
        }
    }

    /// Creates data; pauses and ends have an execution, updates an end or a network.
    public init(
        metadata: [String: String] = [:], execution: Execution? = nil, endAt: Int64? = nil,
        network: SandboxNetworkSettings? = nil
    ) {
        self.metadata = metadata
        self.execution = execution
        self.endAt = endAt
        self.network = network
    }

    /// The object as receivers get it.
    public var json: JSONValue {
        var members: [String: JSONValue] = ["sandbox_metadata": .object(metadata.mapValues { .string($0) })]
        if let execution {
            members["execution"] = [
                "started_at": .string(Timestamp(milliseconds: execution.startedAt).text),
                "vcpu_count": .integer(Int64(execution.processors)),
                "memory_mb": .integer(Int64(execution.memoryMiB)),
                "execution_time": .integer(execution.duration),
            ]
        }
        if let endAt { members["set_timeout"] = .string(Timestamp(milliseconds: endAt).text) }
        if let network { members["network_egress"] = Self.egress(network) }
        return .object(members)
    }

    /// The way out alone, in the manner of the other fields.
    private static func egress(_ network: SandboxNetworkSettings) -> JSONValue {
        var members: [String: JSONValue] = [
            "allow_out": .array(network.allowed.map { .string($0) }),
            "deny_out": .array(network.denied.map { .string($0) }),
        ]
        if let allows = network.allowsInternet { members["allow_internet_access"] = .bool(allows) }
        return .object(members)
    }
}

extension SandboxEventRecord {
    /// Creates a record with an id of its own.
    public init(
        _ kind: Kind, sandbox: String, execution: String, template: String, build: String, data: SandboxEventData,
        time: Int64
    ) {
        self.init(
            id: UUID().uuidString.lowercased(), sandbox: sandbox, kind: kind, execution: execution,
            template: template, build: build, data: data.json.description, time: time)
    }
}

extension SandboxEventRecord.Kind {
    /// What types of events begin with.
    static let prefix = "sandbox.lifecycle."

    /// The type on the wire, as `sandbox.lifecycle.created`.
    public var type: String { Self.prefix + rawValue }

    /// Reads a type; nil for an unknown one.
    public init?(type: some StringProtocol) {
        guard type.hasPrefix(Self.prefix) else { return nil }
        self.init(rawValue: String(type.dropFirst(Self.prefix.count)))
    }

    /// The short form on the wire.
    var label: String {
        switch self {
        case .created: "create"
        case .updated: "update"
        case .paused: "pause"
        case .resumed: "resume"
        case .killed: "kill"
        case .checkpointed: "checkpoint"
        }
    }
}
