import E2BProtocol

/// A name of an image as clients write it: `name`, `name:tag`, `namespace/name:tag`, or an id in the name's place.
public struct ImageReference: Sendable, Equatable {
    /// The namespace of everything here.
    public static let ownNamespace = "default"
    /// The tag of what has no other.
    public static let defaultTag = "default"
    /// The longest name and the longest tag.
    public static let lengthLimit = 128

    /// The namespace; nil is the own one.
    public var namespace: String?
    /// The name or id, in lower case.
    public var name: String
    /// The tag; nil where none was written.
    public var tag: String?

    /// Reads a name.
    ///
    /// - Throws: a `ControlFailure` 400 that says what is wrong with it.
    public init(_ text: String) throws(ControlFailure) {
        let parts = text.lowercased().split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let last = parts.last else {
            throw ControlFailure(400, "'\(text.prefix(200))' is not a template's name: namespace/name:tag")
        }
        let pair = last.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard pair.count <= 2 else {
            throw ControlFailure(400, "'\(text.prefix(200))' is not a template's name: it has more than one tag")
        }
        name = pair[0]
        tag = pair.count == 2 ? pair[1] : nil
        namespace = parts.count == 2 ? String(parts[0]) : nil
        for part in [name] + (namespace.map { [$0] } ?? []) where !Self.isName(part) {
            throw ControlFailure(
                400, "'\(text.prefix(200))' is not a template's name: 1 to 128 of a-z, 0-9, '-' and '_'")
        }
        if let tag { try Self.check(tag: tag) }
    }

    /// The tag, or the one of what has no other.
    public var effectiveTag: String { tag ?? Self.defaultTag }

    /// Whether it can be here at all.
    public var isOwn: Bool { namespace.map { $0 == Self.ownNamespace } ?? true }

    /// The name with its namespace.
    public static func full(_ name: String) -> String { "\(ownNamespace)/\(name)" }

    /// A tag in lower case.
    ///
    /// - Throws: a `ControlFailure` 400 for one that is none.
    @discardableResult public static func check(tag: String) throws(ControlFailure) -> String {
        let tag = tag.lowercased()
        guard (1...lengthLimit).contains(tag.utf8.count),
            tag.utf8.allSatisfy({ isNameByte($0) || $0 == UInt8(ascii: ".") })
        else {
            throw ControlFailure(400, "'\(tag.prefix(200))' is not a tag: 1 to 128 of a-z, 0-9, '-', '_' and '.'")
        }
        return tag
    }

    private static func isName(_ text: String) -> Bool {
        (1...lengthLimit).contains(text.utf8.count) && text.utf8.allSatisfy(isNameByte)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
