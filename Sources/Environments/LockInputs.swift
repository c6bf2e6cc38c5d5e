import Crypto
import DeploymentCore
import Foundation

/// What a lock is made from; its digest tells whether an existing lock still fits.
public struct LockInputs: Sendable, Equatable {
    /// The largest requirements file, in bytes.
    public static let fileLimit = 8 << 20
    /// The most files that may include each other.
    public static let fileCountLimit = 64

    /// The manifest's folder: relative paths and uv's project settings count from here. Absolute.
    public var folder: String
    /// What the user declares.
    public var requirements: Manifest.Requirements
    /// What the template needs beyond that, as requirement lines.
    public var template: [String]
    /// The Python version wanted; nil takes the machine's default.
    public var python: String?

    /// Creates inputs.
    public init(folder: String, requirements: Manifest.Requirements, template: [String] = [], python: String? = nil) {
        self.folder = folder
        self.requirements = requirements
        self.template = template
        self.python = python
    }

    /// A digest over everything above, file contents and included files, and the machine's architecture.
    ///
    /// - Throws: `dependencies` for a file that is missing or too large.
    public func digest() throws(BerthError) -> String {
        var hasher = SHA256()
        func add(_ tag: String, _ text: String) {
            hasher.update(data: Data("\(tag) \(text.utf8.count)\n".utf8))
            hasher.update(data: Data(text.utf8))
        }
        add("python", python ?? "")
        add("platform", Self.platform)
        for line in template { add("template", line) }
        switch requirements {
        case .none: break
        case .list(let lines): for line in lines { add("requirement", line) }
        case .file(let path):
            for file in try Self.files(from: Self.resolve(path, in: folder)) { add("file", file.text) }
        }
        return hasher.finalize().hex
    }

    /// One file of the inputs.
    struct File {
        var path: String
        var text: String
        /// What it says; nil when it is no requirements file.
        var content: RequirementsText?
        /// Whether it only constrains versions.
        var isConstraint = false
    }

    /// A requirements file and those it includes.
    static func files(from start: String) throws(BerthError) -> [File] {
        var found: [File] = []
        var waiting = [(path: start, isConstraint: false)]
        while let next = waiting.popLast() {
            let path = next.path
            guard !found.contains(where: { $0.path == path && $0.isConstraint == next.isConstraint }) else { continue }
            guard found.count < fileCountLimit else {
                throw BerthError(.tooLarge, "\(start) includes more than \(fileCountLimit) files")
            }
            var file = File(path: path, text: try read(path), isConstraint: next.isConstraint)
            if !isProject(path) {
                let content = try RequirementsText(file.text, name: path.lastName)
                for case .include(let other, let isConstraint) in content.items.map(\.item) {
                    waiting.append((resolve(other, in: path.parentPath), isConstraint || next.isConstraint))
                }
                file.content = content
            }
            found.append(file)
        }
        return found
    }

    /// Whether a file is another tool's, and no list of requirements.
    static func isProject(_ path: String) -> Bool {
        let names = ["uv.lock", "poetry.lock", "Pipfile", "Pipfile.lock", "environment.yml", "setup.py"]
        return path.hasSuffix(".toml") || names.contains(path.lastName)
    }

    static func resolve(_ path: String, in folder: String) -> String {
        let absolute = path.hasPrefix("/") ? path : "\(folder)/\(path)"
        return URL(fileURLWithPath: absolute).standardized.path(percentEncoded: false)
    }

    static func read(_ path: String) throws(BerthError) -> String {
        let name = path.lastName
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue else {
            throw BerthError(
                .dependencies, "requirements file \(name) is missing; looked for \(path)",
                suggestion: Self.neighbour(of: path).map { "did you mean \($0)?" })
        }
        let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? nil
        guard let size, size <= fileLimit else {
            throw BerthError(.tooLarge, "\(path) is larger than \(fileLimit) bytes or cannot be read")
        }
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw BerthError(.dependencies, "\(path) cannot be read as UTF-8 text", cause: error)
        }
    }

    private static func neighbour(of path: String) -> String? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path.parentPath))
        return names?.sorted().first { $0.hasPrefix("requirements") || $0 == "pyproject.toml" || $0 == "uv.lock" }
    }

    #if arch(x86_64)
        static let platform = "linux-x86_64"
    #elseif arch(arm64)
        static let platform = "linux-aarch64"
    #else
        static let platform = "linux-other"
    #endif
}

extension Digest {
    /// Lower-case hex digits.
    var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
