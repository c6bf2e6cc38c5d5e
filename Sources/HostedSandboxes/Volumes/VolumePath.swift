import E2BProtocol

/// A path in a volume, as `/a/b`: nothing in it leads back.
public struct VolumePath: Sendable, Equatable {
    private static let maximumLength = 4_000

    /// The path, beginning with a slash.
    public let text: String

    /// Takes a path as a client writes it; `..` ends at the volume's root.
    ///
    /// - Throws: 400 for none, one with a zero byte, and one of more than 4,000 bytes.
    public init(_ path: String?) throws(VolumeFailure) {
        guard let path, !path.isEmpty else { throw VolumeFailure(400, "INVALID_PATH", "path is missing") }
        guard path.utf8.count <= Self.maximumLength, !path.utf8.contains(0) else {
            throw VolumeFailure(400, "INVALID_PATH", "path is too long or has a zero byte")
        }
        var names: [Substring] = []
        for name in path.split(separator: "/") where name != "." {
            if name == ".." { _ = names.popLast() } else { names.append(name) }
        }
        text = "/" + names.joined(separator: "/")
    }
}
