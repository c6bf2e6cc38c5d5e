/// One requirement, read strictly and written in one way: a package of an index, or a wheel at a URL.
struct RequirementLine: Sendable, Equatable {
    /// The normalised name: lower case, `-` for `_` and `.`.
    let name: String
    /// `name[extra]==1.0 ; marker` or `name @ url ; marker`, without hashes.
    let text: String
    /// `sha256:<hex>`, as given.
    let hashes: [String]
    /// Whether exactly one file version fits: `==` and a whole version, or a URL.
    let isPinned: Bool

    /// Why a line is no requirement.
    struct Reason: Error, Equatable {
        var text: String
        var suggestion: String?
    }

    /// The requirement with its hashes, as one line for uv.
    var line: String { ([text] + hashes.map { "--hash=\($0)" }).joined(separator: " ") }

    /// Reads a line without comment.
    static func read(_ line: ArraySlice<UInt8>) -> Result<RequirementLine, Reason> {
        Result { () throws(Reason) in try RequirementLine(line) }
    }

    private init(_ line: ArraySlice<UInt8>) throws(Reason) {
        let (body, hashes) = try Self.splitHashes(line)
        var rest = body
        let name = Self.take(&rest) { Self.isAlphanumeric($0) || $0 == 0x2E || $0 == 0x5F || $0 == 0x2D }
        guard let first = name.first, Self.isAlphanumeric(first) else {
            throw Reason(
                text: "it does not begin with the name of a package",
                suggestion: "berth installs wheels only: write `name==version`, or `name @ https://….whl`")
        }
        var text = String(decoding: name, as: UTF8.self)
        rest = rest.trimmingBlanks
        if rest.first == 0x5B { text += try Self.extras(&rest) }
        if rest.first == 0x40 {
            rest = rest.dropFirst().trimmingBlanks
            let url = Self.take(&rest) { $0 != 0x20 && $0 != 0x09 }
            guard Self.isURL(url, schemes: ["https://", "file:///"]), Self.isWheel(url) else {
                throw Reason(text: "a URL must lead to a wheel: https://….whl")
            }
            text += " @ " + String(decoding: url, as: UTF8.self)
            rest = rest.trimmingBlanks
            isPinned = true
        } else {
            let range = Self.take(&rest) { $0 != 0x3B }.trimmingBlanks
            // Only an operator may follow a name: `six x>1` is not `sixx>1`.
            guard range.isEmpty || Self.rangeStarts.contains(range[range.startIndex]),
                Self.isPlain(range, also: Self.versionBytes)
            else {
                throw Reason(text: "`\(VisibleLine.of(String(decoding: range, as: UTF8.self)))` is no version range")
            }
            let version = range.dropFirst(2).trimmingBlanks
            isPinned =
                range.starts(with: [0x3D, 0x3D]) && !version.isEmpty && Self.isPlain(version, also: Self.exactBytes)
            text += isPinned ? "==" + String(decoding: version, as: UTF8.self) : Self.spaced(range)
        }
        if !rest.isEmpty {
            let marker = rest.dropFirst().trimmingBlanks
            guard rest.first == 0x3B, !marker.isEmpty, Self.isPlain(marker, also: Self.markerBytes) else {
                throw Reason(text: "what follows the version is no environment marker")
            }
            text += " ; " + Self.spaced(marker)
        }
        self.name = Lock.normalised(String(decoding: name, as: UTF8.self))
        self.text = text
        self.hashes = hashes
    }

    /// Whether these bytes are a URL of one of the schemes without anything that uv would expand or split.
    static func isURL(_ bytes: ArraySlice<UInt8>, schemes: [String]) -> Bool {
        guard let scheme = schemes.first(where: { bytes.starts(with: $0.utf8) }) else { return false }
        return bytes.count > scheme.utf8.count && bytes.count <= urlLimit
            && bytes.allSatisfy { isAlphanumeric($0) || urlBytes.contains($0) }
    }

    /// The longest URL, in bytes.
    static let urlLimit = 4_096

    private static func isWheel(_ url: ArraySlice<UInt8>) -> Bool {
        url.prefix { $0 != 0x3F && $0 != 0x23 }.suffix(4).elementsEqual(".whl".utf8)
    }

    private static func extras(_ rest: inout ArraySlice<UInt8>) throws(Reason) -> String {
        guard let end = rest.firstIndex(of: 0x5D), isPlain(rest[rest.startIndex + 1..<end], also: extraBytes) else {
            throw Reason(text: "its extras are not closed with `]`")
        }
        defer { rest = rest[(end + 1)...].trimmingBlanks }
        return String(decoding: rest[...end].filter { $0 != 0x20 && $0 != 0x09 }, as: UTF8.self)
    }

    /// What stands before the hashes, and the hashes; no other option may follow a requirement.
    private static func splitHashes(
        _ line: ArraySlice<UInt8>
    ) throws(Reason) -> (body: ArraySlice<UInt8>, hashes: [String]) {
        var hashes: [String] = []
        var body = line
        var isBody = true
        for word in line.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 }) {
            if word.starts(with: [0x2D]) && isBody {
                body = line[..<word.startIndex].trimmingBlanks
                isBody = false
            }
            if isBody { continue }
            guard word.starts(with: "--hash=".utf8) else {
                throw Reason(text: "`\(VisibleLine.of(String(decoding: word, as: UTF8.self)))` may not follow it")
            }
            let hash = word.dropFirst(7)
            guard isHash(hash) else {
                let shown = VisibleLine.of(String(decoding: hash, as: UTF8.self))
                throw Reason(text: "`\(shown)` is not a sha256 hash")
            }
            hashes.append(String(decoding: hash, as: UTF8.self))
        }
        return (body, hashes)
    }

    private static func isHash(_ bytes: ArraySlice<UInt8>) -> Bool {
        for (name, count) in [("sha256:", 64), ("sha384:", 96), ("sha512:", 128)] where bytes.starts(with: name.utf8) {
            return bytes.count == 7 + count
                && bytes.dropFirst(7).allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        }
        return false
    }

    private static func take(_ rest: inout ArraySlice<UInt8>, while isPart: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        let part = rest.prefix(while: isPart)
        rest = rest[part.endIndex...]
        return part
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    private static func isPlain(_ bytes: ArraySlice<UInt8>, also others: [UInt8]) -> Bool {
        bytes.allSatisfy { isAlphanumeric($0) || others.contains($0) }
    }

    private static func spaced(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.map { $0 == 0x09 ? 0x20 : $0 }, as: UTF8.self)
    }

    private static let rangeStarts = Array("<>=!~(".utf8)
    private static let extraBytes = Array("._-, \t".utf8)
    private static let exactBytes = Array(".+!_-".utf8)
    private static let versionBytes = Array(".*+!_-,<>=~() \t".utf8)
    private static let markerBytes = Array("._-+*'\"=<>!~(),:/ \t".utf8)
    private static let urlBytes = Array("-._~%/:@+,=&?#!()*".utf8)
}
