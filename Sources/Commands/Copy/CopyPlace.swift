import DeploymentCore

/// One side of `berth cp`: `-`, a path here, or `NAME:PATH` in the sandbox of a deployment.
enum CopyPlace: Equatable {
    case stream
    case local(String)
    /// An absolute path, or one that begins in the sandbox's home folder.
    case remote(deployment: String, path: String)

    /// What comes before a colon is a deployment unless it has a slash in it: `./a:b` is a file.
    init(_ text: String) throws {
        guard text != "-" else {
            self = .stream
            return
        }
        guard let colon = text.firstIndex(of: ":"), !text[..<colon].contains("/") else {
            guard !text.isEmpty else { throw BerthError(.usage, "a path is empty") }
            self = .local(text)
            return
        }
        let name = String(text[..<colon])
        let path = String(text[text.index(after: colon)...])
        let isName = !name.isEmpty && name.utf8.allSatisfy { $0 == UInt8(ascii: "-") || $0.isLowerCaseOrDigit }
        guard isName, !path.isEmpty else {
            throw BerthError(
                .usage, "\(text) is not of the form NAME:PATH",
                suggestion: "write ./\(text) for a file of that name")
        }
        self = .remote(deployment: name, path: path)
    }
}

extension UInt8 {
    fileprivate var isLowerCaseOrDigit: Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self)
    }
}

/// Paths as text.
enum PathText {
    /// The last component; empty for `/`, and when the text ends with `.` or `..`.
    static func name(_ path: String) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        return [".", ".."].contains(name) ? "" : name
    }

    static func joined(_ folder: String, _ name: String) -> String {
        folder.hasSuffix("/") ? "\(folder)\(name)" : "\(folder)/\(name)"
    }

    /// Where a link in the folder `folder` (relative to a tree's root, empty for the root) leads, relative to the root;
    /// nil when that is not beneath it.
    static func inside(_ target: String, from folder: String) -> String? {
        guard !target.hasPrefix("/"), !target.isEmpty else { return nil }
        var components = folder.split(separator: "/").map(String.init)
        for component in target.split(separator: "/") where component != "." {
            if component == ".." {
                guard components.popLast() != nil else { return nil }
            } else {
                components.append(String(component))
            }
        }
        return components.isEmpty ? nil : components.joined(separator: "/")
    }

    /// The text of a link in `folder` that leads to `target`; both relative to the same root.
    static func link(to target: String, from folder: String) -> String {
        var from = folder.split(separator: "/")[...]
        var to = target.split(separator: "/")[...]
        while let first = from.first, first == to.first, to.count > 1 {
            from = from.dropFirst()
            to = to.dropFirst()
        }
        return (from.map { _ in ".." } + to.map(String.init)).joined(separator: "/")
    }

    /// Whether a name that came from outside is one component and nothing else.
    static func isComponent(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 }
    }
}
