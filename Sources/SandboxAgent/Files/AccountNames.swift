/// Names of users and groups, read from the files themselves: a static executable has no name service.
struct AccountNames {
    private static let fileLimit = 1 << 20
    private let users: [UInt32: String]
    private let groups: [UInt32: String]

    init() {
        users = Self.read("/etc/passwd")
        groups = Self.read("/etc/group")
    }

    /// The user's name, or number when it has none.
    func user(_ id: UInt32) -> String { users[id] ?? String(id) }

    /// The group's name, or number when it has none.
    func group(_ id: UInt32) -> String { groups[id] ?? String(id) }

    private static func read(_ path: String) -> [UInt32: String] {
        var names: [UInt32: String] = [:]
        for line in (readText(path, limit: fileLimit) ?? "").split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count > 2, let id = UInt32(fields[2]), names[id] == nil else { continue }
            names[id] = String(fields[0])
        }
        return names
    }
}
