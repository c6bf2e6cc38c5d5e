import DeploymentCore
import Foundation
import HostDisk

/// Every package that will be installed, with its version and the digests it may have.
public struct Lock: Sendable, Equatable {
    /// The file's name beside the manifest.
    public static let fileName = "requirements.lock"
    /// The most packages in one lock.
    public static let pinLimit = 2_000

    /// The file's whole text, comments included.
    public let text: String
    /// The packages in their order.
    public let pins: [Pin]
    /// Index options (`--index-url …`, `--extra-index-url …`) that the packages come from.
    public let options: [String]
    /// The Python version it was resolved for; nil when a foreign lock does not say.
    public let python: String?
    /// The digest of what it was made from; nil in a foreign lock.
    public let inputs: String?

    /// One package.
    public struct Pin: Sendable, Equatable {
        /// The normalised name: lower case, `-` for `_` and `.`.
        public let name: String
        /// `name==version` or `name @ url` (of a wheel), with ` ; marker` if it has one.
        public let requirement: String
        /// `sha256:<hex>` of the files it may be installed from; at least one.
        public let hashes: [String]
    }

    /// Reads a lock: only pinned requirements with hashes, and index options over https.
    ///
    /// - Throws: `dependencies` naming the line that does not belong into a lock.
    public init(parsing text: String) throws(BerthError) {
        let read = try RequirementsText(text, name: "the lock")
        var pins: [Pin] = []
        var options: [String] = []
        for (number, item) in read.items {
            switch item {
            case .index(let option): options.append(option)
            case .include(let path, _):
                throw BerthError(
                    .dependencies, "line \(number) of the lock: it may not include `\(VisibleLine.of(path))`")
            case .requirement(let line):
                let shown = VisibleLine.of(line.text)
                guard line.isPinned else {
                    throw BerthError(.dependencies, "line \(number) of the lock: `\(shown)` is not pinned with ==")
                }
                guard !line.hashes.isEmpty else {
                    throw BerthError(.dependencies, "line \(number) of the lock: `\(shown)` has no hash")
                }
                pins.append(Pin(name: line.name, requirement: line.text, hashes: line.hashes))
            }
            guard pins.count <= Self.pinLimit else {
                throw BerthError(.tooLarge, "the lock has more than \(Self.pinLimit) packages")
            }
        }
        self.text = text
        self.pins = pins
        self.options = options
        python = Self.value("python: ", in: read.head).flatMap { Self.isVersion($0) ? $0 : nil }
        inputs = Self.value("inputs: sha256:", in: read.head).flatMap { $0.utf8.count == 64 ? $0 : nil }
    }

    init(pins: [Pin], options: [String], python: String, inputs: String) throws(BerthError) {
        var text = """
            # made by `berth lock`; commit it beside the manifest, do not edit it
            # python: \(python)
            # inputs: sha256:\(inputs)

            """
        for option in options { text += option + "\n" }
        for pin in pins {
            text += pin.requirement
            for hash in pin.hashes { text += " \\\n    --hash=\(hash)" }
            text += "\n"
        }
        try self.init(parsing: text)
    }

    /// What decides the installed packages: the lock without comments, one line each, sorted.
    public var content: String {
        let lines = pins.map { ([$0.requirement] + $0.hashes.sorted()).joined(separator: " ") }
        return (options + lines.sorted()).joined(separator: "\n")
    }

    /// What uv is given: the options and pins as they were understood, and nothing else of the text.
    var canonical: String {
        var lines = options
        for pin in pins { lines.append(([pin.requirement] + pin.hashes.map { "--hash=\($0)" }).joined(separator: " ")) }
        return lines.map { $0 + "\n" }.joined()
    }

    /// Whether it was made from exactly these inputs; when not, say `lock is out of date` and make a new one.
    ///
    /// - Throws: `dependencies` when a file of the inputs is missing.
    public func isCurrent(for inputs: LockInputs) throws(BerthError) -> Bool {
        self.inputs == (try inputs.digest())
    }

    private static func value(_ key: String, in head: [String]) -> String? {
        head.first { $0.hasPrefix(key) }.map { String($0.dropFirst(key.count)) }
    }

    private static func isVersion(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let areNumbers = parts.allSatisfy { part in
            (1...3).contains(part.utf8.count) && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
        }
        return parts.count == 3 && parts.first == "3" && areNumbers
    }

    /// PEP 503: runs of `-`, `_` and `.` are one `-`, in lower case.
    static func normalised(_ name: some StringProtocol) -> String {
        let parts = name.lowercased().utf8.split { $0 == 0x2D || $0 == 0x5F || $0 == 0x2E }
        return parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "-")
    }
}

extension Lock {
    /// Reads `requirements.lock`; nil when there is none.
    public static func read(from path: String) throws(BerthError) -> Lock? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        return try Lock(parsing: LockInputs.read(path))
    }

    /// Writes the file atomically: whoever reads sees the old one or the new one.
    public func write(to path: String) throws(BerthError) {
        try Disk.replace(path, with: Array(text.utf8), mode: 0o644)
    }
}
