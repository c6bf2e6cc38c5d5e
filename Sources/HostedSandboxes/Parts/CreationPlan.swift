import DeploymentCore
import E2BProtocol
import Sandboxes

/// How a creation is asked for.
public enum CreationVersion: Sendable {
    /// `POST /sandboxes`: 15 s, and open unless it says otherwise.
    case first
    /// `POST /v2/sandboxes`: 300 s, and always with a token.
    case second

    /// The seconds of a sandbox whose creator says nothing.
    public var defaultTimeout: Int64 { self == .first ? 15 : 300 }
}

/// A creation that was found to make sense.
struct CreationPlan: Sendable {
    let creation: SandboxCreation
    let timeout: Int64
    let isSecure: Bool
    let network: NetworkWish

    /// - Throws: 400 naming the field that makes no sense or cannot be had.
    init(
        _ creation: SandboxCreation, _ version: CreationVersion, _ enforcement: NetworkEnforcement
    ) throws(ControlFailure) {
        self.creation = creation
        timeout = try Self.checked(creation.timeout ?? version.defaultTimeout)
        isSecure = version == .second || creation.isSecure ?? false
        if let extra = creation.extras.sorted().first { throw .notOffered(extra) }
        if creation.pausesWithMemory == false {
            if !creation.pausesOnTimeout {
                throw ControlFailure(400, "autoPauseMemory false needs autoPause true")
            }
            if creation.resumesOnTraffic {
                throw ControlFailure(400, "autoPauseMemory false cannot be combined with autoResume")
            }
        }
        if creation.network?.allowsPublicTraffic == false, !isSecure {
            throw ControlFailure(400, "network.allowPublicTraffic false needs a secure sandbox: set secure to true")
        }
        if creation.network?.allowsInternet != nil {
            throw ControlFailure(400, "network.allow_internet_access belongs beside network, not into it")
        }
        try Self.check(creation.metadata, "metadata")
        try Self.check(creation.environment, "envVars")
        for name in creation.environment.keys where name.isEmpty || name.contains("=") || name.utf8.contains(0) {
            throw ControlFailure(400, "envVars: '\(VisibleText.of(name))' is no name of a variable")
        }
        for value in creation.environment.values where value.utf8.contains(0) {
            throw ControlFailure(400, "envVars: a value has a zero byte")
        }
        network = try NetworkWish(
            allowsInternet: creation.allowsInternet, settings: creation.network, enforcement: enforcement)
    }

    /// Seconds of life that a run may have.
    static func checked(_ timeout: Int64) throws(ControlFailure) -> Int64 {
        guard timeout > 0 else { throw ControlFailure(400, "Timeout must be greater than 0") }
        guard timeout <= HostedSettings.maximumTimeout else {
            throw ControlFailure(
                400, "Timeout cannot be greater than \(HostedSettings.maximumTimeout / 3_600) hours")
        }
        return timeout
    }

    private static func check(_ entries: [String: String], _ field: String) throws(ControlFailure) {
        let bytes = entries.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        guard entries.count <= HostedSettings.maximumEntries, bytes <= HostedSettings.maximumEntryBytes else {
            throw ControlFailure(
                400,
                "\(field) has more than \(HostedSettings.maximumEntries) entries or "
                    + "\(HostedSettings.maximumEntryBytes) bytes")
        }
    }
}
