/// Ids of the host that stand for 0 to 65535 in a sandbox.
struct IdentityRange: Codable, Sendable, Hashable {
    /// How many ids a sandbox has.
    static let count: UInt32 = 65_536
    /// The user that apps run as, as numbered inside.
    static let user: UInt32 = 1000

    /// The host's user id of root inside.
    var users: UInt32
    /// The host's group id of root's group inside.
    var groups: UInt32
    /// Whether other sandboxes of the same user have it too, as nothing more was granted, or for their volumes' sake.
    var isShared: Bool

    /// Whether a user id of the host's is one of these.
    func has(user: UInt32) -> Bool { user >= users && user - users < Self.count }
}

/// What a host grants of ids, as subuid(5) and subgid(5) or the kernel say.
struct IdentityGrant: Sendable, Equatable {
    /// Ids that follow one another.
    struct Span: Sendable, Equatable {
        var first: UInt32
        var count: UInt32

        /// The ranges of a sandbox in it.
        var ranges: Int { Int(count / IdentityRange.count) }
    }

    /// The ids that root hands out where subuid(5) gives it none: systemd's table of ids (UIDS-GIDS) leaves them
    /// to nobody.
    static let rootSpan = Span(first: 0x7000_0000, count: 0x1000_0000)

    var users: Span
    var groups: Span
    /// Whether the programs of package uidmap have to write the maps; root writes them itself.
    var needsHelpers: Bool

    /// How many sandboxes can have ids that no other one has.
    var ranges: Int { min(users.ranges, groups.ranges) }

    /// The range with a number below `ranges`.
    func range(_ number: Int) -> IdentityRange {
        let offset = UInt32(number) * IdentityRange.count
        return IdentityRange(users: users.first + offset, groups: groups.first + offset, isShared: ranges == 1)
    }

    /// What the files of the host give a user; nil when that is not enough for one sandbox.
    ///
    /// - Parameters:
    ///   - subuid: subuid(5); `subgid`: subgid(5). Lines are `name or number:first id:count`.
    ///   - userMap: The ids that exist here, as uid_map (user_namespaces(7)); `groupMap` likewise.
    static func find(
        user: UInt32, name: String?, subuid: String, subgid: String, userMap: String, groupMap: String
    ) -> IdentityGrant? {
        let isRoot = user == 0
        let granted = { (text: String, map: String) -> Span? in
            let own = entries(in: text, user: user, name: name)
            let candidates = own.isEmpty && isRoot ? [rootSpan] : own
            return candidates.first { $0.ranges > 0 && (!isRoot || isMapped($0, in: map)) }
        }
        guard let users = granted(subuid, userMap), let groups = granted(subgid, groupMap) else { return nil }
        return IdentityGrant(users: users, groups: groups, needsHelpers: !isRoot)
    }

    private static func entries(in text: String, user: UInt32, name: String?) -> [Span] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count == 3, String(fields[0]) == "\(user)" || name.map({ $0 == fields[0] }) ?? false,
                let first = UInt32(fields[1]), let count = UInt32(fields[2].filter { !$0.isWhitespace }),
                first >= IdentityRange.count, !first.addingReportingOverflow(count).overflow
            else { return nil }
            return Span(first: first, count: count)
        }
    }

    /// Whether the ids exist in our own namespace, which may be a container's.
    private static func isMapped(_ span: Span, in map: String) -> Bool {
        map.split(separator: "\n").contains { line in
            let fields = line.split(separator: " ").compactMap { UInt64($0) }
            guard fields.count == 3 else { return false }
            return UInt64(span.first) >= fields[0]
                && UInt64(span.first) + UInt64(span.count) <= fields[0] + fields[2]
        }
    }
}
