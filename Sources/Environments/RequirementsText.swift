import DeploymentCore

/// A requirements file or lock in the parts that we understand; every other line is refused.
///
/// uv is given what was read here, written anew, and never the text itself: it must not find a line in it that we did
/// not, because some of its options (`--no-binary`, `-e`) run code of a package on this machine.
struct RequirementsText: Sendable {
    /// The longest line, continuation lines included, in bytes.
    static let lineLimit = 1 << 20

    /// One line that counts.
    enum Item: Sendable, Equatable {
        case requirement(RequirementLine)
        /// `--index-url https://…` or `--extra-index-url https://…`.
        case index(String)
        /// Another file; its requirements only constrain versions when `isConstraint`.
        case include(path: String, isConstraint: Bool)
    }

    /// The items with the numbers of their first lines.
    private(set) var items: [(number: Int, item: Item)] = []
    /// Comments that begin in the first column, without `# `, before the first item.
    private(set) var head: [String] = []

    /// Reads a text.
    ///
    /// - Throws: `dependencies` naming the line of `name` that is not understood.
    init(_ text: String, name: String) throws(BerthError) {
        let bytes = Array(text.utf8)
        // Files from Windows may begin with a byte order mark.
        var rest = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes[...]
        var number = 0
        var open: (number: Int, bytes: [UInt8])?
        while !rest.isEmpty {
            let raw = Self.takeLine(&rest)
            number += 1
            if open == nil, items.isEmpty, raw.starts(with: [0x23, 0x20]) {
                head.append(String(decoding: raw.dropFirst(2), as: UTF8.self))
            }
            var line = Self.withoutComment(raw)
            let continues = line.last == 0x5C
            if continues { line = line.dropLast() }
            var joined = open?.bytes ?? []
            if !joined.isEmpty && !line.isEmpty { joined.append(0x20) }
            joined += line
            let first = open?.number ?? number
            guard joined.count <= Self.lineLimit else {
                throw BerthError(.tooLarge, "line \(first) of \(name) is longer than \(Self.lineLimit) bytes")
            }
            // A comment between continuation lines does not end them.
            if continues || (open != nil && line.isEmpty && raw.contains(0x23)) {
                open = (first, joined)
                continue
            }
            open = nil
            if !joined.isEmpty { try add(joined[...], first, name) }
        }
        if let open, !open.bytes.isEmpty { try add(open.bytes[...], open.number, name) }
    }

    /// Reads one requirement that stands alone.
    ///
    /// - Throws: `dependencies` when it is anything else.
    static func requirement(_ text: String) throws(BerthError) -> RequirementLine {
        let shown = VisibleLine.of(text)
        guard !text.utf8.contains(where: { $0 < 0x20 && $0 != 0x09 }) else {
            throw BerthError(.dependencies, "requirement `\(shown)` is not valid: it has more than one line")
        }
        let line = withoutComment(Array(text.utf8)[...])
        guard line.first != 0x2D else {
            throw BerthError(
                .dependencies, "`\(shown)` is an option, not a requirement",
                suggestion: "put index options into a requirements.txt and name that file in `requirements`")
        }
        switch RequirementLine.read(line) {
        case .success(let requirement): return requirement
        case .failure(let reason):
            throw BerthError(.dependencies, "requirement `\(shown)` is not valid: \(reason.text)")
        }
    }

    private mutating func add(_ line: ArraySlice<UInt8>, _ number: Int, _ name: String) throws(BerthError) {
        let shown = VisibleLine.of(String(decoding: line, as: UTF8.self))
        if let control = line.first(where: { ($0 < 0x20 && $0 != 0x09) || $0 == 0x7F }) {
            throw BerthError(.dependencies, "line \(number) of \(name) has the control character \(control)")
        }
        if line.first == 0x2D {
            guard let option = try Self.option(line, "line \(number) of \(name): the option `\(shown)`") else { return }
            items.append((number, option))
            return
        }
        switch RequirementLine.read(line) {
        case .success(let requirement): items.append((number, .requirement(requirement)))
        case .failure(let reason):
            throw BerthError(
                .dependencies, "line \(number) of \(name): requirement `\(shown)` is not valid: \(reason.text)",
                suggestion: reason.suggestion)
        }
    }

    /// An option that changes nothing about what may be installed; nil for one that says what is so anyway.
    private static func option(_ line: ArraySlice<UInt8>, _ place: String) throws(BerthError) -> Item? {
        let text = String(decoding: line, as: UTF8.self)
        let end = text.firstIndex { $0 == "=" || $0 == " " || $0 == "\t" } ?? text.endIndex
        var name = String(text[..<end])
        var value = String(text[end...].drop { $0 == " " || $0 == "\t" })
        if value.hasPrefix("=") { value = String(value.dropFirst().drop { $0 == " " || $0 == "\t" }) }
        // `-rother.txt` is `-r other.txt`.
        if !name.hasPrefix("--"), name.count > 2 { (name, value) = (String(text.prefix(2)), String(text.dropFirst(2))) }
        switch name {
        case "-r", "--requirement", "-c", "--constraint":
            guard !value.isEmpty, !value.contains("://"), !value.contains("${"), !value.contains(" ") else {
                throw BerthError(.dependencies, "\(place) does not name a file beside it")
            }
            return .include(path: value, isConstraint: name == "-c" || name == "--constraint")
        case "-i", "--index-url", "--extra-index-url":
            guard RequirementLine.isURL(Array(value.utf8)[...], schemes: ["https://"]) else {
                throw BerthError(.dependencies, "\(place) is not allowed: an index is one https:// URL")
            }
            return .index("\(name == "-i" ? "--index-url" : name) \(value)")
        case "--only-binary", "--prefer-binary", "--require-hashes":
            return nil
        default:
            throw BerthError(
                .dependencies, "\(place) is not allowed",
                suggestion: "berth installs wheels only, from an index or a https:// URL")
        }
    }

    /// The next line; `\n`, `\r\n` and a lone `\r` end one, as they do for uv.
    private static func takeLine(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard let end = rest.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) else {
            defer { rest = [] }
            return rest
        }
        let line = rest[rest.startIndex..<end]
        let isPair = rest[end] == 0x0D && end + 1 < rest.endIndex && rest[end + 1] == 0x0A
        rest = rest[(end + (isPair ? 2 : 1))...]
        return line
    }

    /// A line up to its comment, without blanks around it.
    private static func withoutComment(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var end = line.endIndex
        for index in line.indices where line[index] == 0x23 {
            let isComment = index == line.startIndex || line[index - 1] == 0x20 || line[index - 1] == 0x09
            guard isComment else { continue }
            end = index
            break
        }
        return line[..<end].trimmingBlanks
    }
}

/// Untrusted text as it may stand in a message: one line, short, without control characters.
enum VisibleLine {
    /// The most that is shown, in characters.
    static let limit = 100

    static func of(_ text: String) -> String {
        String(
            text.unicodeScalars.prefix(limit).map {
                $0.properties.generalCategory == .control ? "\u{FFFD}" : Character($0)
            })
    }
}

extension ArraySlice<UInt8> {
    /// Without blanks and tabs at both ends.
    var trimmingBlanks: ArraySlice<UInt8> {
        var slice = self
        while let first = slice.first, first == 0x20 || first == 0x09 { slice = slice.dropFirst() }
        while let last = slice.last, last == 0x20 || last == 0x09 { slice = slice.dropLast() }
        return slice
    }
}
