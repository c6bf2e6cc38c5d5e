import DeploymentCore

/// What a path leads to (`filesystem.FileType`).
public enum FileType: Int, Sendable, CaseIterable, WireEnumeration {
    case unspecified = 0
    case file = 1
    case directory = 2
    case symlink = 3

    /// The name on the wire.
    public var name: String {
        switch self {
        case .unspecified: "FILE_TYPE_UNSPECIFIED"
        case .file: "FILE_TYPE_FILE"
        case .directory: "FILE_TYPE_DIRECTORY"
        case .symlink: "FILE_TYPE_SYMLINK"
        }
    }
}

/// A file, folder or link (`filesystem.EntryInfo`).
public struct EntryInfo: WireMessage, Equatable {
    /// The last component of the path.
    public var name: String
    /// What it is; of a link, what it leads to.
    public var type: FileType
    /// The absolute path.
    public var path: String
    /// In bytes.
    public var size: Int64
    /// The permission bits only; of a link, those of its target.
    public var mode: Int
    /// The bits as text: `-rw-r--r--`, `drwxr-xr-x`, `Lrwxrwxrwx`.
    public var permissions: String
    /// The owner's name, or number when it has none.
    public var owner: String
    /// The group's name, or number when it has none.
    public var group: String
    /// The last change of its content.
    public var modifiedTime: Timestamp?
    /// Where a link leads, resolved; nil for anything else.
    public var symlinkTarget: String?
    /// What was noted about it when it was uploaded.
    public var metadata: [String: String]

    /// Creates an entry.
    public init(
        name: String, type: FileType, path: String, size: Int64 = 0, mode: Int = 0, permissions: String = "",
        owner: String = "", group: String = "", modifiedTime: Timestamp? = nil, symlinkTarget: String? = nil,
        metadata: [String: String] = [:]
    ) {
        self.name = name
        self.type = type
        self.path = path
        self.size = size
        self.mode = mode
        self.permissions = permissions
        self.owner = owner
        self.group = group
        self.modifiedTime = modifiedTime
        self.symlinkTarget = symlinkTarget
        self.metadata = metadata
    }

    /// Reads the message.
    public init(json: JSONValue) throws(ConnectError) {
        let reader = try MessageReader(json, "entry")
        name = try reader.string("name")
        type = try reader.enumeration("type")
        path = try reader.string("path")
        size = try reader.optionalInteger("size", in: 0...Int64.max) ?? 0
        mode = try reader.unsigned("mode")
        permissions = try reader.string("permissions")
        owner = try reader.string("owner")
        group = try reader.string("group")
        symlinkTarget = try reader.optionalString("symlinkTarget")
        metadata = try reader.stringMap("metadata")
        if let text = try reader.optionalString("modifiedTime") {
            guard let time = Timestamp(text: text) else {
                throw ConnectError(.invalidArgument, "entry.modifiedTime is not RFC 3339")
            }
            modifiedTime = time
        }
    }

    /// The message as JSON; the size as text, as proto3 JSON has it for 64-bit numbers.
    public var json: JSONValue {
        var members: [String: JSONValue] = [
            "name": .string(name), "type": .string(type.name), "path": .string(path), "size": .string(String(size)),
            "mode": .integer(Int64(mode)), "permissions": .string(permissions), "owner": .string(owner),
            "group": .string(group),
        ]
        if let modifiedTime { members["modifiedTime"] = .string(modifiedTime.text) }
        if !metadata.isEmpty { members["metadata"] = .object(metadata.mapValues { .string($0) }) }
        if let symlinkTarget {
            members["symlinkTarget"] = .string(symlinkTarget)
            members["isSymlink"] = true
        }
        return .object(members)
    }
}
